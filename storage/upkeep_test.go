package storage_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

func problem(field roster.Column, code roster.Code, value, message string) roster.Problem {
	return roster.Problem{Field: field, Code: code, Value: value, Message: message}
}

func TestTick(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	no := errors.New("not mine")
	ask := func(name string) map[string]int {
		return parallel(20, func(int) error {
			mine, err := h.Tick(h.ctx, name, 100*365*24*time.Hour) // no period ends meanwhile
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
	h.exec(`UPDATE ticks SET tick = tick - interval '1000 years' WHERE name = 'purge'`)
	if outcomes := ask("purge"); outcomes["<nil>"] != 1 {
		t.Errorf("in the next period: %v", outcomes)
	}
	if got := one[int](h, `SELECT count(*) FROM ticks`); got != 2 {
		t.Errorf("%d ticks are kept", got)
	}
}

func TestOverdueImports(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const long = time.Minute
	queued, held, dead, ended := h.receive(roster.Options{}).ID, h.receive(roster.Options{}).ID, h.receive(roster.Options{}).ID, h.receive(roster.Options{}).ID
	h.claim(held)
	h.claim(dead)
	h.must(h.CancelImport(h.ctx, ended, by))
	list := func() []storage.Overdue {
		overdue, err := h.OverdueImports(h.ctx, long, 10)
		h.must(err)
		return overdue
	}
	if got := list(); len(got) != 0 {
		t.Errorf("rung just now: %v", got)
	}
	h.exec(`UPDATE imports SET rung_at = now() - interval '1 hour'`)
	h.exec(`UPDATE imports SET lease_until = now() WHERE id = $1`, dead)
	got := list()
	if len(got) != 2 || got[0].ID != queued || got[1].ID != dead {
		t.Fatalf("overdue %v", got)
	}
	outcomes := parallel(10, func(int) error {
		dispatch, err := h.RingAgain(h.ctx, got[0])
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

func TestPurge(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	// 70 chunks: more than one step removes.
	var sent int
	big := upload(nil, "key", roster.Options{})
	big.Next = func() ([]byte, error) {
		if sent++; sent > 70 {
			return nil, io.EOF
		}
		return []byte(strings.Repeat("x", 100)), nil
	}
	received, err := h.ReceiveImport(h.ctx, big)
	h.must(err)
	id := received.Import.ID
	c := h.claim(id)
	h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(5), Rows: 2, Marks: nil, Refusals: []roster.Refusal{
		{Row: 2, Line: 2, Email: "secret@", Problems: []roster.Problem{problem("email", roster.InvalidEmail, "secret@", "m"), problem("name", roster.MalformedRow, "secret", "n")}},
		{Row: 3, Line: 3, Email: "secret", Problems: []roster.Problem{problem("email", roster.InvalidEmail, "secret", "m")}},
	}, Last: true}))
	_, err = h.ApplyBatch(h.ctx, c, storage.Batch{To: at(5), Rows: 2, Last: true})
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
	if !i.Purged() || i.Failed != 2 || i.Filename == "" {
		t.Errorf("%+v", i)
	}
	if _, err := io.ReadAll(h.OpenUpload(h.ctx, id, 0)); !errors.Is(err, storage.ErrPurged) {
		t.Errorf("the upload: %v", err)
	}
	refused, err := h.Refusals(h.ctx, id, 0, 10)
	h.must(err)
	if len(refused) != 2 || len(refused[0].Problems) != 2 || refused[0].Reason() != roster.InvalidEmail || refused[0].Problems[1].Message != "n" {
		t.Errorf("counts and codes stay: %+v", refused)
	}
	if got := one[int](h, `SELECT count(*) FROM import_errors e WHERE e::text LIKE '%secret%'`); got != 0 {
		t.Errorf("%d values are left", got)
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

func TestUndo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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
	_, err = h.AskUndo(h.ctx, i.ID, by)
	h.must(err)
	if ids, err := h.Undoing(h.ctx); err != nil || len(ids) != 1 || ids[0] != i.ID {
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
	if u, err := h.AskUndo(h.ctx, i.ID, by); err != nil || u.Removed != 3 || u.Kept != 2 {
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
	if _, err := h.AskUndo(h.ctx, h.receive(roster.Options{}).ID, by); !errors.Is(err, storage.ErrWrongState) {
		t.Errorf("of one that goes on: %v", err)
	}
	if _, err := h.AskUndo(h.ctx, uuid.New(), by); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("of none: %v", err)
	}
	empty, _ := h.imported(roster.Options{})
	_, err = h.AskUndo(h.ctx, empty.ID, by)
	h.must(err)
	if u, err := h.UndoStep(h.ctx, empty.ID); err != nil || u.FinishedAt == nil || u.Removed+u.Kept != 0 {
		t.Errorf("of one that created nobody: %+v, %v", u, err)
	}
}
