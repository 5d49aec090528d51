package storage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
)

func TestClaim(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.receive(roster.Options{}).ID
	outcomes := parallel(10, func(int) error {
		_, err := h.ClaimImport(h.ctx, id, time.Minute)
		if errors.Is(err, storage.ErrNotClaimable) {
			return storage.ErrNotClaimable
		}
		return err
	})
	if outcomes["<nil>"] != 1 || outcomes[storage.ErrNotClaimable.Error()] != 9 {
		t.Errorf("of ten workers: %v", outcomes)
	}
	i := h.read(id)
	if i.Status != roster.Checking || i.StartedAt == nil {
		t.Errorf("%s since %v", i.Status, i.StartedAt)
	}
	if left := one[float64](h, `SELECT EXTRACT(EPOCH FROM lease_until - clock_timestamp())::float8 FROM imports`); left < 50 || left > 60 {
		t.Errorf("a lease of %.0f s by the database's clock", left)
	}
	if _, err := h.ClaimImport(h.ctx, uuid.New(), time.Minute); !errors.Is(err, storage.ErrNotClaimable) {
		t.Errorf("no such import: %v", err)
	}
}

// TestLostClaim: a worker that slept through its lease can do no harm.
func TestLostClaim(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	old := h.claim(h.receive(roster.Options{}).ID)
	h.exec(`UPDATE imports SET lease_until = now() - interval '1 second'`)
	fresh := h.claim(old.Import.ID)
	if fresh.Fence != old.Fence+1 || fresh.Crashes != 1 || old.Crashes != 0 {
		t.Errorf("fence %d after %d, crashes %d", fresh.Fence, old.Fence, fresh.Crashes)
	}
	writes := map[string]func(*storage.Claim) error{
		"HandBack":   func(c *storage.Claim) error { _, err := h.ReleaseClaim(h.ctx, c); return err },
		"Abandon":    func(c *storage.Claim) error { return h.FailClaim(h.ctx, c, 0, 100) },
		"FailImport": func(c *storage.Claim) error { return h.FailImport(h.ctx, c, roster.Failure{Code: roster.EmptyFile}) },
		"SaveChecked": func(c *storage.Claim) error {
			return h.SaveChecked(h.ctx, c, storage.Checked{To: at(9), Rows: 1, Valid: 1})
		},
		"ApplyBatch": func(c *storage.Claim) error {
			_, err := h.ApplyBatch(h.ctx, c, storage.Batch{To: at(9), Rows: 1, Newcomers: []storage.UserRow{newcomer(2, "grace")}})
			return err
		},
	}
	for name, write := range writes {
		if err := write(old); !errors.Is(err, storage.ErrClaimLost) {
			t.Errorf("%s under an old fence: %v", name, err)
		}
	}
	if old.At != (tabular.Position{}) {
		t.Errorf("a lost claim moved to %+v", old.At)
	}
	h.must(h.SaveChecked(h.ctx, fresh, storage.Checked{To: at(9), Rows: 7, Valid: 7, Last: true}))
	h.must(h.CancelImport(h.ctx, fresh.Import.ID, by))
	for name, write := range writes {
		if err := write(fresh); !errors.Is(err, storage.ErrClaimLost) {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
	if n := one[int](h, `SELECT count(*) FROM users`); n != 0 {
		t.Errorf("%d users", n)
	}
	if i := h.read(fresh.Import.ID); i.Checked != 7 || i.Failure != nil {
		t.Errorf("%+v", i.Counts)
	}
}

// TestOthersAreCounted: a claim tells how many other imports are under a lease.
func TestOthersAreCounted(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.receive(roster.Options{}) // nobody has it in hand
	first := h.claim(h.receive(roster.Options{}).ID)
	second := h.claim(h.receive(roster.Options{}).ID)
	third := h.claim(h.receive(roster.Options{}).ID)
	if first.Others != 0 || second.Others != 1 || third.Others != 2 {
		t.Errorf("%d, %d and %d others", first.Others, second.Others, third.Others)
	}
	_, err := h.ReleaseClaim(h.ctx, first)
	h.must(err)
	h.must(h.CancelImport(h.ctx, second.Import.ID, by))
	h.exec(`UPDATE imports SET lease_until = now() WHERE id = $1`, third.Import.ID)
	if again := h.claim(first.Import.ID); again.Others != 0 {
		t.Errorf("%d others when nobody works on any", again.Others)
	}
}

func TestCrashesAreCounted(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	c := h.claim(h.receive(roster.Options{}).ID)
	h.must(h.FailClaim(h.ctx, c, time.Hour, 100))
	if _, err := h.ClaimImport(h.ctx, c.Import.ID, time.Minute); !errors.Is(err, storage.ErrNotClaimable) {
		t.Errorf("before its wait is over: %v", err)
	}
	h.exec(`UPDATE imports SET lease_until = now()`)
	c = h.claim(c.Import.ID)
	if c.Crashes != 1 {
		t.Errorf("%d crashes after an abandoned claim", c.Crashes)
	}
	h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(5), Rows: 3, Valid: 3}))
	if c.Crashes != 0 {
		t.Errorf("%d crashes after a commit", c.Crashes)
	}
	dispatch, err := h.ReleaseClaim(h.ctx, c)
	h.must(err)
	if dispatch != 2 {
		t.Errorf("dispatch %d", dispatch)
	}
	c = h.claim(c.Import.ID) // at once
	if c.Crashes != 0 || c.At != at(5) {
		t.Errorf("after handing back: %d crashes, at %+v", c.Crashes, c.At)
	}
}

