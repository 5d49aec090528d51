package storage_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

func problem(field roster.Column, code roster.Code, value, message string) roster.Problem {
	return roster.Problem{Field: field, Code: code, Value: value, Message: message}
}

func TestTick(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	no := errors.New("not mine")
	ask := func(name string) map[string]int {
		return parallel(20, func(int) error {
			mine, err := h.ClaimPeriod(h.ctx, name, 100*365*24*time.Hour) // no period ends meanwhile
			if err == nil && !mine {
				return no
			}
			return err
		})
	}
	for _, name := range []string{"purge", "sweep"} {
		if outcomes := ask(name); outcomes["<nil>"] != 1 || outcomes[no.Error()] != 19 {
			t.Errorf("%s, of 20 callers: %v", name, outcomes)
		}
	}
	h.exec(`UPDATE maintenance_runs SET period_start = period_start - interval '1000 years' WHERE name = 'purge'`)
	if outcomes := ask("purge"); outcomes["<nil>"] != 1 {
		t.Errorf("in the next period: %v", outcomes)
	}
	if got := one[int](h, `SELECT count(*) FROM maintenance_runs`); got != 2 {
		t.Errorf("%d ticks are kept", got)
	}
}

func TestOverdueImports(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	const long = time.Minute
	queued, held, dead, ended := h.receive(roster.Options{}).ID, h.receive(roster.Options{}).ID, h.receive(roster.Options{}).ID, h.receive(roster.Options{}).ID
	h.claim(held)
	h.claim(dead)
	h.must(h.CancelImport(h.ctx, ended, by))
	list := func() []storage.StalledImport {
		overdue, err := h.StalledImports(h.ctx, long, 10)
		h.must(err)
		return overdue
	}
	if got := list(); len(got) != 0 {
		t.Errorf("rung just now: %v", got)
	}
	h.exec(`UPDATE imports SET enqueued_at = now() - interval '1 hour'`)
	h.exec(`UPDATE imports SET lease_until = now() WHERE id = $1`, dead)
	got := list()
	if len(got) != 2 || got[0].ID != queued || got[1].ID != dead {
		t.Fatalf("overdue %v", got)
	}
	outcomes := parallel(10, func(int) error {
		dispatch, err := h.NextDispatch(h.ctx, got[0])
		if errors.Is(err, storage.ErrNotClaimable) {
			return storage.ErrNotClaimable
		}
		if err == nil && dispatch != got[0].Dispatch+1 {
			t.Errorf("dispatch %d", dispatch)
		}
		return err
	})
	if outcomes["<nil>"] != 1 || outcomes[storage.ErrNotClaimable.Error()] != 9 {
		t.Errorf("of ten sweepers: %v", outcomes)
	}
	if got := list(); len(got) != 1 || got[0].ID != dead {
		t.Errorf("after ringing: %v", got)
	}
}

