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
)

//go:embed templates
var templateFiles embed.FS

var (
	textTemplates = texttemplate.Must(texttemplate.ParseFS(templateFiles, "templates/*.txt"))
	htmlTemplates = htmltemplate.Must(htmltemplate.ParseFS(templateFiles, "templates/*.html"))
)

// Invitation is what an invitation to set a password says, and to whom.
type Invitation struct {
	Brand     string    // the product, also shown as the sender
	From      string    // sender's address
	To        string    // recipient's address
	Name      string    // recipient's name; left out of the greeting unless it reads like one
	Link      string    // absolute http or https URL
	ExpiresAt time.Time // when Link stops working
	MessageID string    // see Message.MessageID
	Date      time.Time // zero: now; the remaining time is told from here
}

// Reset is what a password-reset mail says, and to whom. Its fields are those
// of [Invitation].
type Reset Invitation

// Test is the mail an administrator sends to try out the settings.
type Test struct {
	Brand     string
	From      string
	To        string
	MessageID string
	Date      time.Time // zero: now
}

// ErrLink is returned for a link that is not an absolute http or https URL, or
// that carries a user name.
var ErrLink = errors.New("the link is not an absolute http or https URL")

// RenderInvitation renders the mail that invites someone to set a password. It
// fails with [ErrLink] only.
func RenderInvitation(i Invitation) (Message, error) {
	return i.render("invitation", "Set your password for %s")
}

// RenderReset renders the mail that lets someone set a new password. It fails
// with [ErrLink] only.
func RenderReset(r Reset) (Message, error) {
	return Invitation(r).render("reset", "Reset your password for %s")
}

// RenderTest renders the mail that shows that sending works.
func RenderTest(t Test) (Message, error) {
	if t.Date.IsZero() {
		t.Date = time.Now()
	}
	brand := singleLine(t.Brand, maxDisplayName)
	m := Message{
		From:      t.From,
		FromName:  brand,
		To:        t.To,
		Subject:   "Test mail from " + brand,
		MessageID: t.MessageID,
		Date:      t.Date,
	}
	return m, m.fill("test", page{Subject: m.Subject, Brand: brand, SentAt: exactTime(t.Date)})
}

func (i Invitation) render(name, subject string) (Message, error) {
	if !isWebLink(i.Link) {
		return Message{}, fmt.Errorf("render %s: %w", name, ErrLink)
	}
	if i.Date.IsZero() {
		i.Date = time.Now()
	}
	brand := singleLine(i.Brand, maxDisplayName)
	m := Message{
		From:      i.From,
		FromName:  brand,
		To:        i.To,
		Subject:   fmt.Sprintf(subject, brand),
		MessageID: i.MessageID,
		Date:      i.Date,
	}
	return m, m.fill(name, page{
		Subject:   m.Subject,
		Brand:     brand,
		Name:      greetingName(i.Name),
		Link:      i.Link,
		Remaining: remainingTime(i.ExpiresAt.Sub(i.Date)),
		ExpiresAt: exactTime(i.ExpiresAt),
	})
}

// page is what the templates see. All but Link is one line of printable text.
type page struct {
	Subject, Brand, Name, Link   string
	Remaining, ExpiresAt, SentAt string
}

func (m *Message) fill(name string, p page) error {
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
	// What a mail program would not take as part of the link ends it early.
	return isASCII(link) && !strings.ContainsAny(link, " \"'<>\\^`{|}")
}

// exactTime tells a time in full and in UTC, for readers anywhere.
func exactTime(t time.Time) string {
	return t.UTC().Format("Monday, 2 January 2006 at 15:04 UTC")
}

// remainingTime says d in words, rounded to the unit people would use; the
// exact time stands beside it.
func remainingTime(d time.Duration) string {
	switch {
	case d < 90*time.Minute:
		return counted(max(1, int(d.Round(time.Minute)/time.Minute)), "minute")
	case d < 36*time.Hour:
		return counted(int(d.Round(time.Hour)/time.Hour), "hour")
	default:
		const day = 24 * time.Hour
		return counted(int(d.Round(day)/day), "day")
	}
}

func counted(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
