package storage_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// ready brings a dry run to where it waits to be confirmed.
func (h *testEnv) ready() *roster.Import {
	h.Helper()
	c := h.claim(h.receive(roster.Options{DryRun: true}).ID)
	h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(2), Last: true}))
	return h.read(c.Import.ID)
}

func TestImportAgain(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	earlier := h.ready()
	o := roster.Options{OnDuplicate: roster.SkipDuplicates, Encoding: "windows-1252"}
	i, dispatch, err := h.RereadImport(h.ctx, earlier.ID, o, by)
	h.must(err)
	if dispatch != 1 || !i.Options.DryRun || i.Options.Encoding != "windows-1252" || i.SHA256 != earlier.SHA256 || h.read(earlier.ID).Status != roster.Canceled {
		t.Errorf("%+v", i)
	}
	got, err := io.ReadAll(h.OpenUpload(h.ctx, i.ID, 0))
	h.must(err)
	if string(got) != "email,name\n" {
		t.Errorf("the file is %q", got)
	}
	kin, err := h.RelatedImports(h.ctx, i.ID)
	h.must(err)
	back, err := h.RelatedImports(h.ctx, earlier.ID)
	h.must(err)
	if kin.Before == nil || kin.Before.ID != earlier.ID || len(kin.After) != 0 || back.Before != nil || len(back.After) != 1 || back.After[0].ID != i.ID {
		t.Errorf("%+v, %+v", kin, back)
	}
	stranger := storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorToken, ID: uuid.New()}}
	written, _ := h.imported(roster.Options{}, "grace")
	for name, c := range map[string]struct {
		id   uuid.UUID
		by   storage.AuditEntry
		want error
	}{
		"another's":   {earlier.ID, stranger, storage.ErrNotFound},
		"at work":     {i.ID, by, storage.ErrWrongState},
		"has written": {written.ID, by, storage.ErrWrongState},
	} {
		if _, _, err := h.RereadImport(h.ctx, c.id, o, c.by); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.exec(`UPDATE imports SET purged_at = now() WHERE id = $1`, earlier.ID)
	if _, _, err := h.RereadImport(h.ctx, earlier.ID, o, by); !errors.Is(err, storage.ErrPurged) {
		t.Errorf("purged: %v", err)
	}
	if err := h.LinkImports(h.ctx, written.ID, uuid.New()); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("following none: %v", err)
	}
	h.must(h.LinkImports(h.ctx, written.ID, earlier.ID))
}

func TestChooseInvitations(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i := h.ready()
	for range 2 {
		h.must(h.SetSendInvitations(h.ctx, i.ID, true, by))
	}
	if !h.read(i.ID).Options.SendInvitations {
		t.Error("not chosen")
	}
	h.audited("import.invitations", i.ID, 1)
	h.must(h.CancelImport(h.ctx, i.ID, by))
	if err := h.SetSendInvitations(h.ctx, i.ID, false, by); !errors.Is(err, storage.ErrWrongState) {
		t.Errorf("of one that ended: %v", err)
	}
}

func TestResets(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	none := func() {
		t.Helper()
		if d, err := h.ClaimReset(h.ctx, time.Minute); !errors.Is(err, storage.ErrNotFound) {
			t.Fatalf("claimed %+v, %v", d, err)
		}
	}
	none()
	h.must(h.RequestReset(h.ctx, "ann@example.com", time.Hour))
	h.must(h.RequestReset(h.ctx, "ann@example.com", time.Hour)) // at once: nothing more
	d, err := h.ClaimReset(h.ctx, time.Minute)
	h.must(err)
	none()
	h.must(h.PostponeReset(h.ctx, d, 0))
	d, err = h.ClaimReset(h.ctx, time.Minute)
	h.must(err)
	if d.EmailKey != "ann@example.com" || d.Attempts != 2 || d.Now.Before(d.AskedAt) {
		t.Errorf("%+v", d)
	}
	h.must(h.RequestReset(h.ctx, "ann@example.com", 0)) // anew, while the first is being mailed
	h.must(h.FinishReset(h.ctx, d))
	d, err = h.ClaimReset(h.ctx, time.Minute)
	h.must(err)
	h.must(h.FinishReset(h.ctx, d))
	h.exec(`UPDATE password_resets SET due_at = now() WHERE due_at IS NOT NULL`)
	none()
	h.must(h.PurgeResets(h.ctx, 0))
	if n := one[int](h, `SELECT count(*) FROM password_resets`); n != 0 {
		t.Errorf("%d are remembered", n)
	}
	id := h.active("ann", roster.RoleUser)
	if r, err := h.ResetTargetByID(h.ctx, id); err != nil || r.Email != "ann@example.com" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestUndoPreview(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i, people := h.imported(roster.Options{}, "a", "b", "c")
	_, err := h.ChangeUser(h.ctx, people[1].ID, storage.UserChange{Name: ptr("B")}, by)
	h.must(err)
	want, err := h.UndoPreview(h.ctx, i.ID)
	h.must(err)
	if _, err := h.UndoState(h.ctx, i.ID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("before it is asked for: %v", err)
	}
	_, err = h.RequestUndo(h.ctx, i.ID, by)
	h.must(err)
	_, err = h.UndoStep(h.ctx, i.ID)
	h.must(err)
	u, err := h.UndoState(h.ctx, i.ID)
	h.must(err)
	if want != (storage.UndoPreview{Remove: 2, Keep: 1}) || u.Removed != want.Remove || u.Kept != want.Keep {
		t.Errorf("preview %+v, undo %+v", want, u)
	}
}

func TestRowErrorsByCode(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	c := h.claim(h.receive(roster.Options{}).ID)
	var refused []roster.RowError
	for row, code := range []roster.Code{roster.InvalidEmail, roster.InvalidRole, roster.InvalidEmail} {
		refused = append(refused, roster.RowError{Row: int64(row + 2), Line: int64(row + 2), Problems: []roster.Problem{problem("", code, "", "m")}})
	}
	h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(5), Rows: 3, RowErrors: refused}))
	counts, err := h.CountRowErrors(h.ctx, c.Import.ID)
	h.must(err)
	if diff := cmp.Diff([]storage.RowErrorCount{{Reason: roster.InvalidEmail, Rows: 2}, {Reason: roster.InvalidRole, Rows: 1}}, counts); diff != "" {
		t.Error(diff)
	}
	got, err := h.RowErrorsByCode(h.ctx, c.Import.ID, roster.InvalidEmail, 2, 10)
	h.must(err)
	if diff := cmp.Diff(refused[2:], got); diff != "" {
		t.Error(diff)
	}
}
