//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"

	"rollcall/mail"
)

// mailConnections is what both sides use; it is the worker's default.
const mailConnections = 4

// measureMail times invitations from being due to being recorded as sent,
// against a loop around go-mail over as many kept-open connections.
func measureMail(ctx context.Context, l *env) ([]Line, error) {
	mails := l.scaled(20_000)
	path, err := l.file(ctx, fileOf{rows: mails})
	if err != nil {
		return nil, err
	}
	line := Line{
		What: fmt.Sprintf("%s invitations, due to recorded as sent", thousands(mails)), Unit: "mails/s",
		Against: fmt.Sprintf("go-mail in a loop, %d connections kept open", mailConnections), Wanted: atLeastTimes(0.55),
	}
	err = l.rounds(3, func(int) error {
		ours, err := l.timeInvitations(ctx, path, mails)
		if err != nil {
			return err
		}
		theirs, err := l.timeGoMail(ctx, mails)
		line.Ours, line.Theirs = append(line.Ours, float64(mails)/ours.Seconds()), append(line.Theirs, float64(mails)/theirs.Seconds())
		return err
	})
	return []Line{line}, err
}

// timeInvitations imports people without inviting them, and then times inviting
// them all.
func (l *env) timeInvitations(ctx context.Context, path string, mails int) (took time.Duration, err error) {
	h, err := l.open(ctx, settings{mail: true, env: []string{"ROLLCALL_MAIL_CONCURRENCY=" + strconv.Itoa(mailConnections)}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	i, _, err := h.run(ctx, path, "send_invitations", "false")
	if err != nil {
		return 0, err
	}
	if i.Invitations.Held != int64(mails) {
		return 0, fmt.Errorf("%d people ended as %+v", mails, i)
	}
	// PostgreSQL does this by itself some minutes after an import: from now on
	// it assumes that no invitation is due.
	if _, err := h.db.ExecContext(ctx, `ANALYZE`); err != nil {
		return 0, err
	}
	before := l.sink.taken.Load()
	began := time.Now()
	if err := h.invite(ctx, i); err != nil {
		return 0, err
	}
	took = time.Since(began)
	if n := l.sink.taken.Load() - before; n != int64(mails) {
		err = fmt.Errorf("%d mails arrived of %d", n, mails)
	}
	return took, err
}

// timeGoMail renders and sends as many invitations in the simplest way.
func (l *env) timeGoMail(ctx context.Context, mails int) (time.Duration, error) {
	host, port, err := net.SplitHostPort(l.sink.address())
	if err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	errs := make([]error, mailConnections)
	var sending sync.WaitGroup
	for k := range mailConnections {
		sending.Go(func() {
			client, err := gomail.NewClient(host, gomail.WithPort(number), gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithTimeout(10*time.Second))
			if err == nil {
				err = client.DialWithContext(ctx)
			}
			for n := k; err == nil && n < mails; n += mailConnections {
				err = sendPlainly(client, n)
			}
			if err == nil {
				err = client.Close()
			}
			errs[k] = err
		})
	}
	sending.Wait()
	return time.Since(began), errors.Join(errs...)
}

func sendPlainly(client *gomail.Client, n int) error {
	rendered, err := mail.RenderInvitation(mail.Invitation{
		Brand: "SecureAI", From: "no-reply@localhost", To: fmt.Sprintf("person.%d@example.com", n), Name: "Grace Hopper",
		Link:      "http://localhost:8080/invite/0198a7b2c3d4e5f60718293a4b5c6d7e-1-0123456789abcdef0123456789abcdef",
		ExpiresAt: time.Now().Add(72 * time.Hour), MessageID: fmt.Sprintf("%d@localhost", n),
	})
	if err != nil {
		return err
	}
	msg := gomail.NewMsg()
	if err := errors.Join(msg.From(rendered.From), msg.To(rendered.To)); err != nil {
		return err
	}
	msg.Subject(rendered.Subject)
	msg.SetBodyString(gomail.TypeTextPlain, rendered.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, rendered.HTML)
	return client.Send(msg)
}
