package jobs

import (
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/jobs/bounces"
	"rollcall/jobs/importer"
	"rollcall/jobs/invitations"
	"rollcall/jobs/webhooks"
)

// Metrics are the worker's metrics. No label contains anything from a file.
type Metrics struct {
	Importer    *importer.Metrics
	Invitations *invitations.Metrics
	Webhooks    *webhooks.Metrics
	Bounces     *bounces.Metrics

	requeued    prometheus.Counter
	purgeSteps  prometheus.Counter
	taskPanics  prometheus.Counter
	withoutTask *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	panics := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rollcall_panics_total", Help: "Panics that were caught, by what was being worked on.",
	}, []string{"component"})
	m := &Metrics{
		requeued: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_tasks_requeued_total", Help: "Stalled imports that the sweeper enqueued again.",
		}),
		purgeSteps: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_purge_steps_total", Help: "Steps of retention: a bounded number of chunks or rows deleted.",
		}),
		taskPanics: panics.WithLabelValues("task"),
		withoutTask: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_work_without_task_total", Help: "Slices of imports and batches of invitations taken straight from PostgreSQL because no task came through Redis.",
		}, []string{"kind"}),
	}
	for _, kind := range []string{"import", "invitation"} {
		m.withoutTask.WithLabelValues(kind)
	}
	reg.MustRegister(panics, m.requeued, m.purgeSteps, m.withoutTask)
	m.Importer = importer.NewMetrics(reg, panics.WithLabelValues("import"))
	m.Invitations = invitations.NewMetrics(reg, panics.WithLabelValues("invitation"))
	m.Webhooks = webhooks.NewMetrics(reg)
	m.Bounces = bounces.NewMetrics(reg)
	return m
}
