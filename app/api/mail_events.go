package api

import (
	"fmt"

	"rollcall/config"
	"rollcall/httpapi"
	"rollcall/internal/egress"
	"rollcall/jobs/bounces"
	"rollcall/mail/bounce/events"
)

// mailEvents are the mail providers that the environment names.
func mailEvents(cfg config.Config, recorder *bounces.Recorder, allowed egress.Addresses) (e httpapi.MailEvents, err error) {
	e = httpapi.MailEvents{Recorder: recorder, PostmarkPassword: cfg.PostmarkPassword.Reveal()}
	if cfg.SESTopics != "" {
		topics, err := events.ParseTopics(cfg.SESTopics)
		if err != nil {
			return e, fmt.Errorf("ROLLCALL_SES_TOPICS: %w", err)
		}
		e.SES = events.NewSNS(topics, events.NewFetch(events.FetchConfig{Allowed: allowed}))
	}
	if cfg.SendGridKey != "" {
		if e.SendGrid, err = events.ParseSendGridKey(cfg.SendGridKey); err != nil {
			return e, fmt.Errorf("ROLLCALL_SENDGRID_KEY: %w", err)
		}
	}
	return e, nil
}
