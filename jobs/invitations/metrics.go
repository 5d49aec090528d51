package invitations

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/mail"
)

// Metrics are the metrics of invitations. No label contains anything from a
// file.
type Metrics struct {
	mails       *prometheus.CounterVec
	smtpAnswers *prometheus.CounterVec
	reminders   prometheus.Counter
	panics      prometheus.Counter
}

// Outcomes of an attempt besides the failure classes.
const (
	outcomeSent        = "sent"
	outcomeNotSendable = "not_sendable" // no attempt was possible because of our own settings
)

// NewMetrics registers the metrics. panics counts panics while sending.
func NewMetrics(reg prometheus.Registerer, panics prometheus.Counter) *Metrics {
	m := &Metrics{
		mails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_mail_attempts_total", Help: "Attempts to send an invitation or a reminder, by how they ended.",
		}, []string{"outcome"}),
		smtpAnswers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_smtp_replies_total", Help: "Answers of the mail server that ended an attempt, by stage of the conversation and class of the reply code; class none: it did not answer.",
		}, []string{"stage", "class"}),
		reminders: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_reminders_sent_total", Help: "Reminders of unused invitations that the mail server accepted.",
		}),
		panics: panics,
	}
	reg.MustRegister(m.mails, m.smtpAnswers, m.reminders)
	// Start every series at 0: an alert on the increase would miss the first
	// failure otherwise.
	for _, class := range []mail.Class{mail.Temporary, mail.Permanent, mail.Unknown, mail.ServerDown, mail.Canceled} {
		m.mails.WithLabelValues(class.String())
	}
	for _, outcome := range []string{outcomeSent, outcomeNotSendable} {
		m.mails.WithLabelValues(outcome)
	}
	return m
}

// sent counts an attempt that got as far as the mail server; f is nil if the
// server accepted the mail.
func (m *Metrics) sent(f *mail.Failure) {
	if f == nil {
		m.mails.WithLabelValues(outcomeSent).Inc()
		m.smtpAnswers.WithLabelValues(string(mail.StageEnd), "2xx").Inc()
		return
	}
	m.mails.WithLabelValues(f.Class.String()).Inc()
	if f.Class == mail.Canceled || f.Stage == mail.StageCompose {
		return // the server was not contacted, or we did not wait for its answer
	}
	class := "none"
	if digit := f.Code / 100; digit >= 1 && digit <= 5 {
		class = fmt.Sprintf("%dxx", digit)
	}
	m.smtpAnswers.WithLabelValues(string(f.Stage), class).Inc()
}
