package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/pgtest"
	"rollcall/internal/redistest"
)

// rows is a file of n good rows whose addresses begin with name.
func rows(name string, n int) string {
	var b strings.Builder
	b.WriteString("email,name\n")
	for i := range n {
		fmt.Fprintf(&b, "%s%d@example.com,Person %d\n", name, i, i)
	}
	return b.String()
}

// TestRedisDownDelaysOnly: a hundred files posted while Redis is away are
// committed, and imported once it is back.
func TestRedisDownDelaysOnly(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	h := newHouse(t, redis.URL())
	h.startAPI()
	h.startWorker()
	redis.Stop()
	ids := make([]string, 100)
	var posts sync.WaitGroup
	for k := range ids {
		posts.Go(func() {
			a := h.post(rows(fmt.Sprintf("f%d-", k), 3), []string{"Prefer", "respond-async"})
			if a.status != 202 {
				t.Errorf("post %d while Redis is away: %d %s", k, a.status, a.body)
				return
			}
			var i imported
			a.read(&i)
			ids[k] = i.ID
		})
	}
	posts.Wait()
	if t.Failed() {
		return
	}
	redis.Restart()
	for deadline, k := time.Now().Add(30*time.Second), 0; k < len(ids); k++ {
		if i := h.until(ids[k], max(time.Until(deadline), time.Second), mailed); i.Imported != 3 || i.Invitations.Sent != 3 {
			t.Fatalf("%+v", i)
		}
	}
}

// TestFlushAndKill: Redis is emptied and a worker killed in the middle of an
// import; another finishes it, and nobody is in twice or mailed twice over.
func TestFlushAndKill(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	h := newHouse(t, redis.URL())
	h.startAPI()
	worker := h.startWorker()
	const n = 60_000
	var i imported
	h.post(rows("p", n), []string{"Prefer", "respond-async"}, "send_invitations", "false").read(&i)
	h.until(i.ID, time.Minute, func(i imported) bool { return i.Imported > 0 })
	redis.Stop()
	worker.Process.Kill()
	<-worker.done
	redis.Restart()
	h.startWorker()
	i = h.until(i.ID, time.Minute, ended)
	if i.Status != "completed" || i.Imported != n || i.Failed != 0 {
		t.Fatalf("%+v", i)
	}
}

// TestDrain: SIGTERM in the middle of an import lets the batch commit, hands the
// import back and exits 0; another worker goes on at once, without waiting for
// a lease to run out.
func TestDrain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, smallRedis(t))
	api := h.startAPI()
	worker := h.startWorker()
	var i imported
	h.post(rows("p", 100_000), []string{"Prefer", "respond-async"}, "send_invitations", "false").read(&i)
	h.until(i.ID, time.Minute, func(i imported) bool { return i.Imported > 0 })
	if code, took := worker.stop(); code != 0 || took > 30*time.Second {
		t.Errorf("worker: exit code %d after %s", code, took)
	}
	var stopped imported
	h.ask("GET", "/api/admin/users/imports/"+i.ID, nil).read(&stopped)
	if ended(stopped) {
		t.Fatal("the import was over before the signal arrived: make it larger")
	}
	h.startWorker()
	if i = h.until(i.ID, 15*time.Second, ended); i.Imported != 100_000 {
		t.Fatalf("%+v", i)
	}
	if code, took := api.stop(); code != 0 || took > 30*time.Second {
		t.Errorf("API: exit code %d after %s", code, took)
	}
}

// TestOldSchemaRefused: a program on a database without the schema says what to
// run, and does not start.
func TestOldSchemaRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "redis://127.0.0.1:1")
	for k, v := range h.env {
		if strings.HasPrefix(v, "DATABASE_URL=") {
			h.env[k] = "DATABASE_URL=" + pgtest.NewEmpty(t)
		}
	}
	for _, name := range []string{"api", "worker"} {
		p, line := h.start(name, `(.*rollcall migrate.*)`)
		<-p.done
		if p.ProcessState.ExitCode() == 0 || line == "" {
			t.Errorf("%s: exit code %d\n%s", name, p.ProcessState.ExitCode(), p.output())
		}
	}
}
