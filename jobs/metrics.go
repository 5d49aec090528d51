package jobs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what the workers count. No label holds anything of a file.
type Metrics struct {
	batchSeconds *prometheus.HistogramVec
	rows         *prometheus.CounterVec
	claimsLost   prometheus.Counter
	sweeps       *prometheus.CounterVec
	mails        *prometheus.CounterVec
	webhooks     *prometheus.CounterVec
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
		sweeps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_sweeps_total", Help: "Things the sweeper set going again, by kind.",
		}, []string{"kind"}),
		mails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_mails_total", Help: "Attempts to send an invitation, by how they ended.",
		}, []string{"outcome"}),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_webhooks_total", Help: "Attempts to deliver a webhook, by how they ended.",
		}, []string{"outcome"}),
	}
	reg.MustRegister(m.batchSeconds, m.rows, m.claimsLost, m.sweeps, m.mails, m.webhooks)
	return m
}

// batch counts a committed batch.
func (m *Metrics) batch(pass string, began time.Time, rows map[string]int64) {
	m.batchSeconds.WithLabelValues(pass).Observe(time.Since(began).Seconds())
	for outcome, n := range rows {
		m.rows.WithLabelValues(pass, outcome).Add(float64(n))
	}
}
