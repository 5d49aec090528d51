package mail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"strings"
	texttemplate "text/template"
	"time"

	"rollcall/internal/i18n"
)

//go:embed templates
var templateFiles embed.FS

var (
	textTemplates = texttemplate.Must(texttemplate.New("").Funcs(texttemplate.FuncMap{"wrap": wrap}).ParseFS(templateFiles, "templates/*.txt"))
	htmlTemplates = htmltemplate.Must(htmltemplate.ParseFS(templateFiles, "templates/*.html"))
)

// Invitation is the content of a mail with a link to set a password.
type Invitation struct {
	Kind      InvitationKind // zero: [FirstInvitation]
	Reader    i18n.Reader    // zero: English
	Custom    CustomText     // in place of parts of a first invitation
	Brand     string         // the product, also shown as the sender
	From      string         // sender's address
	To        string         // recipient's address
	Name      string         // recipient's name; left out of the greeting unless it reads like one
	Link      string         // absolute http or https URL
	ExpiresAt time.Time      // when Link stops working
	MessageID string         // see Message.MessageID
	Date      time.Time      // zero: now; the remaining time is counted from here
}

// InvitationKind is why a mail with a link is sent. Each kind has its subject and
// opening paragraph in the catalog of package i18n: the key with .subject and
// .opening behind it.
type InvitationKind string

// The kinds.
const (
	FirstInvitation InvitationKind = "invitation" // by an administrator or an import
	Renewal         InvitationKind = "renewal"    // the invited person asked for a new link
	Reminder        InvitationKind = "reminder"   // the link was not used yet
	passwordReset   InvitationKind = "reset"
)

// Reset is the content of a password-reset mail. Its fields are those of
// [Invitation]; Kind and Custom do not count.
type Reset Invitation

// Test is the content of the mail an administrator sends to try out the
// settings.
type Test struct {
	Brand     string
	From      string
	To        string
	MessageID string
	Date      time.Time // zero: now
}

// ErrLink is returned for a link that is not an absolute http or https URL, or
// that contains a user name.
var ErrLink = errors.New("the link is not an absolute http or https URL")

// RenderInvitation renders the mail that invites a user to set a password. The
// only error is [ErrLink].
func RenderInvitation(i Invitation) (Message, error) {
	if i.Kind == "" {
		i.Kind = FirstInvitation
	}
	if i.Kind != FirstInvitation {
		i.Custom = CustomText{}
	}
	return i.render()
}

// RenderReminder renders the mail that carries the link of an invitation once
// more. The only error is [ErrLink].
func RenderReminder(i Invitation) (Message, error) {
	i.Kind = Reminder
	return RenderInvitation(i)
}

// RenderReset renders the mail that lets a user set a new password. The only
// error is [ErrLink].
func RenderReset(r Reset) (Message, error) {
	r.Kind, r.Custom = passwordReset, CustomText{}
	return Invitation(r).render()
}

// RenderTest renders a test mail.
func RenderTest(t Test) (Message, error) {
	if t.Date.IsZero() {
		t.Date = time.Now()
	}
	brand := singleLine(t.Brand, maxDisplayName)
	m := Message{
		From:      t.From,
		FromName:  brand,
		To:        t.To,
		Subject:   "Test email from " + brand,
		MessageID: t.MessageID,
		Date:      t.Date,
	}
	return m, m.fill("test", page{Subject: m.Subject, Brand: brand, SentAt: exactTime(t.Date)})
}

func (i Invitation) render() (Message, error) {
	if !isWebLink(i.Link) {
		return Message{}, fmt.Errorf("render %s: %w", i.Kind, ErrLink)
	}
	if i.Date.IsZero() {
		i.Date = time.Now()
	}
	brand, r, kind := singleLine(i.Brand, maxDisplayName), i.Reader, string(i.Kind)
	remaining, expires := r.Remaining(i.ExpiresAt.Sub(i.Date)), r.Moment(i.ExpiresAt)
	common, expiry := "invitation", "invitation" // what most kinds say
	switch i.Kind {
	case passwordReset:
		common, expiry = kind, kind
	case Reminder:
		expiry = kind
	}
	fill := strings.NewReplacer(PlaceholderBrand, brand, PlaceholderRemaining, remaining, PlaceholderExpires, expires)
	p := page{
		Lang: r.Lang(), Brand: brand, Link: i.Link, Greeting: greeting(r, i.Name),
		Subject:    singleLine(custom(i.Custom.Subject, fill, r.Text(kind+".subject", brand), maxSubject), maxSubject),
		Opening:    custom(i.Custom.Opening, fill, r.Text(kind+".opening", brand), maxOpening),
		ActionText: r.Text(common + ".action.text"), Button: r.Text("mail.button"), Fallback: r.Text("mail.button.fallback"),
		Expiry:     r.HTML(expiry+".expiry", remaining, htmltemplate.HTML("<strong>"+htmltemplate.HTMLEscapeString(expires)+"</strong>")),
		ExpiryText: r.Text(expiry+".expiry", remaining, expires), Unexpected: r.Text(common + ".unexpected"),
	}
	if common == "invitation" {
		p.Action = r.Text("invitation.action")
	}
	m := Message{
		From:      i.From,
		FromName:  brand,
		To:        i.To,
		Subject:   p.Subject,
		MessageID: i.MessageID,
		Date:      i.Date,
	}
	return m, m.fill("link", p)
}

// custom is an own text with its placeholders filled, or the usual one.
func custom(own string, fill *strings.Replacer, usual string, limit int) string {
	if own == "" {
		return usual
	}
	return singleLine(fill.Replace(own), limit)
}

// greeting greets by name, if the name can be used.
func greeting(r i18n.Reader, name string) string {
	if name = salutationName(name); name != "" {
		return r.Text("mail.greeting", name)
	}
	return r.Text("mail.greeting.unnamed")
}

// page is the templates' data. Every field except Link is one line of printable
// text.
type page struct {
	Lang, Subject, Brand, Link, SentAt string

	Greeting, Opening, Action, ActionText, Button, Fallback string
	Expiry                                                  htmltemplate.HTML
	ExpiryText, Unexpected                                  string

	Lines []string // of a notice
}

func (m *Message) fill(name string, p page) error {
	if p.Lang == "" {
		p.Lang = i18n.Default
	}
	if p.Greeting == "" {
		p.Greeting = greeting(i18n.Reader{}, "")
	}
	var text, html bytes.Buffer
	if err := textTemplates.ExecuteTemplate(&text, name+".txt", p); err != nil {
		return fmt.Errorf("render text: %w", err)
	}
	if err := htmlTemplates.ExecuteTemplate(&html, name+".html", p); err != nil {
		return fmt.Errorf("render HTML: %w", err)
	}
	m.Text, m.HTML = text.String(), html.String()
	return nil
}

func isWebLink(link string) bool {
	u, err := url.Parse(link)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil {
		return false
	}
	// A character that a mail program would not treat as part of the link ends
	// it early.
	return isASCII(link) && !strings.ContainsAny(link, " \"'<>\\^`{|}")
}

// exactTime formats a time in full and in UTC, for readers anywhere.
func exactTime(t time.Time) string { return i18n.Reader{}.Moment(t) }
