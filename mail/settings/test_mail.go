package settings

import (
	"context"
	"errors"
	"time"

	"rollcall/mail"
)

// TestTimeout bounds a test mail, from connecting to the last answer.
const TestTimeout = 30 * time.Second

// connectTimeout bounds the TCP connection. It is less than mail.ProbeTime, so
// that a filtered port takes no longer than a closed one.
const connectTimeout = 6 * time.Second

// stepTimeout bounds each step of a session that a person waits for.
const stepTimeout = 10 * time.Second

// TestResult is the server's answer to a test mail.
type TestResult struct {
	Failure *mail.Failure // nil: the server accepted the mail
	Code    int           // of the last reply; 0: the server did not answer
	Reply   string        // the server's own text, without codes
}

// Test sends a test mail to an address over a connection of its own. The error
// is not the server's: either the settings cannot be used, or ctx has ended.
func (s *Settings) Test(ctx context.Context, out Outgoing, to string) (r TestResult, err error) {
	message, err := mail.RenderTest(mail.Test{Brand: s.defaults.Brand, From: out.From, To: to})
	if err != nil {
		return r, err
	}
	return s.TestWith(ctx, out, message)
}

// TestWith is Test with another mail, from the sender of out.
func (s *Settings) TestWith(ctx context.Context, out Outgoing, message mail.Message) (r TestResult, err error) {
	limited, cancel := context.WithTimeout(ctx, TestTimeout)
	defer cancel()
	message.From = out.From
	message.Sender = s.defaults.Sender // as in invitations, but for the token
	message.Accepted = func(code int, reply string) { r.Code, r.Reply = code, reply }
	err = Send(limited, out.Server, message)
	failure, ok := errors.AsType[*mail.Failure](err)
	if !ok || ctx.Err() != nil {
		return r, err
	}
	return TestResult{Failure: failure, Code: failure.Code, Reply: failure.Reply}, nil
}

// Send hands one mail to a server over a connection of its own, for the few
// mails that pages send. A rejection by the server is a *[mail.Failure]; any
// other error is a problem of the server's settings.
func Send(ctx context.Context, server mail.Server, m mail.Message) error {
	pool, err := mail.NewPool(server, mail.PoolConfig{
		Size: 1, ConnectTimeout: connectTimeout, CommandTimeout: stepTimeout, DataTimeout: stepTimeout,
	})
	if err != nil {
		return err
	}
	defer pool.Close()
	began := time.Now()
	err = pool.Send(ctx, m)
	if failure, ok := errors.AsType[*mail.Failure](err); ok && failure.Concealed() {
		select {
		case <-time.After(time.Until(began.Add(mail.ProbeTime))):
		case <-ctx.Done():
		}
	}
	return err
}
