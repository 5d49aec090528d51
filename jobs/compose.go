package jobs

import (
	"context"
	"fmt"
	"strings"

	"rollcall/mail"
	"rollcall/storage"
)

// composeAll composes the mails of attempts until ctx ends, each while others are
// sent.
func (m *Mailer) composeAll(ctx context.Context, composed chan<- *attempt) {
	for {
		select {
		case a := <-m.attempts:
			if err := m.compose(a); err != nil {
				a.end(err)
				continue
			}
			select {
			case composed <- a:
			case <-a.ctx.Done():
				a.end(canceledAttempt(a.ctx))
			}
		case <-ctx.Done():
			return
		}
	}
}

// compose writes the mail. Every attempt of one generation has the same Message-ID
// and the same link, so a mail that arrives twice is seen to be one.
func (m *Mailer) compose(a *attempt) (err error) {
	defer m.caught(&err)
	if a.way, err = m.postman.route(a.ctx, a.out.SettingsAt); err != nil {
		return err
	}
	if a.way.fault != nil {
		return a.way.fault
	}
	message, err := mail.RenderInvitation(mail.Invitation{
		Brand: m.cfg.Brand, From: a.way.from, To: a.out.Email, Name: a.out.Name,
		Link:      m.cfg.PublicURL + "/invite/" + m.signer.InvitationToken(a.out.UserID, int(a.out.Generation)),
		ExpiresAt: a.out.ExpiresAt,
		MessageID: messageID(a.out, a.way.from),
	})
	if err != nil {
		return err
	}
	a.mail, err = message.Compose()
	return err
}

// messageID is fixed by user and generation.
func messageID(out storage.Outgoing, from string) string {
	_, domain, _ := strings.Cut(from, "@")
	return fmt.Sprintf("%s.%d@%s", out.UserID, out.Generation, domain)
}
