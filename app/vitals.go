package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/storage"
)

const (
	vitalsTimeout = 2 * time.Second // reading them at most: a scrape is not to hang
	vitalsFresh   = time.Second     // several scrapers at once make one reading
)

// vitals tells of the state in the database, which is the same from every
// process: take the maximum over them, not the sum.
type vitals struct {
	store *storage.Store
	log   *slog.Logger

	up, imports, invitations, queueAge, fruitless, dueAge, paused *prometheus.Desc

	mu     sync.Mutex // held while reading
	last   storage.Vitals
	err    error
	readAt time.Time
}

func newVitals(store *storage.Store, log *slog.Logger) *vitals {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &vitals{
		store: store, log: log,
		up:          desc("rollcall_database_up", "1 if the database answered this scrape, 0 if not; without it there is no other state to tell."),
		imports:     desc("rollcall_imports", "Imports, by status.", "status"),
		invitations: desc("rollcall_invitations", "Invitations, by status. Those past their expiry are among the sent, those withdrawn are not counted.", "status"),
		queueAge:    desc("rollcall_queue_age_seconds", "How long the import has waited for a worker that has waited longest; 0: none waits."),
		fruitless:   desc("rollcall_fruitless_claims", "Claims in a row that ended without a commit, of the import with the most of them; the first of a healthy one counts until it commits."),
		dueAge:      desc("rollcall_due_age_seconds", "How long the oldest mail or webhook has been due, by kind; 0: none is.", "kind"),
		paused:      desc("rollcall_mail_paused", "1 while all sending of invitations pauses because the mail server is away or refuses us."),
	}
}

// Describe implements prometheus.Collector.
func (v *vitals) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{v.up, v.imports, v.invitations, v.queueAge, v.fruitless, v.dueAge, v.paused} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (v *vitals) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	now, err := v.read()
	if err != nil {
		v.log.Debug("state could not be read for a scrape", "error", err)
		gauge(v.up, 0)
		return
	}
	gauge(v.up, 1)
	for status, n := range now.Imports {
		gauge(v.imports, float64(n), string(status))
	}
	for status, n := range now.Invitations {
		gauge(v.invitations, float64(n), string(status))
	}
	gauge(v.queueAge, now.QueueAge.Seconds())
	gauge(v.fruitless, float64(now.Fruitless))
	for kind, age := range now.DueAge {
		gauge(v.dueAge, age.Seconds(), kind)
	}
	gauge(v.paused, asNumber(now.MailPaused))
}

func (v *vitals) read() (storage.Vitals, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Since(v.readAt) > vitalsFresh {
		ctx, cancel := context.WithTimeout(context.Background(), vitalsTimeout)
		defer cancel()
		v.last, v.err = v.store.Vitals(ctx)
		v.readAt = time.Now()
	}
	return v.last, v.err
}

func asNumber(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
