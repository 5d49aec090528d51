package queue_test

import (
	"context"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/config"
	"rollcall/jobs/queue"
	"rollcall/test/redistest"
)

// startIdle starts a server for imports with nothing to do; got receives when a
// task arrives.
func startIdle(t *testing.T, url string) (got <-chan time.Time) {
	t.Helper()
	options, err := config.ParseRedisURL(url)
	if err != nil {
		t.Fatal(err)
	}
	stop, cancel := context.WithCancel(t.Context())
	worker := asynq.NewServer(queue.Paced(stop, options, queue.Imports), asynq.Config{
		Queues: map[string]int{queue.Imports: 1}, TaskCheckInterval: queue.TaskCheckInterval, LogLevel: asynq.FatalLevel,
	})
	arrived := make(chan time.Time, 100)
	err = worker.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		arrived <- time.Now()
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); worker.Shutdown() })
	return arrived
}

// TestIdleWorkersWaitInRedis: workers without tasks ask a few times a second at
// most, and yet each of many tasks is taken at once, by one of them.
func TestIdleWorkersWaitInRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	first, second := startIdle(t, server.URL()), startIdle(t, server.URL())
	for deadline := time.Now().Add(20 * time.Second); server.Calls("blmove") < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the workers do not wait")
		}
	}
	asked := server.Calls("evalsha")
	time.Sleep(time.Second)
	if n := server.Calls("evalsha") - asked; n > 20 { // polling every 10 ms: 200
		t.Errorf("Redis was asked for tasks %d times in a second", n)
	}
	q, _ := open(t, server.URL())
	var fastest time.Duration = time.Hour
	for n := range int64(20) {
		began := time.Now()
		if err := q.EnqueueImport(t.Context(), [16]byte{1}, n); err != nil {
			t.Fatal(err)
		}
		select {
		case at := <-first:
			fastest = min(fastest, at.Sub(began))
		case at := <-second:
			fastest = min(fastest, at.Sub(began))
		case <-time.After(20 * time.Second):
			t.Fatalf("task %d was not taken", n)
		}
	}
	// Waiting out an interval would take seconds. On a busy machine some take long.
	if fastest > time.Second {
		t.Errorf("the fastest of 20 tasks was taken after %s", fastest)
	}
	t.Logf("the fastest of 20 tasks was taken after %s", fastest)
	select {
	case <-first:
		t.Error("a task was taken twice")
	case <-second:
		t.Error("a task was taken twice")
	case <-time.After(50 * time.Millisecond):
	}
}

// TestWaitingIsForbidden: a Redis whose user may not wait, or that is too old for
// it, is polled.
func TestWaitingIsForbidden(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "default", "-blmove")
	got := startIdle(t, server.URL())
	q, _ := open(t, server.URL())
	if err := q.EnqueueImport(t.Context(), [16]byte{1}, 1); err != nil {
		t.Fatal(err)
	}
	select {
	case <-got:
	case <-time.After(20 * time.Second):
		t.Fatal("the task was not taken")
	}
}
