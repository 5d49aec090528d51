package jobs_test

import (
	"context"
	"testing"
	"time"

	"rollcall/internal/pgtest"
	"rollcall/jobs"
	"rollcall/roster"
)

// TestDatabaseAtFault: a database that is full, or too slow, refuses a batch more
// often than a row may crash. No row is refused for it.
func TestDatabaseAtFault(t *testing.T) {
	t.Parallel()
	const rows, tries = 30, 14
	for name, fault := range map[string]string{
		"full": `RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'`,
		"slow": `PERFORM pg_sleep(5)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			exec := func(statement string) { pgtest.AsOwner(t, h.url, statement) }
			exec(`
				CREATE FUNCTION at_fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + fault + `; RETURN NULL; END $$;
				CREATE TRIGGER at_fault BEFORE INSERT ON users FOR EACH STATEMENT EXECUTE FUNCTION at_fault()`)
			im := h.importer(jobs.ImporterConfig{BatchRows: 10, Timeout: 500 * time.Millisecond})
			id := h.upload(people(rows), roster.Options{}).ID
			for range tries {
				if _, err := im.Run(context.Background(), id); err == nil {
					t.Fatal("the database was not at fault")
				}
				h.lapse()
			}
			if i := h.read(id); i.Processed != 0 || i.Failed != 0 {
				t.Errorf("while the database was at fault: %+v", i.Counts)
			}
			exec(`DROP TRIGGER at_fault ON users`)
			if i := h.run(h.importer(jobs.ImporterConfig{}), id); i.Status != roster.Completed || i.Imported != rows || i.Failed != 0 {
				t.Errorf("afterwards: %s %+v", i.Status, i.Counts)
			}
		})
	}
}

// TestStoppedAtOnce: a worker that is told to stop while it takes an import in
// hand hands it back in good order.
func TestStoppedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.upload(people(30), roster.Options{}).ID
	stopped, stop := context.WithCancel(context.Background())
	stop()
	rest, err := h.importer(jobs.ImporterConfig{}).Run(stopped, id)
	if err != nil || !rest.More {
		t.Errorf("%+v %v", rest, err)
	}
	var free bool
	if err := h.store.DB().QueryRow(`SELECT lease_until IS NULL AND crashes = 0 FROM imports WHERE id = $1`, id).Scan(&free); err != nil || !free {
		t.Errorf("the import is not free for others (%v)", err)
	}
	if i := h.run(h.importer(jobs.ImporterConfig{}), id); i.Status != roster.Completed || i.Imported != 30 {
		t.Errorf("afterwards: %s %+v", i.Status, i.Counts)
	}
}
