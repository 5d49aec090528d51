package queue_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"rollcall/config"
	"rollcall/jobs/queue"
	"rollcall/test/redistest"
)

// open makes a queue for a REDIS_URL; text returns what it has logged.
func open(t *testing.T, url string) (q *queue.Queue, text func() string) {
	t.Helper()
	options, err := config.ParseRedisURL(url)
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	q = queue.New(options, slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(func() { q.Close() })
	return q, log.String
}

func TestMain(m *testing.M) {
	redis.SetLogger(silent{}) // it would log every dial of a stopped server
	goleak.VerifyTestMain(m)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestRefusalsAreNamed: a server that answers PING but takes no write is
// unavailable, with the reason in words.
func TestRefusalsAreNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		refuse func(*redistest.Server) (url string)
		reason string
	}{
		"no memory": {func(s *redistest.Server) string {
			s.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
			s.Do("CONFIG", "SET", "maxmemory", "1")
			return s.URL()
		}, "out of memory"},
		"no permission": {func(s *redistest.Server) string {
			s.Do("ACL", "SETUSER", "reader", "on", ">password", "~*", "+@all", "-@write")
			return strings.Replace(s.URL(), "://", "://reader:password@", 1)
		}, "permission"},
		"no scripts": {func(s *redistest.Server) string {
			s.Do("ACL", "SETUSER", "reader", "on", ">password", "~*", "+@all", "-@scripting")
			return strings.Replace(s.URL(), "://", "://reader:password@", 1)
		}, "permission"},
		"other keys only": {func(s *redistest.Server) string {
			s.Do("ACL", "SETUSER", "reader", "on", ">password", "~other:*", "+@all")
			return strings.Replace(s.URL(), "://", "://reader:password@", 1)
		}, "permission"},
		"read-only replica": {func(s *redistest.Server) string {
			s.Do("REPLICAOF", "127.0.0.1", redistest.Start(t).Port())
			return s.URL()
		}, "read-only replica"},
		"node of a cluster": {func(*redistest.Server) string {
			return redistest.StartCluster(t).Other("asynq:{imports}:pending").URL()
		}, "redis-cluster://"},
		"wrong password": {func(s *redistest.Server) string {
			return strings.Replace(s.URL(), "://", "://unknown:password@", 1)
		}, "refused the user name or password"},
		"stopped": {func(s *redistest.Server) string { s.Stop(); return s.URL() }, "does not respond"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, _ := open(t, tt.refuse(redistest.Start(t)))
			err := q.Check(t.Context())
			if reason := queue.Reason(err); !strings.Contains(reason, tt.reason) {
				t.Errorf("%q for %v, want %q", reason, err, tt.reason)
			}
			if q.Available() {
				t.Error("counts as available")
			}
		})
	}
}

// TestSilentServer: the check ends with its context though Redis never responds.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	q, _ := open(t, server.URL())
	if err := q.Check(t.Context()); err != nil || !q.Available() {
		t.Fatalf("a Redis that works: %v", err)
	}
	server.Do("CLIENT", "PAUSE", "3000", "ALL")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if reason := queue.Reason(q.Check(ctx)); reason != "Redis does not respond." {
		t.Errorf("%q", reason)
	}
}

// TestEpisodeIsTwoLines: however much fails while Redis is away, the log has one
// line for the begin and one for the end.
func TestEpisodeIsTwoLines(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	q, text := open(t, server.URL())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); q.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	server.Stop()
	for deadline := time.Now().Add(20 * time.Second); q.Available(); time.Sleep(10 * time.Millisecond) {
		q.EnqueueImport(ctx, [16]byte{1}, 1) // its failure is what the queue looks into
		if time.Now().After(deadline) {
			t.Fatal("the outage is not noticed")
		}
	}
	for range 50 {
		if err := q.EnqueueImport(ctx, [16]byte{1}, 1); err == nil {
			t.Fatal("enqueued without Redis")
		}
		if _, err := q.InvitationBacklog(ctx); err == nil {
			t.Fatal("counted without Redis")
		}
	}
	server.Restart()
	for deadline := time.Now().Add(20 * time.Second); !q.Available(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("its return is not noticed")
		}
	}
	if err := q.EnqueueImport(ctx, [16]byte{1}, 1); err != nil {
		t.Error(err)
	}
	log := text()
	if strings.Count(log, "Redis is unavailable") != 1 || strings.Count(log, "Redis is available again") != 1 || strings.Count(log, "\n") != 2 {
		t.Errorf("the log is\n%s", log)
	}
}

// TestRefusedWorkerWaits: asynq's server does not hammer a Redis that refuses to
// give it tasks.
func TestRefusedWorkerWaits(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "reader", "on", ">password", "~*", "&*", "+@all", "-rpoplpush")
	options, err := config.ParseRedisURL(strings.Replace(server.URL(), "://", "://reader:password@", 1))
	if err != nil {
		t.Fatal(err)
	}
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	worker := asynq.NewServer(queue.Paced(stop, options, queue.Imports), asynq.Config{
		Queues: map[string]int{queue.Imports: 1}, TaskCheckInterval: queue.TaskCheckInterval, LogLevel: asynq.FatalLevel,
	})
	if err := worker.Start(asynq.NotFoundHandler()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	cancel()
	worker.Shutdown()
	if n := server.Calls("evalsha"); n < 1 || n > 20 {
		t.Errorf("Redis was asked %d times in half a second", n)
	}
}