// TestPurgeTakesWhatCameFromTheFile: its name, header and mapping, and the words
// of warnings and failure, which may hold what the file holds.
func TestPurgeTakesWhatCameFromTheFile(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.receive(roster.Options{Mapping: map[string]string{"email": "secret"}}).ID
	h.must(h.FailImport(h.ctx, h.claim(id), roster.Failure{
		Code: roster.MissingColumn, Message: "secret", Fix: "Rename it", Mapping: map[roster.Column]roster.Headers{roster.ColumnEmail: "secret"},
	}))
	h.exec(`UPDATE imports SET filename = 'secret.csv', header = '{secret}', finished_at = now() - interval '2 hours',
	               warnings = '[{"code": "unknown_columns", "message": "secret", "columns": ["secret"], "mapping": {"name": "secret"}, "sample": "secret"},
	                            {"code": "likely_encoding", "message": "secret", "rows": 3, "encoding": "windows-1252"}]' WHERE id = $1`, id)
	before := h.read(id)
	for done := false; !done; {
		var err error
		done, err = h.PurgeImport(h.ctx, time.Hour)
		h.must(err)
	}
	if row := one[string](h, `SELECT to_jsonb(i)::text FROM imports i WHERE id = $1`, id); strings.Contains(row, "secret") {
		t.Errorf("after the purge: %s", row)
	}
	i := h.read(id)
	if f := i.Failure; f == nil || f.Code != roster.MissingColumn || f.Fix != "Rename it" || f.Message == "" {
		t.Errorf("failure %+v", f)
	}
	if len(i.Warnings) != 2 || i.Warnings[0].Code != "unknown_columns" || i.Warnings[1].Rows != 3 || i.Warnings[1].Encoding != "windows-1252" {
		t.Errorf("warnings %+v", i.Warnings)
	}
	if i.Revision == before.Revision {
		t.Error("the revision is the same")
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	received, err := h.ReceiveImport(h.ctx, upload([]byte("x"), "key", roster.Options{}))
	h.must(err)
	id := received.Import.ID
	// 70 chunks: more than one step removes.
	h.exec(`INSERT INTO import_chunks (import_id, seq, data) SELECT $1, n, 'x' FROM generate_series(1, 69) n`, id)
	c := h.claim(id)
	h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(5), Rows: 3, Marks: nil, RowErrors: []roster.RowError{
		{Row: 2, Line: 2, Email: "secret@", Problems: []roster.Problem{problem("email", roster.InvalidEmail, "secret@", "m"), problem("name", roster.MalformedRow, "secret", "n")}},
		{Row: 4, Line: 4, Problems: []roster.Problem{{Field: "email", Code: roster.InvalidEmail, Message: "m", Suggestion: "secret@x.example", Fix: "Fix it"},
			{Field: "name", Code: roster.MalformedRow, Message: "n", Suggestion: "secret"}}},
		{Row: 3, Line: 3, Email: "secret", Problems: []roster.Problem{problem("email", roster.InvalidEmail, "secret", "m")}},
	}, Warnings: []roster.Warning{{Code: roster.WarnReadAs, Message: "m", Sample: "secret"}}, Last: true}))
	_, err = h.ApplyBatch(h.ctx, c, storage.Batch{To: at(5), Rows: 3, Last: true})
	h.must(err)
	fresh := h.receive(roster.Options{})
	dry := h.claim(h.receive(roster.Options{DryRun: true}).ID)
	h.must(h.SaveChecked(h.ctx, dry, storage.Checked{To: at(2), Last: true}))

	const retention = time.Hour
	if done, err := h.PurgeImport(h.ctx, retention); err != nil || !done {
		t.Fatalf("before its time: %v, %v", done, err)
	}
	h.exec(`UPDATE imports SET finished_at = now() - interval '2 hours' WHERE id = $1`, id)
	h.exec(`UPDATE imports SET created_at = now() - interval '2 hours' WHERE id = $1`, dry.Import.ID)
	steps := 0
	for done := false; !done; steps++ {
		done, err = h.PurgeImport(h.ctx, retention)
		h.must(err)
		if i := h.read(id); steps == 0 && (i.Purged() || one[int](h, `SELECT count(*) FROM import_chunks WHERE import_id = $1`, id) != 6) {
			t.Error("the first step removed everything")
		}
	}
	if steps != 3 {
		t.Errorf("%d steps", steps)
	}
	i := h.read(id)
	if !i.Purged() || i.Failed != 3 || i.Filename == "" {
		t.Errorf("%+v", i)
	}
	if _, err := io.ReadAll(h.OpenUpload(h.ctx, id, 0)); !errors.Is(err, storage.ErrPurged) {
		t.Errorf("the upload: %v", err)
	}
	counts, err := h.CountRowErrors(h.ctx, id)
	h.must(err)
	if diff := cmp.Diff([]storage.RowErrorCount{{Reason: roster.InvalidEmail, Rows: 3}}, counts); diff != "" {
		t.Error("counts and codes stay: " + diff)
	}
	if got := one[int](h, `SELECT count(*) FROM import_errors WHERE import_id = $1`, id); got != 0 {
		t.Errorf("%d blocks of failed rows are left", got)
	}
	if again, err := h.ReceiveImport(h.ctx, upload([]byte("y"), "key", roster.Options{})); err != nil || !again.Created {
		t.Errorf("the key: %+v, %v", again, err)
	}
	if i := h.read(dry.Import.ID); i.Status != roster.Canceled || i.Purged() {
		t.Errorf("a dry run nobody confirmed: %s, purged %v", i.Status, i.Purged())
	}
	if i := h.read(fresh.ID); i.Status != roster.Queued {
		t.Errorf("another import: %s", i.Status)
	}
}

// TestPurgeForgetsChanges: what an import changed of users, whom it found missing and
// which rows waited go with its file, in small steps; but not while it is undone.
func TestPurgeForgetsChanges(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	first, people := h.imported(roster.Options{}, "ada")
	id, user := first.ID, people[0].ID
	h.exec(`INSERT INTO import_updates (import_id, row, user_id, edits, before) SELECT $1, n, $2, 1, '{"name": "secret"}' FROM generate_series(1, 12000) n`, id, user)
	h.exec(`INSERT INTO import_missing (import_id, n, user_id, email_key) SELECT $1, n, $2, 'secret' FROM generate_series(1, 6000) n`, id, user)
	h.exec(`INSERT INTO import_deferred_rows (import_id, row, holder_key, fields) VALUES ($1, 1, 'secret', '{}')`, id)
	h.exec(`INSERT INTO import_edits (import_id, row, cells, whole, line, file_text, email_key) VALUES ($1, 1, '{"name": "secret"}', false, 1, 'secret', 'secret')`, id)
	h.exec(`INSERT INTO import_row_keys (import_id, first_row, bucket, data) VALUES ($1, 1, -1, 'secret')`, id)
	h.exec(`UPDATE imports SET finished_at = now() - interval '2 hours', undo_requested_at = now() WHERE id = $1`, id)
	if done, err := h.PurgeImport(h.ctx, time.Hour); err != nil || !done || h.read(id).Purged() {
		t.Errorf("during its undo: %v, %v", done, err)
	}
	h.exec(`UPDATE imports SET undo_finished_at = now() WHERE id = $1`, id)
	const left = `SELECT (SELECT count(*) FROM import_updates) + (SELECT count(*) FROM import_missing) + (SELECT count(*) FROM import_deferred_rows)
		+ (SELECT count(*) FROM import_edits) + (SELECT count(*) FROM import_row_keys)`
	for before := one[int](h, left); ; {
		done, err := h.PurgeImport(h.ctx, time.Hour)
		h.must(err)
		after := one[int](h, left)
		if before-after > 10_001 {
			t.Errorf("%d at once", before-after)
		}
		if before = after; done {
			break
		}
	}
	if n := one[int](h, left); n != 0 || !h.read(id).Purged() {
		t.Errorf("%d left", n)
	}
}

