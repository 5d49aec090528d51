package events

import (
	"context"
	"strings"

	"rollcall/mail/bounce"
)

// sesEvent is a notification or an event of SES about one mail.
type sesEvent struct {
	NotificationType string `json:"notificationType"` // of a notification
	EventType        string `json:"eventType"`        // of an event of a configuration set
	Mail             struct {
		Source  string `json:"source"` // envelope sender
		Headers []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"headers"`
	} `json:"mail"`
	Bounce struct {
		Type       string         `json:"bounceType"`
		SubType    string         `json:"bounceSubType"`
		Recipients []sesRecipient `json:"bouncedRecipients"`
	} `json:"bounce"`
	DeliveryDelay struct {
		Type       string         `json:"delayType"`
		Recipients []sesRecipient `json:"delayedRecipients"`
	} `json:"deliveryDelay"`
}

type sesRecipient struct {
	Status     string `json:"status"`
	Diagnostic string `json:"diagnosticCode"`
}

// Read verifies a message of SNS and reads the event of SES in it. A request to
// confirm a subscription to one of our topics is confirmed.
func (s *SNS) Read(ctx context.Context, body []byte) ([]bounce.Report, error) {
	m, err := s.receive(ctx, body)
	if err != nil || m.Type != snsNotification {
		return nil, err
	}
	var e sesEvent
	if strings.HasPrefix(m.Message, "Successfully validated SNS topic") { // a test by SES, without JSON
		return nil, nil
	}
	if err := decode([]byte(m.Message), &e); err != nil {
		return nil, err
	}
	return e.reports(), nil
}

func (e *sesEvent) reports() []bounce.Report {
	tokens := bounce.Tokens(e.Mail.Source)
	for _, h := range e.Mail.Headers {
		if strings.EqualFold(h.Name, bounce.TokenHeader) {
			tokens = append(tokens, h.Value)
		}
	}
	if len(tokens) == 0 {
		return nil
	}
	switch e.NotificationType + e.EventType { // one of them is empty
	case "Bounce":
		r := firstRecipient(e.Bounce.Recipients)
		verdict := bounce.Delayed
		if e.Bounce.Type == "Permanent" || strings.HasPrefix(r.Status, "5") {
			verdict = bounce.Permanent
		}
		return []bounce.Report{report(verdict, tokens, r.words(), strings.TrimSpace(e.Bounce.Type+" "+e.Bounce.SubType))}
	case "DeliveryDelay":
		return []bounce.Report{report(bounce.Delayed, tokens, firstRecipient(e.DeliveryDelay.Recipients).words(), e.DeliveryDelay.Type)}
	}
	return nil
}

// firstRecipient is the only one: each mail has one.
func firstRecipient(all []sesRecipient) sesRecipient {
	if len(all) == 0 {
		return sesRecipient{}
	}
	return all[0]
}

func (r sesRecipient) words() string {
	_, words, typed := strings.Cut(r.Diagnostic, ";")
	if !typed {
		words = r.Diagnostic
	}
	if r.Status != "" && !strings.Contains(words, r.Status) {
		words = r.Status + " " + words
	}
	return strings.TrimSpace(words)
}
