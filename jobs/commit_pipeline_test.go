package jobs_test

import (
	"context"
	"database/sql"
	"fmt"
	"rollcall/jobs/importer"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/jobs"
	"rollcall/roster"
	"rollcall/test/pgtest"
)

// gates makes PostgreSQL itself delay or fail the insertion of single users, by
// their names: "hold N …" waits while the test keeps gate N shut, "fail …"
// fails while there is a row in faults.
const gates = `
CREATE TABLE faults (message text);
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.name LIKE 'hold%' THEN
        PERFORM pg_advisory_xact_lock_shared(split_part(NEW.name, ' ', 2)::bigint);
    END IF;
    IF NEW.name LIKE '%fail' AND EXISTS (SELECT FROM faults) THEN
        RAISE EXCEPTION 'a fault';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER gate BEFORE INSERT ON users FOR EACH ROW WHEN (NEW.name ~ '^hold|fail$') EXECUTE FUNCTION gate();
`

// airfield is a test environment with gates, a connection of the database
// owner, and a registry to read the metrics from.
type airfield struct {
	*testEnv
	owner *sql.DB
	reg   *prometheus.Registry
}

func newAirfield(t *testing.T) *airfield {
	t.Helper()
	a := &airfield{testEnv: newTestEnv(t), reg: prometheus.NewRegistry()}
	a.meter = jobs.NewMetrics(a.reg)
	var err error
	if a.owner, err = sql.Open("postgres", pgtest.Owner(t, a.url)); err != nil {
		t.Fatal(err)
	}
	a.exec(gates)
	// Goroutines that run by now belong to the environment or to other tests.
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		a.store.Close()
		a.owner.Close()
		goleak.VerifyNone(t, before, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
	})
	return a
}

func (a *airfield) exec(sql string, args ...any) {
	a.Helper()
	if _, err := a.owner.ExecContext(context.Background(), sql, args...); err != nil {
		a.Fatal(err)
	}
}

// shut shuts a gate until the returned function opens it.
func (a *airfield) shut(gate int) (open func()) {
	a.Helper()
	tx, err := a.owner.Begin()
	if err == nil {
		_, err = tx.Exec(`SELECT pg_advisory_xact_lock($1)`, gate)
	}
	if err != nil {
		a.Fatal(err)
	}
	return func() { tx.Rollback() }
}

// await waits until a database query returns true.
func (a *airfield) await(question string, args ...any) {
	a.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		var yes bool
		if err := a.owner.QueryRow(question, args...).Scan(&yes); err != nil {
			a.Fatal(err)
		}
		if yes {
			return
		}
		if time.Now().After(deadline) {
			a.Fatalf("never: %s", question)
		}
	}
}

// Queries for await.
const (
	// n transactions have written users and are waiting, for us or for a lock.
	written = `SELECT count(DISTINCT l.pid) = $1 FROM pg_locks l JOIN pg_stat_activity USING (pid)
		WHERE l.relation = 'invitations'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted AND datname = current_database() AND wait_event IS NOT NULL`
	// n transactions wait at a gate.
	standing = `SELECT count(*) = $1 FROM pg_locks JOIN pg_database d ON d.oid = database
		WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted`
	// n transactions wait for another one to end.
	waiting = `SELECT count(*) = $1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'`
)

// start runs an import in the background; done receives its result.
func (a *airfield) start(ctx context.Context, id uuid.UUID, cfg importer.Config) (done <-chan ran) {
	ended := make(chan ran, 1)
	go func() {
		result, err := a.importer(cfg).Run(ctx, id)
		ended <- ran{result, err}
	}()
	return ended
}

type ran struct {
	importer.Result
	err error
}

// file has a row for each name.
func file(names ...string) string {
	var b strings.Builder
	b.WriteString("email,name\n")
	for i, name := range names {
		fmt.Fprintf(&b, "p%d@example.com,%s\n", i, name)
	}
	return b.String()
}

// whole checks that the import is completed with exactly n users.
func (a *airfield) whole(id uuid.UUID, n int) {
	a.Helper()
	e := a.ending(id)
	if e.Status != roster.Completed || e.Total != int64(n) || e.Counts.Imported != int64(n) || e.Invitations.Held != int64(n) || len(e.Users) != n {
		a.Fatalf("%s with %d users: %+v, %+v", e.Status, len(e.Users), e.Counts, e.Invitations)
	}
}

