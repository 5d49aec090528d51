package jobs_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/jobs"
	"rollcall/roster"
	"rollcall/test/redistest"
	"rollcall/test/smtptest"
)

// TestWorksWithoutRedis: with a Redis that is away, or of no use, from the start,
// imports are done and mail is sent; and when it is back, through it again.
func TestWorksWithoutRedis(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ fail, restore func(*redistest.Server) }{
		"stopped": {(*redistest.Server).Stop, (*redistest.Server).Restart},
		"out of memory": {
			func(s *redistest.Server) { s.Do("CONFIG", "SET", "maxmemory", "1") },
			func(s *redistest.Server) { s.Do("CONFIG", "SET", "maxmemory", "0") },
		},
		"gives no tasks": {
			func(s *redistest.Server) { s.Do("MSET", "asynq:{imports}:paused", "1", "asynq:{mail}:paused", "1") },
			func(s *redistest.Server) { s.Do("DEL", "asynq:{imports}:paused", "asynq:{mail}:paused") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			h, q := newTestEnv(t), newQueue(t, server.URL())
			mails := smtptest.Start(t, smtptest.Config{})
			tt.fail(server)
			o := newMailEnv(h, post{server: plain(mails)})
			// A worker that is never without a task for this long would send nothing directly.
			o.work(q, jobs.WorkerConfig{
				Sweep: 20 * time.Millisecond, Overdue: 20 * time.Millisecond, Silence: 200 * time.Millisecond, Redispatch: 2 * time.Second,
			})
			first := h.upload(people(300), roster.Options{SendInvitations: true})
			poll(t, func() bool { return h.read(first.ID).Status == roster.Completed })
			h.sent(first.ID, 300)
			once(t, mails, 300)
			if n := h.withoutTask(); n < 2 {
				t.Errorf("%v slices and batches without a task", n)
			}
			tt.restore(server)
			second := h.upload(strings.ReplaceAll(people(300), "person", "late"), roster.Options{SendInvitations: true})
			poll(t, func() bool { return h.read(second.ID).Status == roster.Completed })
			h.sent(second.ID, 300)
			once(t, mails, 600)
			poll(t, func() bool { return server.Calls("rpoplpush") > 0 })
		})
	}
}

// withoutTask is how much work was taken straight from PostgreSQL.
func (h *testEnv) withoutTask() (n float64) {
	h.Helper()
	families, err := h.counted.Gather()
	if err != nil {
		h.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "rollcall_work_without_task_total" {
			for _, m := range f.Metric {
				n += m.Counter.GetValue()
			}
		}
	}
	return n
}
