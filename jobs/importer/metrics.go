package importer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the metrics of imports. No label contains anything from a file.
type Metrics struct {
	batchSeconds  *prometheus.HistogramVec
	rows          *prometheus.CounterVec
	claimsLost    prometheus.Counter
	orderTimeouts prometheus.Counter
	panics        prometheus.Counter
}

// NewMetrics registers the metrics. panics counts panics while running an
// import.
func NewMetrics(reg prometheus.Registerer, panics prometheus.Counter) *Metrics {
	m := &Metrics{
		batchSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rollcall_batch_duration_seconds", Help: "Time to commit one batch of rows, by pass.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 13),
		}, []string{"pass"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_rows_total", Help: "Rows committed, by pass and outcome.",
		}, []string{"pass", "outcome"}),
		claimsLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_claims_lost_total", Help: "Claims found to be another worker's at commit; nothing was written.",
		}),
		orderTimeouts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_batch_order_timeouts_total", Help: "Batches that were repeated because the previous one took too long.",
		}),
		panics: panics,
	}
	reg.MustRegister(m.batchSeconds, m.rows, m.claimsLost, m.orderTimeouts)
	return m
}

// batch counts a committed batch.
func (m *Metrics) batch(pass string, began time.Time, rows map[string]int64) {
	m.batchSeconds.WithLabelValues(pass).Observe(time.Since(began).Seconds())
	for outcome, n := range rows {
		m.rows.WithLabelValues(pass, outcome).Add(float64(n))
	}
}