func TestSaveChecked(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]roster.Options{"dry run": {DryRun: true}, "import": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			c := h.claim(h.receive(o).ID)
			layout := storage.Layout{Format: tabular.Format{Encoding: "utf-8", Delimiter: ";"}, Header: []string{"email", "naïve, \"name\""}}
			failed := []roster.RowError{{Row: 3, Line: 4, Email: "x\x00", Problems: []roster.Problem{
				{Field: "email", Code: roster.InvalidEmail, Value: "x", Message: "m"}, {Field: "name", Code: roster.MissingRequiredField, Value: "", Message: "n"}}}}
			warnings := []roster.Warning{{Code: roster.WarnUnknownColumns, Message: "w", Columns: []string{"Phone"}}}
			h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(12), Rows: 10, Valid: 9, Admins: 2, RowErrors: failed,
				Marks: []tabular.Position{at(2), {Row: 7, Line: 8, Offset: 99, Skip: 3}}, Layout: &layout, Warnings: warnings}))
			if i := h.read(c.Import.ID); i.Total != nil || i.Checked != 10 || i.Valid != 9 || i.Failed != 1 || i.Admins != 2 || i.Status != roster.Checking {
				t.Errorf("%s: %+v", i.Status, i.Counts)
			}
			stale := *c
			stale.At = tabular.Position{}
			if err := h.SaveChecked(h.ctx, &stale, storage.Checked{To: at(12), Rows: 10, Valid: 10}); !errors.Is(err, storage.ErrClaimLost) {
				t.Errorf("the same batch twice: %v", err)
			}
			h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(14), Rows: 2, Valid: 2, Last: true}))
			i := h.read(c.Import.ID)
			if i.Total == nil || *i.Total != 12 || i.Checked != 12 || i.Valid != 11 || i.Processed != 0 || !cmp.Equal(i.Warnings, warnings) {
				t.Errorf("%+v, warnings %v", i.Counts, i.Warnings)
			}
			got, err := h.ImportLayout(h.ctx, i.ID)
			h.must(err)
			if !cmp.Equal(got, layout) || !cmp.Equal(c.Layout, layout) {
				t.Errorf("layout %+v", got)
			}
			listed, err := h.RowErrors(h.ctx, i.ID, 0, 10)
			h.must(err)
			failed[0].Email = "x\uFFFD"
			if diff := cmp.Diff(failed, listed); diff != "" {
				t.Error(diff)
			}
			for row, want := range map[int64]tabular.Position{1: {}, 2: at(2), 6: at(2), 7: {Row: 7, Line: 8, Offset: 99, Skip: 3}, 99: {Row: 7, Line: 8, Offset: 99, Skip: 3}} {
				if mark, err := h.RowOffsetBefore(h.ctx, i.ID, row); err != nil || mark != want {
					t.Errorf("mark before row %d: %+v, %v", row, mark, err)
				}
			}
			wantStatus, held := roster.Importing, true
			if o.DryRun {
				wantStatus, held = roster.Ready, false
			}
			if i.Status != wantStatus || c.Import.Status != wantStatus || c.At != (tabular.Position{}) {
				t.Errorf("status %s, claim %s at %+v", i.Status, c.Import.Status, c.At)
			}
			if got := one[bool](h, `SELECT lease_until IS NOT NULL FROM imports`); got != held {
				t.Errorf("still held: %v", got)
			}
		})
	}
}

