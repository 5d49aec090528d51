package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/jobs/importer"
	"rollcall/roster"
	"rollcall/storage"
)

// full is what a nightly file says.
var full = roster.Options{OnDuplicate: roster.UpdateDuplicates, Missing: roster.MissingDisable, MaxDisable: "100%"}

// disabled are the local parts of the addresses of disabled users.
func (h *testEnv) disabled() (names []string) {
	h.Helper()
	users, err := h.store.Users(h.Context(), storage.UserFilter{Status: roster.Disabled, Limit: 1000})
	if err != nil {
		h.Fatal(err)
	}
	for _, u := range users {
		name, _, _ := strings.Cut(u.Email, "@")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestFullRoster(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	hr := full
	hr.Source = "hr"
	for name, c := range map[string]struct {
		file    string
		options roster.Options
		want    []string // disabled afterwards
		code    roster.Code
		warning string
	}{
		"those not in the file":      {keyed("1=a", "2=b"), hr, []string{"c", "d"}, "", ""},
		"present by key only":        {keyed("1=a", "2=b", "3=new", "4=d"), hr, nil, "", ""},
		"present by address only":    {"email,name\na@example.com,N\nb@example.com,N\nc@example.com,N\nd@example.com,N\n", hr, nil, "", ""},
		"another source":             {keyed("1=x"), full, nil, "", ""},
		"a refused row is present":   {"external_id,email,name\n1,a@example.com,N\n2,b@example.com,\n3,bad,N\n,d@example.com,\n", hr, nil, "", ""},
		"nobody can tell":            {"external_id,email,name\n1,a@example.com,N\n,bad,N\n", hr, nil, "", roster.WarnMissingKept},
		"no valid row":               {"external_id,email,name\n1,bad,N\n", hr, nil, roster.EmptyRoster, ""},
		"no row":                     {"email,name\n", hr, nil, roster.EmptyRoster, ""},
		"disabled by the file":       {"external_id,email,name,status\n1,a@example.com,N,\n2,b@example.com,N,Disabled\n3,c@example.com,N,active\n4,d@example.com,N,\n", hr, []string{"b"}, "", ""},
		"a new one who is disabled":  {"external_id,email,name,status\n1,a@example.com,N,\n2,b@example.com,N,\n3,c@example.com,N,\n4,d@example.com,N,\n9,z@example.com,N,disabled\n", hr, []string{"z"}, "", ""},
		"a status that is no status": {"external_id,email,name,status\n1,a@example.com,N,gone\n2,b@example.com,N,\n3,c@example.com,N,\n4,d@example.com,N,\n", hr, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := &testEnv{t, h.url, h.store, h.meter, h.counted}
			h.empty()
			im := h.importer(importer.Config{BatchRows: 2})
			if _, err := h.store.CreateUser(t.Context(), storage.NewUser{Email: "hand@example.com", EmailKey: "hand@example.com", Name: "By hand", Role: roster.RoleUser}, time.Hour, tester); err != nil {
				t.Fatal(err)
			}
			h.run(im, h.upload(keyed("1=a", "2=b", "3=c", "4=d"), roster.Options{OnDuplicate: roster.UpdateDuplicates, Source: "hr"}).ID)
			i := h.run(im, h.upload(c.file, c.options).ID)
			if got := h.disabled(); !slices.Equal(got, c.want) {
				t.Errorf("disabled %v, want %v", got, c.want)
			}
			if c.code != "" {
				if i.Status != roster.Failed || i.Failure.Code != c.code {
					t.Errorf("%s %+v, want %s", i.Status, i.Failure, c.code)
				}
				return
			}
			if i.Status != roster.Completed || i.Disabled != i.Plan.Disable || *i.Total != i.Imported+i.Updated+i.Unchanged+i.Counts.Failed {
				t.Errorf("%s: %+v, planned %+v", i.Status, i.Counts, i.Plan)
			}
			warned := slices.ContainsFunc(i.Warnings, func(w roster.Warning) bool { return w.Code == c.warning })
			if warned != (c.warning != "") {
				t.Errorf("warnings %+v, want %q", i.Warnings, c.warning)
			}
			// All come back with the next complete file, and an undo sends them away.
			if c.options.Source != "hr" || slices.Contains(c.want, "z") || slices.Equal(c.want, []string{"b"}) {
				return
			}
			back := h.run(im, h.upload(keyed("1=a", "2=b", "3=c", "4=d"), hr).ID)
			if got := h.disabled(); len(got) > 0 {
				t.Errorf("still disabled when back in the file: %v", got)
			}
			h.undo(back.ID)
			if got := h.disabled(); !slices.Equal(got, c.want) {
				t.Errorf("after the undo %v are disabled, want %v", got, c.want)
			}
			h.undo(i.ID)
			if got := h.disabled(); len(got) > 0 {
				t.Errorf("still disabled after the undo: %v", got)
			}
		})
	}
}

// undo undoes an import to the end.
func (h *testEnv) undo(id uuid.UUID) storage.Undo {
	h.Helper()
	u, err := h.store.RequestUndo(h.Context(), id, tester)
	for err == nil && u.FinishedAt == nil {
		u, err = h.store.UndoStep(h.Context(), id)
	}
	if err != nil {
		h.Fatal(err)
	}
	return u
}

// TestHeld: over the safety limit nothing at all is applied, until an administrator
// says so.
func TestHeld(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	im := h.importer(importer.Config{BatchRows: 2})
	h.run(im, h.upload(keyed("1=a", "2=b", "3=c", "4=d"), full).ID)
	ann, err := h.store.CreateUser(t.Context(), storage.NewUser{Email: "ann@example.com", EmailKey: "ann@example.com", Name: "Ann", Role: roster.RoleAdmin, PasswordHash: "x"}, 0, tester)
	if err != nil {
		t.Fatal(err)
	}
	limited := full
	limited.MaxDisable = "" // 20 % of four is none
	i := h.run(im, h.upload(keyed("1=renamed", "2=b", "5=e"), limited).ID)
	if i.Status != roster.Held || i.Plan.Disable != 2 || *i.DisableLimit != 0 || i.Processed != 0 || i.Disabled != 0 {
		t.Fatalf("%s: planned %+v, %+v", i.Status, i.Plan, i.Counts)
	}
	if got := h.people(); !slices.Equal(got, []string{"1=a", "2=b", "3=c", "4=d", "=ann"}) || len(h.disabled()) > 0 {
		t.Errorf("while held: %v, disabled %v", got, h.disabled())
	}
	missing, err := h.store.MissingUsers(t.Context(), i.ID, 0, 10)
	if err != nil || len(missing) != 2 || missing[0].User.Email != "c@example.com" {
		t.Errorf("missing: %+v, %v", missing, err)
	}
	var notices int
	if err := h.store.DB().QueryRowContext(t.Context(), `SELECT count(*) FROM notices WHERE kind = 'import_held' AND user_id = $1`, ann).Scan(&notices); err != nil || notices != 1 {
		t.Errorf("%d notices, %v", notices, err)
	}
	one, two := int64(1), int64(2)
	for _, no := range []storage.Approval{{}, {AllowDisable: &two}, {AllowDisable: &one, Admin: true}, {Admin: true}} {
		if _, err := h.store.ConfirmImport(t.Context(), i.ID, no, tester); !errors.Is(err, storage.ErrApprovalRequired) {
			t.Errorf("%+v: %v", no, err)
		}
	}
	if _, err := h.store.ConfirmImport(t.Context(), i.ID, storage.Approval{AllowDisable: &two, Admin: true}, tester); err != nil {
		t.Fatal(err)
	}
	i = h.run(im, i.ID)
	if got := h.disabled(); i.Status != roster.Completed || i.Disabled != 2 || !slices.Equal(got, []string{"c", "d"}) {
		t.Errorf("%s: %+v, disabled %v", i.Status, i.Counts, got)
	}
}

// TestFullRosterSparesCallerAndLastAdmin: neither who uploads a roster nor the last
// active administrator is disabled by it.
func TestFullRosterSparesCallerAndLastAdmin(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	im := h.importer(importer.Config{})
	h.run(im, h.upload("email,name,role\nann@example.com,Ann,admin\nbob@example.com,Bob,admin\ncy@example.com,Cy,user\n", full).ID)
	if _, err := h.store.DB().ExecContext(t.Context(), `UPDATE users SET status = 'active', password_hash = 'x'`); err != nil {
		t.Fatal(err)
	}
	i := h.run(im, h.upload("email,name\nnew@example.com,New\n", full).ID)
	if got := h.disabled(); !slices.Equal(got, []string{"bob", "cy"}) || i.Plan.Disable != 2 {
		t.Errorf("disabled %v, planned %+v", got, i.Plan)
	}
}

// TestRosterInterrupted: however often workers die, exactly those who are missing
// are disabled, once, and everyone else is as the file says.
func TestRosterInterrupted(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	var all, rest []string
	for k := range 300 {
		all = append(all, fmt.Sprintf("%d=p%d", k, k))
		if k%3 > 0 {
			rest = append(rest, fmt.Sprintf("%d=p%d", k, (k*7)%300+1000*(k%2)))
		}
	}
	h.run(h.importer(importer.Config{}), h.upload(keyed(all...), full).ID)
	id := h.upload(keyed(rest...), full).ID
	for round := 0; !h.read(id).Status.Ended(); round++ {
		im := h.importer(importer.Config{BatchRows: 10, Slice: time.Duration(round%4) * 20 * time.Millisecond, Lease: time.Millisecond})
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Duration(1+round%50)*2*time.Millisecond)
		_, _ = im.Run(ctx, id)
		cancel()
		if round > 500 {
			t.Fatal("the import does not end")
		}
	}
	i := h.read(id)
	if got := h.disabled(); i.Status != roster.Completed || i.Disabled != 100 || len(got) != 100 {
		t.Errorf("%s: %+v, %d disabled", i.Status, i.Counts, len(got))
	}
	if i.Counts.Failed+i.Updated+i.Unchanged != 200 {
		t.Errorf("%+v", i.Counts)
	}
}
