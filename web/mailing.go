package web

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/egress"
	"rollcall/jobs"
	"rollcall/mail"
	"rollcall/storage"
)

// MailDefaults are what mail is sent by while Settings > Email is empty.
type MailDefaults struct {
	Server *mail.Server      // nil: none
	From   string            // sender's address
	Within *egress.Addresses // those that a server named in Settings > Email may have; nil: any
}

// sealer encrypts secrets that are stored; see auth.Sealer.
type sealer interface {
	Seal(plain, context string) string
	Open(sealed, context string) (string, error)
}

var (
	errNoMailServer = errors.New("no mail server is configured")
	errSealed       = errors.New("the stored SMTP password cannot be opened")
)

// mailing sends the few mails that pages ask for, each over a connection of its
// own; those of imports are the workers' business.
type mailing struct {
	store    *storage.Store
	sealer   sealer
	defaults MailDefaults
}

// settings reads what mail is sent by at this moment. The error is
// errNoMailServer, errSealed, or says that they could not be read.
func (m mailing) settings(ctx context.Context) (server mail.Server, from string, err error) {
	stored, err := m.store.EmailSettings(ctx)
	switch {
	case err != nil:
		return server, "", err
	case stored == nil && m.defaults.Server == nil:
		return server, "", errNoMailServer
	case stored == nil:
		return *m.defaults.Server, m.defaults.From, nil
	}
	server, from = m.defaults.serverOf(*stored), stored.From
	if from == "" {
		from = m.defaults.From
	}
	if stored.SealedPassword != "" {
		if server.Password, err = m.sealer.Open(stored.SealedPassword, jobs.PasswordContext); err != nil {
			return server, "", fmt.Errorf("%w: %w", errSealed, err)
		}
	}
	return server, from, nil
}

// mailPatience bounds each step of a conversation somebody waits for.
const mailPatience = 10 * time.Second

// send hands one message to a server. What the server refuses is a
// *[mail.Failure]; any other error is a fault of its settings.
func send(ctx context.Context, server mail.Server, m mail.Message) error {
	pool, err := mail.NewPool(server, mail.PoolConfig{Size: 1, ConnectTimeout: mailPatience, CommandTimeout: mailPatience})
	if err != nil {
		return err
	}
	defer pool.Close()
	return pool.Send(ctx, m)
}