// TestCommitPipeline: whatever happens while two batches of an import are committed at
// once, they are committed in file order, each once, or not at all. The
// subtests run one after the other, so that each sees its own goroutines end.
func TestCommitPipeline(t *testing.T) {
	two := importer.Config{BatchRows: 2, Slice: time.Minute}

	t.Run("the later one is ready first", func(t *testing.T) {
		a := newAirfield(t)
		open := a.shut(1)
		i := a.upload(file("hold 1", "b", "c", "d", "e"), roster.Options{})
		done := a.start(t.Context(), i.ID, two)
		a.await(standing, 1)
		a.await(written, 2)
		if e := a.ending(i.ID); len(e.Users) != 0 || e.Counts.Processed != 0 {
			t.Errorf("the second batch was committed before the first: %+v", e)
		}
		open()
		if r := <-done; r.err != nil || r.More {
			t.Errorf("%+v", r)
		}
		a.whole(i.ID, 5)
	})

	t.Run("the first one fails when the second is ready", func(t *testing.T) {
		a := newAirfield(t)
		a.exec(`INSERT INTO faults VALUES ('on')`)
		open := a.shut(1)
		i := a.upload(file("hold 1 fail", "b", "c", "d", "e"), roster.Options{})
		done := a.start(t.Context(), i.ID, two)
		a.await(written, 2)
		open()
		if r := <-done; r.err == nil || !strings.Contains(r.err.Error(), "a fault") {
			t.Errorf("not the first one's error: %v", r.err)
		}
		if e := a.ending(i.ID); len(e.Users) != 0 || e.Counts.Processed != 0 || e.Status != roster.Importing {
			t.Errorf("something was written: %+v", e)
		}
		a.exec(`TRUNCATE faults`)
		a.lapse()
		a.run(a.importer(two), i.ID)
		a.whole(i.ID, 5)
	})

	t.Run("the second one fails when the first is not ready", func(t *testing.T) {
		a := newAirfield(t)
		a.exec(`INSERT INTO faults VALUES ('on')`)
		open := a.shut(1)
		i := a.upload(file("hold 1", "b", "c", "d fail", "e"), roster.Options{})
		done := a.start(t.Context(), i.ID, two)
		a.await(standing, 1)
		time.Sleep(20 * time.Millisecond) // the second fails meanwhile or later, with the same result
		open()
		if r := <-done; r.err == nil {
			t.Error("no error")
		}
		if e := a.ending(i.ID); len(e.Users) != 2 || e.Counts.Processed != 2 {
			t.Errorf("the first batch, and only that one, should be in: %+v", e)
		}
		a.exec(`TRUNCATE faults`)
		a.lapse()
		a.run(a.importer(two), i.ID)
		a.whole(i.ID, 5)
	})

	t.Run("a row of the second batch that PostgreSQL rejects is isolated in the end", func(t *testing.T) {
		a := newAirfield(t)
		a.exec(`INSERT INTO faults VALUES ('on')`)
		names := make([]string, 120)
		for k := range names {
			names[k] = "somebody"
		}
		names[70] = "fail"
		i := a.upload(file(names...), roster.Options{})
		im := a.importer(importer.Config{BatchRows: 50})
		for tries := 0; !a.read(i.ID).Status.Ended(); tries++ {
			if _, err := im.Run(t.Context(), i.ID); err != nil && tries > 50 {
				t.Fatal(err)
			}
			a.lapse()
		}
		e := a.ending(i.ID)
		if e.Counts.Imported != 119 || len(e.Users) != 119 || len(e.RowErrors) != 1 || e.RowErrors[0].Row != 72 || e.RowErrors[0].Reason() != roster.InternalError {
			t.Errorf("%+v %+v", e.Counts, e.RowErrors)
		}
	})

	for name, meanwhile := range map[string]func(*airfield, uuid.UUID){
		"the claim is lost": func(a *airfield, id uuid.UUID) { a.exec(`UPDATE imports SET fence = fence + 1 WHERE id = $1`, id) },
		"the import is canceled": func(a *airfield, id uuid.UUID) {
			if err := a.store.CancelImport(a.Context(), id, tester); err != nil {
				a.Error(err)
			}
		},
	} {
		t.Run(name+" between the first and the second", func(t *testing.T) {
			a := newAirfield(t)
			open := a.shut(1)
			i := a.upload(file("a", "b", "hold 1", "d", "e"), roster.Options{})
			done := a.start(t.Context(), i.ID, two)
			a.await(`SELECT processed = 2 FROM imports WHERE id = $1`, i.ID)
			a.await(standing, 1)
			meanwhile(a, i.ID)
			open()
			if r := <-done; r.err != nil || r.More {
				t.Errorf("it should give up without an error: %+v", r)
			}
			e := a.ending(i.ID)
			if len(e.Users) != 2 || e.Counts.Imported != 2 {
				t.Errorf("the first batch, and only that one, should be in: %+v", e)
			}
			if e.Status == roster.Canceled {
				return
			}
			a.lapse()
			a.run(a.importer(two), i.ID)
			a.whole(i.ID, 5)
		})
	}

	t.Run("a drain commits the pending batches and hands back", func(t *testing.T) {
		a := newAirfield(t)
		open := a.shut(1)
		i := a.upload(file("hold 1", "b", "c", "d", "e", "f", "g", "h", "i"), roster.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		done := a.start(ctx, i.ID, two)
		a.await(standing, 1)
		a.await(written, 2)
		cancel()
		open()
		if r := <-done; r.err != nil || !r.More {
			t.Errorf("%+v", r)
		}
		e := a.ending(i.ID)
		if e.Status != roster.Importing || e.Counts.Processed < 4 || e.Counts.Processed > 6 || int64(len(e.Users)) != e.Counts.Imported {
			t.Errorf("%+v", e)
		}
		a.run(a.importer(two), i.ID) // without waiting for a lease to expire
		a.whole(i.ID, 9)
	})

	t.Run("its starter is demoted while the second batch waits for its turn", func(t *testing.T) {
		a := newAirfield(t)
		a.addAdmin("other@example.com")
		boss := a.addAdmin("boss@example.com")
		open := a.shut(1)
		i := a.uploadBy(boss, "email,name,role\na@example.com,hold 1,user\nb@example.com,b,user\nc@example.com,c,admin\nd@example.com,d,user\n", roster.Options{})
		done := a.start(t.Context(), i.ID, two)
		a.await(standing, 1)
		a.await(written, 2)
		a.exec(`UPDATE users SET role = 'user' WHERE id = $1`, boss.ID)
		open()
		if r := <-done; r.err != nil || r.More {
			t.Errorf("%+v", r)
		}
		e := a.ending(i.ID)
		if e.Counts.Imported != 3 || len(e.RowErrors) != 1 || e.RowErrors[0].Row != 4 || e.RowErrors[0].Reason() != roster.InvalidRole {
			t.Errorf("%+v %+v", e.Counts, e.RowErrors)
		}
	})

	t.Run("imports of the same addresses wait in a circle that PostgreSQL does not see", func(t *testing.T) {
		a := newAirfield(t)
		a.store.DB().SetMaxOpenConns(10)
		open, let := a.shut(1), a.shut(2)
		x, y := "x@example.com,", "y@example.com,"
		one := a.upload("email,name\n"+x+"hold 1\n"+"a@example.com,a\n"+y+"y\nb@example.com,b\n", roster.Options{})
		other := a.upload("email,name\n"+x+"hold 2\n"+y+"y\n", roster.Options{})
		began := time.Now()
		first := a.start(t.Context(), one.ID, two)
		a.await(standing, 1)
		a.await(written, 2)                           // its second batch has y, or the other would be faster
		second := a.start(t.Context(), other.ID, two) // it is not alone, so it has one writer
		a.await(standing, 2)
		let() // it has locked x, and waits for y, which the second batch of the first import has
		a.await(waiting, 1)
		open()
		for _, done := range []<-chan ran{first, second} {
			if r := <-done; r.err != nil || r.More {
				t.Errorf("%+v", r)
			}
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("that took %v", took)
		}
		e, f := a.ending(one.ID), a.ending(other.ID)
		if len(e.Users) != 4 || e.Counts.Imported+f.Counts.Imported != 4 || e.Counts.Failed+f.Counts.Failed != 2 || e.Status != roster.Completed || f.Status != roster.Completed {
			t.Errorf("%+v\n%+v", e, f)
		}
		if counter(t, a.reg, "rollcall_batch_order_timeouts_total") == 0 {
			t.Error("no batch was late: there was no deadlock")
		}
	})
}

// counter reads one without labels.
func counter(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}
