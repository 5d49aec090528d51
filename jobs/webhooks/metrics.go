package webhooks

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the metrics of webhooks.
type Metrics struct {
	attempts *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_webhook_attempts_total", Help: "Attempts to deliver a webhook, by how they ended.",
	}, []string{"outcome"})}
	reg.MustRegister(m.attempts)
	return m
}
