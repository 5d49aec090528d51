package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"
	"time"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"

	"rollcall/roster"
)

// Message is one mail to one recipient.
type Message struct {
	From      string    // address, required
	Sender    string    // envelope sender, which gets what comes back; empty: From
	FromName  string    // shown next to From; empty: none
	To        string    // address, required; a non-ASCII domain is sent as its A-label
	Subject   string    // one line; control characters are dropped
	Text      string    // plain-text body, required
	HTML      string    // HTML body; empty: a text-only mail
	MessageID string    // without angle brackets; empty: a fresh one for each attempt
	Date      time.Time // zero: the time of sending

	// Header are further headers, in ASCII; nil: none.
	Header map[string]string

	// Ready, if not nil, is called when the server is ready for the content,
	// and may block: the content is sent once it returns nil. An error ends the
	// attempt as [Canceled] and closes the connection.
	Ready func(ctx context.Context) error
	// Accepted, if not nil, is called with the server's answer to the content,
	// in the form of Failure.Code and Failure.Reply, before Send returns nil.
	Accepted func(code int, reply string)
}

var (
	errFrom      = errors.New("the From address is not valid")
	errSender    = errors.New("the bounce address is not valid")
	errMessageID = errors.New("the Message-ID is not valid")
	errBody      = errors.New("the mail has no text")
)

// envelope is a message ready to be sent. Its addresses contain nothing that
// could end the SMTP command they are put into.
type envelope struct {
	from, to string
	content  []byte
	ready    func(ctx context.Context) error // nil: at once
	accepted func(code int, reply string)    // nil: not called
}

func (m Message) seal() (envelope, *Failure) {
	from, err := roster.MailAddress(m.From)
	if err != nil {
		// The sender is a setting: the recipient is not at fault.
		return envelope{}, &Failure{Class: ServerDown, Configuration: true, Stage: StageCompose, Err: errFrom}
	}
	sender := from
	if m.Sender != "" {
		if sender, err = roster.MailAddress(m.Sender); err != nil {
			return envelope{}, &Failure{Class: ServerDown, Configuration: true, Stage: StageCompose, Err: errSender}
		}
	}
	to, err := roster.MailAddress(m.To)
	if err != nil {
		return envelope{}, &Failure{Class: Permanent, Stage: StageCompose, Err: errAddress}
	}
	var content bytes.Buffer
	if err := m.compose(&content, from, to); err != nil {
		return envelope{}, &Failure{Class: Permanent, Stage: StageCompose, Err: err}
	}
	return envelope{from: sender, to: to, content: content.Bytes(), ready: m.Ready, accepted: m.Accepted}, nil
}

// compose writes the content.
func (m Message) compose(into *bytes.Buffer, from, to string) error {
	id := m.MessageID
	if id == "" {
		id = NewMessageID(from)
	}
	id, err := roster.MailAddress(id) // a From address may have a domain in another script
	if err != nil {
		return errMessageID
	}
	if m.Text == "" {
		return errBody
	}
	date := m.Date
	if date.IsZero() {
		date = time.Now()
	}

	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&netmail.Address{Name: headerText(m.FromName, maxDisplayName), Address: from})
	msg.ToMailAddress(&netmail.Address{Address: to})
	msg.Subject(headerText(m.Subject, maxSubject))
	msg.SetDateWithValue(date)
	msg.SetMessageIDWithValue(id)
	// RFC 3834, section 5: keeps vacation responders from answering.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	// For Exchange. Not "All", which suppresses reports of non-delivery too.
	msg.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "DR", "RN", "NRN", "OOF", "AutoReply")
	for name, value := range m.Header {
		msg.SetGenHeader(gomail.Header(name), value)
	}
	msg.SetBodyString(gomail.TypeTextPlain, valid(m.Text))
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, valid(m.HTML))
	}

	if _, err := msg.WriteTo(into); err != nil {
		return fmt.Errorf("compose mail: %w", err)
	}
	return nil
}

// valid is strings.ToValidUTF8, with a fast path for valid text.
func valid(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
