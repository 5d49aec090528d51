package mail

import (
	"cmp"
	"fmt"
	"time"

	"rollcall/internal/humanize"
	"rollcall/internal/i18n"
)

// Notice is what all mails about what has happened have in common.
type Notice struct {
	Brand string    // the product, also shown as the sender
	From  string    // sender's address
	To    string    // recipient's address
	Name  string    // as in Invitation
	Date  time.Time // zero: now
}

// ServerChange is what a mail says about a change of the mail server settings.
type ServerChange struct {
	Actor         string // who changed it
	Before, After string // hosts; "": that of the server environment
	ChangedAt     time.Time
	Link          string // absolute http or https URL of the audit log
}

// maxNoticeText bounds an address, a host and a file name in a notice, in bytes.
const maxNoticeText = 320

// RenderServerChange renders the mail to an administrator about the mail server
// settings. The only error is [ErrLink].
func RenderServerChange(n Notice, c ServerChange) (Message, error) {
	host := func(h string) string {
		return singleLine(cmp.Or(h, "as configured on the server (SMTP_URL)"), maxNoticeText)
	}
	return n.renderLink("The mail server of %s was changed", c.Link,
		fmt.Sprintf("The mail server settings of %s were changed on %s by %s.", n.brand(), exactTime(c.ChangedAt), singleLine(c.Actor, maxNoticeText)),
		"Mail server before: "+host(c.Before),
		"Mail server now: "+host(c.After),
		"If you expected this, you don't need to do anything.",
		"If not, act now: anyone running the new mail server can read password-reset links. Check Settings > Email and the audit log:")
}

// SecondFactorChange is what a mail says about a change of a user's second
// factor.
type SecondFactorChange struct {
	Account   string // address of the user
	Own       bool   // the user is the recipient
	Change    string // "set", "removed" or "reset"
	ChangedAt time.Time
}

// RenderSecondFactorChange renders that mail, to the user or to an administrator.
func RenderSecondFactorChange(n Notice, c SecondFactorChange) (Message, error) {
	what := map[string]string{
		"set": "turned on", "removed": "turned off", "reset": "turned off on the command line of the server",
	}[c.Change]
	if c.Own {
		return n.render("Two-factor authentication changed for your account at %s", "",
			fmt.Sprintf("Two-factor authentication was %s for your %s account on %s.", what, n.brand(), exactTime(c.ChangedAt)),
			"If this wasn't you, contact your administrator immediately.")
	}
	return n.render("Two-factor authentication changed for an account at %s", "",
		fmt.Sprintf("Two-factor authentication was %s for this %s account on %s:", what, n.brand(), exactTime(c.ChangedAt)),
		singleLine(c.Account, maxNoticeText),
		"You receive this because you are an administrator. The audit log shows who made the change and from where. If it wasn't expected, disable the account and ask its owner.")
}

// RenderAddressChanged renders the mail to the old and to the new address of an
// account whose address was changed. It names neither: the old one may be
// somebody else's soon.
func RenderAddressChanged(n Notice) (Message, error) {
	return n.render("The email address of your %s account was changed", "",
		"An administrator has changed the email address of your "+n.brand()+" account. From now on, sign in with the new address. You have been signed out everywhere.",
		"If you weren't expecting this, contact your administrator.")
}

// HeldImport is what a mail says about an import that waits for approval.
type HeldImport struct {
	Filename       string
	Disable, Limit int64
	Link           string // absolute http or https URL of the import's page
}

// RenderImportHeld renders the mail to an administrator about an import that is
// held. The only error is [ErrLink].
func RenderImportHeld(n Notice, i HeldImport) (Message, error) {
	return n.renderLink("An import into %s is waiting for your approval", i.Link,
		fmt.Sprintf("The import of “%s” would disable %s, because they are not in the file. The safety limit is %d, so nothing has been imported yet.",
			singleLine(i.Filename, maxNoticeText), humanize.Count(i.Disable, "user", "users"), i.Limit),
		"Check that the file is complete, then approve or discard the import:")
}

func (n Notice) brand() string { return singleLine(n.Brand, maxDisplayName) }

// renderLink is render with a link below the paragraphs.
func (n Notice) renderLink(subject, link string, lines ...string) (Message, error) {
	if !isWebLink(link) {
		return Message{}, fmt.Errorf("render notice: %w", ErrLink)
	}
	return n.render(subject, link, lines...)
}

// render makes a mail of paragraphs and a link; "": none. The subject names the
// brand.
func (n Notice) render(subject, link string, lines ...string) (Message, error) {
	if n.Date.IsZero() {
		n.Date = time.Now()
	}
	m := Message{From: n.From, FromName: n.brand(), To: n.To, Subject: fmt.Sprintf(subject, n.brand()), Date: n.Date}
	return m, m.fill("notice", page{Subject: m.Subject, Brand: m.FromName, Greeting: greeting(i18n.Reader{}, n.Name), Link: link, Lines: lines})
}
