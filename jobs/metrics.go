package jobs

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/mail"
)

// Metrics are what the workers count. No label holds anything of a file.
type Metrics struct {
	batchSeconds *prometheus.HistogramVec
	rows         *prometheus.CounterVec
	claimsLost   prometheus.Counter
	turnsLate    prometheus.Counter
	sweeps       *prometheus.CounterVec
	mails        *prometheus.CounterVec
	smtpAnswers  *prometheus.CounterVec
	webhooks     *prometheus.CounterVec
	panics       *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		batchSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rollcall_batch_seconds", Help: "Time to commit one batch of rows, by pass.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 13),
		}, []string{"pass"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_rows_total", Help: "Rows committed, by pass and outcome.",
		}, []string{"pass", "outcome"}),
		claimsLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_claims_lost_total", Help: "Claims found to be another worker's at commit; nothing was written.",
		}),
		turnsLate: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_turns_late_total", Help: "Batches that let go of their rows because the batch before took too long, and were done again.",
		}),
		sweeps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_sweeps_total", Help: "Things the sweeper set going again, by kind.",
		}, []string{"kind"}),
		mails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_mails_total", Help: "Attempts to send an invitation, by how they ended.",
		}, []string{"outcome"}),
		smtpAnswers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_smtp_answers_total", Help: "Answers of the mail server that ended an attempt, by stage of the conversation and class of the reply code; class none: it did not answer.",
		}, []string{"stage", "class"}),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_webhooks_total", Help: "Attempts to deliver a webhook, by how they ended.",
		}, []string{"outcome"}),
		panics: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_panics_total", Help: "Panics that were caught, by what was being worked on.",
		}, []string{"at"}),
	}
	reg.MustRegister(m.batchSeconds, m.rows, m.claimsLost, m.turnsLate, m.sweeps, m.mails, m.smtpAnswers, m.webhooks, m.panics)
	m.zero()
	return m
}

// zero has the counters that alerts look at be there before they first count:
// an increase from nothing is none.
func (m *Metrics) zero() {
	for _, kind := range []string{"import", "purge"} {
		m.sweeps.WithLabelValues(kind)
	}
	for _, class := range []mail.Class{mail.Temporary, mail.Permanent, mail.Unknown, mail.ServerDown, mail.Canceled} {
		m.mails.WithLabelValues(class.String())
	}
	for _, outcome := range []string{outcomeSent, outcomeNotSendable} {
		m.mails.WithLabelValues(outcome)
	}
	for _, at := range []string{atImport, atInvitation, atTask} {
		m.panics.WithLabelValues(at)
	}
}

// Outcomes of an attempt to send beside the classes of failures.
const (
	outcomeSent        = "sent"
	outcomeNotSendable = "not_sendable" // no attempt could be made: our settings are at fault
)

// What was being worked on when there was a panic.
const (
	atImport     = "import"
	atInvitation = "invitation"
	atTask       = "task"
)

// sent counts an attempt to send that the mail server's answer ended, or its
// silence; nil: it took the mail.
func (m *Metrics) sent(f *mail.Failure) {
	if f == nil {
		m.mails.WithLabelValues(outcomeSent).Inc()
		m.smtpAnswers.WithLabelValues(string(mail.StageEnd), "2xx").Inc()
		return
	}
	m.mails.WithLabelValues(f.Class.String()).Inc()
	if f.Class == mail.Canceled || f.Stage == mail.StageCompose {
		return // nobody was asked, or nobody waited for the answer
	}
	class := "none"
	if digit := f.Code / 100; digit >= 1 && digit <= 5 {
		class = fmt.Sprintf("%dxx", digit)
	}
	m.smtpAnswers.WithLabelValues(string(f.Stage), class).Inc()
}

// batch counts a committed batch.
func (m *Metrics) batch(pass string, began time.Time, rows map[string]int64) {
	m.batchSeconds.WithLabelValues(pass).Observe(time.Since(began).Seconds())
	for outcome, n := range rows {
		m.rows.WithLabelValues(pass, outcome).Add(float64(n))
	}
}
