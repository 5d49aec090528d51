package invitations

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"rollcall/mail"
	"rollcall/mail/settings"
	"rollcall/storage"
)

// compose writes an invitation, or a reminder with the link of the invitation, in
// the language of the person. Every attempt of one generation has the same Message-ID
// and the same link, so a mail that arrives twice is recognized as one.
func (s *Sender) compose(out storage.InvitationMail, texts settings.Invitation, from string) (mail.Message, error) {
	reader, kind := texts.Reader(out.Locale), mail.FirstInvitation
	switch {
	case out.ReminderID != uuid.Nil:
		kind = mail.Reminder
	case out.Renewed:
		kind = mail.Renewal
	}
	m, err := mail.RenderInvitation(mail.Invitation{
		Kind: kind, Reader: reader, Custom: texts.Custom(reader),
		Brand: s.cfg.Brand, From: from, To: out.Email, Name: out.Name,
		Link:      s.cfg.PublicURL + "/invite/" + s.signer.InvitationToken(out.UserID, int(out.Generation)),
		ExpiresAt: out.ExpiresAt,
		MessageID: messageID(out, from),
	})
	if err == nil && s.cfg.Tracking != nil {
		s.cfg.Tracking.Mark(&m, out.UserID, int(out.Generation))
	}
	return m, err
}

// messageID is fixed by user and generation, or by the reminder.
func messageID(out storage.InvitationMail, from string) string {
	_, domain, _ := strings.Cut(from, "@")
	if out.ReminderID != uuid.Nil {
		return fmt.Sprintf("%s.r@%s", out.ReminderID, domain)
	}
	return fmt.Sprintf("%s.%d@%s", out.UserID, out.Generation, domain)
}
