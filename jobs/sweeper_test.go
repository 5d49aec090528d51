package jobs_test

import (
	"database/sql"
	"rollcall/jobs/importer"
	"rollcall/jobs/queue"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"rollcall/jobs"
	"rollcall/roster"
	"rollcall/test/redistest"
)

// TestSweeperRequeuesLostTasks: an import without a task is enqueued, once; one
// whose task still waits for a worker is left alone, also after Redis was
// emptied.
func TestSweeperRequeuesLostTasks(t *testing.T) {
	t.Parallel()
	h, q := newTestEnv(t), newQueue(t, redistest.URL(t))
	tasks := queue.New(q.option, quiet())
	defer tasks.Close()
	waits := h.upload(people(3), roster.Options{})
	if err := tasks.EnqueueImport(t.Context(), waits.ID, h.dispatchOf(waits.ID)); err != nil {
		t.Fatal(err)
	}
	inspector := asynq.NewInspector(q.option)
	defer inspector.Close()
	if err := inspector.PauseQueue(queue.Imports); err != nil { // every worker is busy
		t.Fatal(err)
	}
	paused := q.redis.Get(t.Context(), "asynq:{imports}:paused").Val()
	lost := h.upload(people(3), roster.Options{})
	first := h.dispatchOf(waits.ID)
	newMailEnv(h, post{}).work(q, jobs.WorkerConfig{Sweep: 20 * time.Millisecond, Overdue: time.Millisecond})

	poll(t, func() bool { return q.length(queue.Imports, "pending") == 2 })
	h.sweeps(5)
	if a, b := h.dispatchOf(waits.ID)-first, h.dispatchOf(lost.ID)-first; a != 0 || b != 1 || q.length(queue.Imports, "pending") != 2 {
		t.Fatalf("rung again %d and %d times, %d tasks; want 0, 1 and 2", a, b, q.length(queue.Imports, "pending"))
	}

	// In one transaction, so that no worker gets in between.
	tx := q.redis.TxPipeline()
	tx.FlushDB(t.Context())
	tx.Set(t.Context(), "asynq:{imports}:paused", paused, 0)
	if _, err := tx.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool { return q.length(queue.Imports, "pending") == 2 })
	h.sweeps(5)
	if a, b := h.dispatchOf(waits.ID)-first, h.dispatchOf(lost.ID)-first; a != 1 || b != 2 || q.length(queue.Imports, "pending") != 2 {
		t.Fatalf("after the loss of Redis: rung again %d and %d times, %d tasks; want 1, 2 and 2", a, b, q.length(queue.Imports, "pending"))
	}
	if err := q.redis.Del(t.Context(), "asynq:{imports}:paused").Err(); err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool { return h.read(waits.ID).Status.Ended() && h.read(lost.ID).Status.Ended() })
	poll(t, func() bool { return q.length(queue.Imports, "active") == 0 })
	q.nothingKept()
}

// dispatchOf is the number of an import's last task.
func (h *testEnv) dispatchOf(id uuid.UUID) (n int64) {
	h.Helper()
	if err := h.store.DB().QueryRow(`SELECT dispatch FROM imports WHERE id = $1`, id).Scan(&n); err != nil {
		h.Fatal(err)
	}
	return n
}

// sweeps waits for n more sweeps.
func (h *testEnv) sweeps(n int) {
	h.Helper()
	var last time.Time
	for range n {
		poll(h, func() bool {
			var tick sql.NullTime // null: a slow sweep deletes its own tick
			if err := h.store.DB().QueryRow(`SELECT max(period_start) FROM maintenance_runs WHERE name = 'imports'`).Scan(&tick); err != nil {
				h.Fatal(err)
			}
			if !tick.Time.After(last) {
				return false
			}
			last = tick.Time
			return true
		})
	}
}

// TestPurge: uploads and row values are deleted when their time is over; counts
// and codes are kept, as is everything younger.
func TestPurge(t *testing.T) {
	t.Parallel()
	h, q := newTestEnv(t), newQueue(t, redistest.URL(t))
	file := "email,name,role\nperson1@example.com,Person 1,user\nbroken,Person 2,user\nbroken,,king\n"
	old := h.run(h.importer(importer.Config{}), h.upload(file, roster.Options{}).ID)
	young := h.run(h.importer(importer.Config{}), h.upload(file, roster.Options{}).ID)
	waiting := h.run(h.importer(importer.Config{}), h.upload(file, roster.Options{DryRun: true}).ID)
	if _, err := h.store.DB().Exec(`
		UPDATE imports SET created_at = created_at - interval '2 hours', started_at = started_at - interval '2 hours',
		       finished_at = finished_at - interval '2 hours' WHERE id <> $1`, young.ID); err != nil {
		t.Fatal(err)
	}
	newMailEnv(h, post{}).work(q, jobs.WorkerConfig{Retention: time.Hour, Purge: 20 * time.Millisecond, Sweep: 20 * time.Millisecond})
	chunks := func(id uuid.UUID) (n int) {
		if err := h.store.DB().QueryRow(`SELECT count(*) FROM import_chunks WHERE import_id = $1`, id).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	poll(t, func() bool { return chunks(old.ID) == 0 && h.read(waiting.ID).Status == roster.Canceled })
	poll(t, func() bool {
		var purged bool
		if err := h.store.DB().QueryRow(`SELECT purged_at IS NOT NULL FROM imports WHERE id = $1`, old.ID).Scan(&purged); err != nil {
			t.Fatal(err)
		}
		return purged
	})
	for _, c := range []struct {
		i    *roster.Import
		kept bool
	}{{old, false}, {young, true}} {
		refusals, err := h.store.RowErrors(t.Context(), c.i.ID, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		counts, err := h.store.CountRowErrors(t.Context(), c.i.ID)
		if err != nil {
			t.Fatal(err)
		}
		var counted int64
		for _, n := range counts {
			counted += n.Rows
		}
		if after := h.read(c.i.ID); counted != c.i.Counts.Failed || after.Counts.Failed != c.i.Counts.Failed || after.Counts.Imported != c.i.Counts.Imported {
			t.Errorf("counts or codes went: %+v, by code %+v", after.Counts, counts)
		}
		if kept := len(refusals) > 0 && chunks(c.i.ID) > 0; kept != c.kept {
			t.Errorf("values kept: %v, want %v", kept, c.kept)
		}
	}
}

// TestUsersBecomeSearchable: a worker makes blocks of users, for the search.
func TestUsersBecomeSearchable(t *testing.T) {
	t.Parallel()
	h, q := newTestEnv(t), newQueue(t, redistest.URL(t))
	if _, err := h.store.DB().Exec(`
		INSERT INTO users (id, email, email_key, name)
		SELECT ('01000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'p' || n || '@example.com', 'p' || n || '@example.com', 'Person ' || n
		  FROM generate_series(1, 100) n`); err != nil {
		t.Fatal(err)
	}
	newMailEnv(h, post{}).work(q, jobs.WorkerConfig{})
	poll(t, func() bool {
		var n int
		if err := h.store.DB().QueryRow(`SELECT count(*) FROM user_search`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == 3
	})
}
