package jobs_test

import (
	"context"
	"rollcall/jobs/importer"
	"testing"
	"time"

	"rollcall/roster"
	"rollcall/test/pgtest"
)

// TestDatabaseAtFault: a full or slow database fails a batch more often than a
// row may crash. No row fails for it.
func TestDatabaseAtFault(t *testing.T) {
	t.Parallel()
	const rows, tries = 30, 14
	for name, fault := range map[string]string{
		"full": `RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'`,
		"slow": `PERFORM pg_sleep(5)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			exec := func(statement string) { pgtest.AsOwner(t, h.url, statement) }
			exec(`
				CREATE FUNCTION at_fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + fault + `; RETURN NULL; END $$;
				CREATE TRIGGER at_fault BEFORE INSERT ON users FOR EACH STATEMENT EXECUTE FUNCTION at_fault()`)
			im := h.importer(importer.Config{BatchRows: 10, Timeout: 500 * time.Millisecond})
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
			if i := h.run(h.importer(importer.Config{}), id); i.Status != roster.Completed || i.Imported != rows || i.Failed != 0 {
				t.Errorf("afterwards: %s %+v", i.Status, i.Counts)
			}
		})
	}
}

// TestStoppedAtOnce: a worker that is told to stop while it claims an import
// hands it back properly.
func TestStoppedAtOnce(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.upload(people(30), roster.Options{}).ID
	stopped, stop := context.WithCancel(context.Background())
	stop()
	result, err := h.importer(importer.Config{}).Run(stopped, id)
	if err != nil || !result.More {
		t.Errorf("%+v %v", result, err)
	}
	var free bool
	if err := h.store.DB().QueryRow(`SELECT lease_until IS NULL AND failed_claims = 0 FROM imports WHERE id = $1`, id).Scan(&free); err != nil || !free {
		t.Errorf("the import is not free for others (%v)", err)
	}
	if i := h.run(h.importer(importer.Config{}), id); i.Status != roster.Completed || i.Imported != 30 {
		t.Errorf("afterwards: %s %+v", i.Status, i.Counts)
	}
}
