package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"
)

// ErrUnavailable: Redis took no write when it was last checked, and is not asked
// again until a check succeeds.
var ErrUnavailable = errors.New("task queue unavailable")

const (
	checkInterval   = 10 * time.Second
	recheckInterval = time.Second     // while Redis is unavailable
	checkTimeout    = 2 * time.Second // of one check
)

// writeScript does what enqueuing does: a script that writes a list under the
// queue's hash tag. A server that answers PING may still refuse that. It leaves
// nothing behind.
var writeScript = redis.NewScript(`
redis.call("LPUSH", KEYS[1], "check")
return redis.call("DEL", KEYS[1])`)

// health knows whether Redis takes writes.
type health struct {
	redis    redis.UniversalClient
	log      *slog.Logger
	checks   singleflight.Group
	reported chan error // failures to look into

	mu    sync.Mutex
	last  error     // of the last check
	since time.Time // when the episode began; zero: there is none
}

func newHealth(client redis.UniversalClient, log *slog.Logger) *health {
	return &health{redis: client, log: log, reported: make(chan error, 1)}
}

// Available reports whether Redis took a write when it was last checked; true
// before the first check.
func (q *Queue) Available() bool { return q.health.unavailable() == nil }

// UnavailableFor returns how long Redis has taken no write; 0 if it does.
func (q *Queue) UnavailableFor() time.Duration {
	q.health.mu.Lock()
	defer q.health.mu.Unlock()
	if q.health.since.IsZero() {
		return 0
	}
	return time.Since(q.health.since)
}

// Check writes to each queue's part of Redis and returns why that failed; see
// [Reason]. It returns when ctx ends, though Redis does not respond at all.
func (q *Queue) Check(ctx context.Context) error {
	result := q.health.checks.DoChan("", func() (any, error) { return nil, q.health.write() })
	var err error
	select {
	case r := <-result:
		err = r.Err
	case <-ctx.Done():
		if err = ctx.Err(); errors.Is(err, context.Canceled) {
			return err
		}
	}
	q.health.record(err)
	return err
}

// Report has Run check Redis at once, because something failed that needs it.
// If the check finds nothing, Run logs err.
func (q *Queue) Report(err error) {
	if errors.Is(err, context.Canceled) || !q.Available() {
		return
	}
	select {
	case q.health.reported <- err:
	default: // a check is coming anyway
	}
}

// Run checks Redis until ctx ends, and logs one line when it becomes unavailable
// and one when it is back. In between, all methods fail at once with
// ErrUnavailable.
func (q *Queue) Run(ctx context.Context) {
	for {
		bounded, cancel := context.WithTimeout(ctx, checkTimeout)
		err := q.Check(bounded)
		cancel()
		wait := checkInterval
		if err != nil {
			wait = recheckInterval
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case reported := <-q.health.reported:
			timer.Stop()
			q.confirm(ctx, reported)
		}
	}
}

// confirm looks whether Redis works in spite of a reported failure, which then
// is a line of its own.
func (q *Queue) confirm(ctx context.Context, reported error) {
	bounded, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if q.Check(bounded) == nil {
		q.health.log.Warn("task queue reported a problem", "error", reported)
	}
}

func (h *health) write() error {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	for _, name := range []string{Imports, Mail} {
		if err := writeScript.Run(ctx, h.redis, []string{"asynq:{" + name + "}:check"}).Err(); err != nil {
			return err
		}
	}
	return nil
}

// record begins or ends an episode.
func (h *health) record(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = err
	switch {
	case err != nil && h.since.IsZero():
		h.since = time.Now()
		h.log.Warn("Redis is unavailable; workers will take work from PostgreSQL", "reason", Reason(err), "error", err)
	case err == nil && !h.since.IsZero():
		h.log.Info("Redis is available again", "after", time.Since(h.since).Round(time.Millisecond))
		h.since = time.Time{}
	}
}

func (h *health) unavailable() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, Reason(h.last))
}

// reasons are the refusals of a Redis that responds, by how they begin.
var reasons = []struct{ prefix, words string }{
	{"MOVED", "Redis is a cluster; REDIS_URL must start with redis-cluster://."},
	{"ASK", "Redis is a cluster; REDIS_URL must start with redis-cluster://."},
	{"OOM", "Redis is out of memory (maxmemory) and may not evict anything."},
	{"NOPERM", "The Redis user lacks the permission to write (ACL)."},
	{"The user executing the script", "The Redis user lacks the permission to write (ACL)."}, // 6 and 7.0
	{"ACL failure in script", "The Redis user lacks the permission to write (ACL)."},
	{"READONLY", "This Redis is a read-only replica."},
	{"MISCONF", "Redis refuses writes because it cannot save to its disk."},
	{"NOREPLICAS", "Redis refuses writes because it has too few replicas."},
	{"CLUSTERDOWN", "The Redis cluster is down."},
	{"MASTERDOWN", "This Redis is a replica without its master."},
	{"LOADING", "Redis is still loading its data."},
	{"BUSY", "Redis is busy with a script."},
	{"NOAUTH", "Redis asks for a password; REDIS_URL has none."},
	{"WRONGPASS", "Redis refused the user name or password in REDIS_URL."},
}

// Reason says in plain words why a check failed; "" if err is nil. It repeats
// nothing of err, so that it can be shown to anyone.
func Reason(err error) string {
	if err == nil {
		return ""
	}
	var reply redis.Error
	refused := errors.As(err, &reply) && !errors.Is(err, redis.Nil)
	for _, r := range reasons {
		// Up to 6.2 a script's error comes with the original one at its end.
		if redis.HasErrorPrefix(err, r.prefix) || refused && strings.Contains(reply.Error(), ": -"+r.prefix+" ") {
			return r.words
		}
	}
	if refused {
		return "Redis refuses writes."
	}
	return "Redis does not respond."
}
