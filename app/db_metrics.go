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
	statsTimeout = 2 * time.Second // bounds a reading, so that a scrape does not hang
	statsMaxAge  = time.Second     // scrapes close together share one reading

	// Counting the states reads every import, so it may take at most a
	// twentieth of one connection's time: with few imports every scrape counts,
	// with millions the same counts are shown for a minute or two.
	countTimeout = 8 * time.Second // scrapers usually time out after ten
	countPause   = 20              // times the duration of the last count
)

// dbMetrics reports the state in the database, which is the same from every
// process: take the maximum over the processes, not the sum.
type dbMetrics struct {
	store *storage.Store
	log   *slog.Logger

	up, imports, invitations, queueAge, crashStreak, dueAge, paused, misconfigured, slowed, lag, disabled, missed *prometheus.Desc

	mu      sync.Mutex // held while reading
	last    storage.Stats
	err     error
	readAt  time.Time
	counts  storage.StateCounts // empty until the first count
	countAt time.Time           // earliest time of the next count
}

func newDBMetrics(store *storage.Store, log *slog.Logger) *dbMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &dbMetrics{
		store: store, log: log,
		up:            desc("rollcall_database_up", "1 if the database answered this scrape, 0 if not; without it there is no other state to tell."),
		imports:       desc("rollcall_imports", "Imports, by status.", "status"),
		invitations:   desc("rollcall_invitations", "Invitations, by status. Those past their expiry are among the sent, those withdrawn are not counted.", "status"),
		queueAge:      desc("rollcall_oldest_queued_import_age_seconds", "How long the import has waited for a worker that has waited longest; 0: none waits."),
		crashStreak:   desc("rollcall_import_crash_streak", "Claims in a row that ended without a commit, of the import with the most of them; the first of a healthy one counts until it commits."),
		dueAge:        desc("rollcall_oldest_due_age_seconds", "How long the oldest mail or webhook has been due, by kind; 0: none is.", "kind"),
		paused:        desc("rollcall_mail_paused", "1 while all sending of invitations pauses because the mail server is away or refuses us."),
		misconfigured: desc("rollcall_mail_misconfigured", "1 while no invitation can be sent because of something that only an administrator can fix, such as a missing login or a From address the mail server refuses."),
		slowed:        desc("rollcall_mail_slowed_rate", "Invitations a second that are sent since the mail server asked for fewer; 0: it did not."),
		lag:           desc("rollcall_webhook_lag_seconds", "Age of the oldest change of a user that a webhook was not told yet; 0: all were told all. Disabled webhooks do not count."),
		missed:        desc("rollcall_imports_missed", "API tokens whose expected import did not come in time."),
		disabled:      desc("rollcall_webhooks_disabled", "Webhooks to which changes of users are no longer sent."),
	}
}

// Describe implements prometheus.Collector.
func (v *dbMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{v.up, v.imports, v.invitations, v.queueAge, v.crashStreak, v.dueAge, v.paused, v.misconfigured, v.slowed, v.lag, v.disabled, v.missed} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (v *dbMetrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	now, counts, err := v.read()
	if err != nil {
		v.log.Debug("failed to read state for a scrape", "error", err)
		gauge(v.up, 0)
		return
	}
	gauge(v.up, 1)
	for status, n := range counts.Imports {
		gauge(v.imports, float64(n), string(status))
	}
	for status, n := range counts.Invitations {
		gauge(v.invitations, float64(n), string(status))
	}
	gauge(v.queueAge, now.QueueAge.Seconds())
	gauge(v.crashStreak, float64(now.CrashStreak))
	for kind, age := range now.DueAge {
		gauge(v.dueAge, age.Seconds(), kind)
	}
	gauge(v.lag, now.Webhooks.Oldest.Seconds())
	gauge(v.missed, float64(now.MissedImports))
	gauge(v.disabled, float64(now.Webhooks.Disabled))
	gauge(v.paused, asNumber(now.MailPaused))
	gauge(v.misconfigured, asNumber(now.MailMisconfigured))
	gauge(v.slowed, now.MailSlowedTo)
}

func (v *dbMetrics) read() (storage.Stats, storage.StateCounts, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Since(v.readAt) > statsMaxAge {
		ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
		defer cancel()
		v.last, v.err = v.store.Stats(ctx)
		v.readAt = time.Now()
	}
	if v.err == nil && time.Now().After(v.countAt) {
		v.count()
	}
	return v.last, v.counts, v.err
}

// count counts the states. If it fails, the last counts are kept; the ages,
// which matter more, are read separately.
func (v *dbMetrics) count() {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	began := time.Now()
	counts, err := v.store.CountStates(ctx)
	if err != nil {
		v.log.Warn("failed to count imports and invitations for metrics", "error", err)
	} else {
		v.counts = counts
	}
	v.countAt = time.Now().Add(max(statsMaxAge, countPause*time.Since(began)))
}

func asNumber(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
