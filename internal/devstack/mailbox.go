package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/emersion/go-smtp"
)

// Limits of the captured mailbox.
const (
	mailboxMails      = 20_000
	mailboxBytes      = 256 << 20
	mailboxMailBytes  = 1 << 20
	mailboxRecipients = 100
	mailboxLineBytes  = 2000
	mailboxRead       = 10 * time.Minute
	mailboxWrite      = 30 * time.Second
)

// Captured is one captured mail, decoded. Its JSON form is that of /dev/mail.
type Captured struct {
	ID         string    `json:"id"`
	To         string    `json:"to"`          // envelope recipients, joined by ", "
	From       string    `json:"from"`        // From header, decoded: `Name <address>` or the address alone
	Subject    string    `json:"subject"`     // decoded
	ReceivedAt time.Time `json:"received_at"` // UTC
	Text       string    `json:"text"`        // plain-text body; empty if there is none
	HTML       string    `json:"html"`        // HTML body; empty if there is none
	Links      []string  `json:"links"`       // http and https links of both bodies in order, each once; never nil
}

// ErrNoMail is returned for a mail that was never captured or is no longer kept.
var ErrNoMail = errors.New("no such mail")

// Mailbox is an SMTP server on the loopback interface that accepts every mail
// and delivers none: it keeps them on disk for reading. It keeps the newest
// 20,000, or as many of them as fit in 256 MiB, and rejects a mail larger than
// 1 MiB. Memory use does not depend on the size of the mails.
type Mailbox struct {
	store    *mailStore
	server   *smtp.Server
	listener net.Listener
	served   chan error
}

// StartMailbox opens the mailbox in dir, which is created if necessary, and
// listens on a free loopback port. Mails captured earlier are still there. A
// directory must not be used by two mailboxes at a time. ctx bounds only the
// start; end the mailbox with Stop.
func StartMailbox(ctx context.Context, dir string) (*Mailbox, error) {
	return startMailbox(ctx, dir, mailboxMails, mailboxBytes)
}

func startMailbox(ctx context.Context, dir string, maxMails int, maxBytes int64) (*Mailbox, error) {
	store, err := openMailStore(dir, maxMails, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("start mailbox: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start mailbox: %w", err)
	}
	m := &Mailbox{store: store, listener: listener, served: make(chan error, 1)}
	m.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &mailSession{store: store}, nil
	}))
	m.server.Domain = "localhost"
	m.server.MaxMessageBytes = mailboxMailBytes
	m.server.MaxRecipients = mailboxRecipients
	m.server.MaxLineLength = mailboxLineBytes
	m.server.ReadTimeout = mailboxRead
	m.server.WriteTimeout = mailboxWrite
	// It would only log broken connections, and might log an address.
	m.server.ErrorLog = log.New(io.Discard, "", 0)
	go func() { m.served <- m.server.Serve(listener) }()
	return m, nil
}

// SMTPURL returns the SMTP URL of the mailbox, such as
// smtp://127.0.0.1:40123?tls=none.
func (m *Mailbox) SMTPURL() string {
	u := url.URL{Scheme: "smtp", Host: m.listener.Addr().String(), RawQuery: "tls=none"}
	return u.String()
}

// Len returns the number of mails kept.
func (m *Mailbox) Len() int { return len(m.store.newestFirst()) }

// List returns the newest mails, at most limit of them, newest first. A limit
// of 0 or less means all; prefer [Mailbox.All] for many.
func (m *Mailbox) List(limit int) ([]Captured, error) {
	mails := []Captured{}
	for mail, err := range m.All() {
		if err != nil {
			return nil, err
		}
		mails = append(mails, mail)
		if len(mails) == limit {
			break
		}
	}
	return mails, nil
}

// All yields every mail kept, newest first, one in memory at a time. Mails that
// arrive meanwhile are not included. It ends after an error.
func (m *Mailbox) All() iter.Seq2[Captured, error] {
	return func(yield func(Captured, error) bool) {
		for _, id := range m.store.newestFirst() {
			mail, err := m.get(id)
			if errors.Is(err, ErrNoMail) {
				continue // deleted meanwhile to make room for a newer one
			}
			if !yield(mail, err) || err != nil {
				return
			}
		}
	}
}

// Get returns the mail with the given ID, or [ErrNoMail].
func (m *Mailbox) Get(id string) (Captured, error) {
	number, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return Captured{}, ErrNoMail
	}
	return m.get(number)
}

func (m *Mailbox) get(id uint64) (Captured, error) {
	received, err := m.store.read(id)
	if err != nil {
		return Captured{}, err
	}
	return decodeMail(id, received), nil
}

// Stop closes the server and every connection to it, and then the files. It
// must be called once.
func (m *Mailbox) Stop() error {
	// The server only closes the listener if it was already serving it.
	_ = m.server.Close()
	_ = m.listener.Close()
	err := <-m.served
	m.store.close()
	if err != nil {
		return fmt.Errorf("stop mailbox: %w", err)
	}
	return nil
}

// mailSession captures the mails of one connection.
type mailSession struct {
	store *mailStore
	from  string
	to    []string
}

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r) // bounded by MaxMessageBytes
	if err != nil {
		return err
	}
	if err := s.store.append(receivedMail{ReceivedAt: time.Now().UTC(), From: s.from, To: s.to, Raw: raw}); err != nil {
		// An error without a code would reject the mail permanently.
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "The mailbox cannot store it: " + err.Error()}
	}
	return nil
}

func (s *mailSession) Reset() { s.from, s.to = "", nil }

func (s *mailSession) Logout() error { return nil }