func TestFailImport(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	c := h.claim(h.receive(roster.Options{}).ID)
	failure := roster.Failure{Code: roster.MissingColumn, Message: "m", Fix: "f"}
	h.must(h.FailImport(h.ctx, c, failure))
	i := h.read(c.Import.ID)
	if i.Status != roster.Failed || i.FinishedAt == nil || !cmp.Equal(i.Failure, &failure) {
		t.Errorf("%+v", i)
	}
}

func TestConfirmAndCancel(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.receive(roster.Options{DryRun: true}).ID
	if _, err := h.ConfirmImport(h.ctx, id, storage.Approval{}, by); !errors.Is(err, storage.ErrWrongState) {
		t.Errorf("before it is ready: %v", err)
	}
	c := h.claim(id)
	h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(3), Rows: 1, Valid: 1, Last: true}))
	if _, err := h.ClaimImport(h.ctx, id, time.Minute); !errors.Is(err, storage.ErrNotClaimable) {
		t.Errorf("a dry run that waits: %v", err)
	}
	outcomes := parallel(10, func(int) error {
		_, err := h.ConfirmImport(h.ctx, id, storage.Approval{}, by)
		if errors.Is(err, storage.ErrWrongState) {
			return storage.ErrWrongState
		}
		return err
	})
	if outcomes["<nil>"] != 1 || outcomes[storage.ErrWrongState.Error()] != 9 {
		t.Errorf("confirmed by ten at once: %v", outcomes)
	}
	h.audited("import.confirm", id, 1)
	if i := h.read(id); i.Status != roster.Importing || i.Options.DryRun {
		t.Errorf("%s, dry %v", i.Status, i.Options.DryRun)
	}
	h.must(h.CancelImport(h.ctx, id, by))
	if err := h.CancelImport(h.ctx, id, by); !errors.Is(err, storage.ErrWrongState) {
		t.Errorf("canceled twice: %v", err)
	}
	h.audited("import.cancel", id, 1)
	for name, err := range map[string]error{
		"cancel":  h.CancelImport(h.ctx, uuid.New(), by),
		"confirm": func() error { _, err := h.ConfirmImport(h.ctx, uuid.New(), storage.Approval{}, by); return err }(),
		"read":    func() error { _, err := h.Import(h.ctx, uuid.New()); return err }(),
		"layout":  func() error { _, err := h.ImportLayout(h.ctx, uuid.New()); return err }(),
		"row":     func() error { _, err := h.ImportProgress(h.ctx, uuid.New()); return err }(),
	} {
		if !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s of no import: %v", name, err)
		}
	}
}

func TestImportsArePaged(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	var newest []uuid.UUID
	hr := roster.Actor{Kind: roster.ActorToken, ID: uuid.New(), Label: "hr"}
	for n := range 5 {
		u := upload(nil, "", roster.Options{})
		if n%2 == 0 {
			u.By.Actor = hr
		}
		r, err := h.ReceiveImport(h.ctx, u)
		h.must(err)
		newest = append([]uuid.UUID{r.Import.ID}, newest...)
	}
	h.must(h.CancelImport(h.ctx, newest[0], by))
	pages := func(f storage.ImportFilter) (ids []uuid.UUID) {
		for f.Limit = 2; ; f.After = ids[len(ids)-1] {
			page, err := h.Imports(h.ctx, f)
			h.must(err)
			for _, i := range page {
				ids = append(ids, i.ID)
			}
			if len(page) < f.Limit {
				return ids
			}
		}
	}
	for name, c := range map[string]struct {
		filter storage.ImportFilter
		want   []uuid.UUID
	}{
		"all":       {storage.ImportFilter{}, newest},
		"own":       {storage.ImportFilter{Actor: &hr}, []uuid.UUID{newest[0], newest[2], newest[4]}},
		"of state":  {storage.ImportFilter{Status: roster.Canceled}, newest[:1]},
		"both":      {storage.ImportFilter{Actor: &hr, Status: roster.Queued}, []uuid.UUID{newest[2], newest[4]}},
		"of nobody": {storage.ImportFilter{Actor: &roster.Actor{Kind: roster.ActorUser, ID: hr.ID}}, nil},
	} {
		if diff := cmp.Diff(c.want, pages(c.filter), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