// TestFilesOfUnusedImportsGoAfterADay: what was canceled or failed is not kept as
// long as what was completed.
func TestFilesOfUnusedImportsGoAfterADay(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	canceled := h.receive(roster.Options{}).ID
	h.must(h.CancelImport(h.ctx, canceled, by))
	c := h.claim(h.receive(roster.Options{}).ID)
	h.must(h.FailImport(h.ctx, c, roster.Failure{Code: roster.EmptyFile}))
	young := h.receive(roster.Options{}).ID
	h.must(h.CancelImport(h.ctx, young, by))
	completed, _ := h.imported(roster.Options{}, "kept")
	h.exec(`UPDATE imports SET finished_at = now() - interval '25 hours' WHERE id <> $1`, young)
	for done := false; !done; {
		var err error
		done, err = h.PurgeImport(h.ctx, 30*24*time.Hour)
		h.must(err)
	}
	for id, purged := range map[uuid.UUID]bool{canceled: true, c.Import.ID: true, young: false, completed.ID: false} {
		if i := h.read(id); i.Purged() != purged {
			t.Errorf("%s: purged %v, want %v", i.Status, i.Purged(), purged)
		}
	}
}

func TestUndo(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i, people := h.imported(roster.Options{SendInvitations: true}, "gone", "edited", "accepted", "gone too", "revoked")
	_, others := h.imported(roster.Options{SendInvitations: true}, "stranger")
	for _, d := range h.dispatchAll() {
		if d.UserID != people[0].ID {
			h.send(d)
		}
	}
	h.must(h.AcceptInvitation(h.ctx, people[2].ID, 1, "hash", ""))
	h.must(h.RevokeInvitation(h.ctx, people[4].ID, by))
	name := "Edited"
	_, err := h.ChangeUser(h.ctx, people[1].ID, storage.UserChange{Name: &name}, by)
	h.must(err)
	if _, err := h.UndoStep(h.ctx, i.ID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("not asked for: %v", err)
	}
	_, err = h.RequestUndo(h.ctx, i.ID, by)
	h.must(err)
	if ids, err := h.PendingUndos(h.ctx); err != nil || len(ids) != 1 || ids[0] != i.ID {
		t.Errorf("going on: %v, %v", ids, err)
	}
	outcomes := parallel(5, func(int) error {
		u, err := h.UndoStep(h.ctx, i.ID)
		if err == nil && (u.Removed != 3 || u.Kept != 2 || u.FinishedAt == nil) {
			t.Errorf("%+v", u)
		}
		return err
	})
	if outcomes["<nil>"] != 5 {
		t.Errorf("%v", outcomes)
	}
	if u, err := h.RequestUndo(h.ctx, i.ID, by); err != nil || u.Removed != 3 || u.Kept != 2 {
		t.Errorf("asked again: %+v, %v", u, err)
	}
	for n, want := range []error{storage.ErrNotFound, nil, nil, storage.ErrNotFound, storage.ErrNotFound} {
		if _, err := h.User(h.ctx, people[n].ID); !errors.Is(err, want) {
			t.Errorf("%s: %v", people[n].Name, err)
		}
	}
	h.user(others[0].ID)
	h.undrifted(i.ID)
	h.audited("import.undo", i.ID, 1)
	if _, err := h.RequestUndo(h.ctx, h.receive(roster.Options{}).ID, by); !errors.Is(err, storage.ErrWrongState) {
		t.Errorf("of one that goes on: %v", err)
	}
	if _, err := h.RequestUndo(h.ctx, uuid.New(), by); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("of none: %v", err)
	}
	empty, _ := h.imported(roster.Options{})
	_, err = h.RequestUndo(h.ctx, empty.ID, by)
	h.must(err)
	if u, err := h.UndoStep(h.ctx, empty.ID); err != nil || u.FinishedAt == nil || u.Removed+u.Kept != 0 {
		t.Errorf("of one that created nobody: %+v, %v", u, err)
	}
}
