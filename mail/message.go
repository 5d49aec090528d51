package mail

import (
	"bytes"
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"
)

// Message is one mail to one recipient.
type Message struct {
	From      string    // address, required
	FromName  string    // shown beside From; empty: none
	To        string    // address, required; a non-ASCII domain is sent as its A-label
	Subject   string    // one line; control characters are dropped
	Text      string    // plain-text body, required
	HTML      string    // HTML body; empty: a text-only mail
	MessageID string    // without angle brackets; empty: a fresh one for each attempt
	Date      time.Time // zero: the time of sending

	// Accepted, if not nil, is told the server's answer to the content, in the
	// form of Failure.Code and Failure.Reply, before Send returns nil.
	Accepted func(code int, reply string)
}

var (
	errFrom      = errors.New("the From address is not valid")
	errMessageID = errors.New("the Message-ID is not valid")
	errBody      = errors.New("the mail has no text")
)

// Composed is a message ready for the wire; see [Message.Compose].
type Composed struct{ *envelope }

// envelope is what a Composed hides. The addresses hold nothing that could end
// the command line they are put into.
type envelope struct {
	from, to string
	content  []byte                       // dotted
	accepted func(code int, reply string) // nil: nobody asks
}

// Compose makes of a message what [Sequence.Deliver] sends, which takes as long as the
// sending where the server is fast. The error is a *[Failure].
func (m Message) Compose() (Composed, error) {
	e, failure := m.seal()
	if failure != nil {
		return Composed{}, failure
	}
	return Composed{&e}, nil
}

func (m Message) seal() (envelope, *Failure) {
	from, err := wireAddress(m.From)
	if err != nil {
		// The sender is a setting: no recipient is to blame for it.
		return envelope{}, &Failure{Class: ServerDown, Configuration: true, Stage: StageCompose, Err: errFrom}
	}
	to, err := wireAddress(m.To)
	if err != nil {
		return envelope{}, &Failure{Class: Permanent, Stage: StageCompose, Err: err}
	}
	content := scratch.Get().(*bytes.Buffer)
	defer scratch.Put(content)
	content.Reset()
	if err := m.compose(content, from, to); err != nil {
		return envelope{}, &Failure{Class: Permanent, Stage: StageCompose, Err: err}
	}
	return envelope{from: from, to: to, content: dotted(content.Bytes()), accepted: m.Accepted}, nil
}

// scratch are buffers to compose in.
var scratch = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// compose writes the content as it is before it is dotted.
func (m Message) compose(into *bytes.Buffer, from, to string) error {
	id := m.MessageID
	if id == "" {
		id = NewMessageID(from)
	}
	if _, err := wireAddress(id); err != nil {
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
	msg.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	msg.SetBodyString(gomail.TypeTextPlain, valid(m.Text))
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, valid(m.HTML))
	}

	if _, err := msg.WriteTo(into); err != nil {
		return fmt.Errorf("compose mail: %w", err)
	}
	return nil
}

// valid is strings.ToValidUTF8, which takes its time over text that is valid.
func valid(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
