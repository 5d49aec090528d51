package jobs_test

import (
	"fmt"
	"rollcall/jobs/importer"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/roster"
	"rollcall/storage"
)

// admins is a file of n rows; every third is a user, the others are
// administrators.
func admins(n int) string {
	var b strings.Builder
	b.WriteString("email,name,role\n")
	for i := range n {
		role := "admin"
		if i%3 == 2 {
			role = "user"
		}
		fmt.Fprintf(&b, "p%d@example.com,Person %d,%s\n", i, i, role)
	}
	return b.String()
}

// uploadBy uploads a file as another actor.
func (h *testEnv) uploadBy(by roster.Actor, file string, o roster.Options) *roster.Import {
	h.Helper()
	i := h.upload(file, o)
	if _, err := h.store.DB().ExecContext(h.Context(),
		`UPDATE imports SET actor_kind = $2, actor_id = $3, actor = $4 WHERE id = $1`, i.ID, by.Kind, by.ID, by.Label); err != nil {
		h.Fatal(err)
	}
	return i
}

func (h *testEnv) addAdmin(email string) roster.Actor {
	h.Helper()
	id, err := h.store.CreateUser(h.Context(), storage.NewUser{Email: email, EmailKey: email, Name: "A", Role: roster.RoleAdmin, PasswordHash: "x"}, time.Hour, tester)
	if err != nil {
		h.Fatal(err)
	}
	return roster.Actor{Kind: roster.ActorUser, ID: id, Label: email}
}

func (h *testEnv) addToken(scopes ...string) roster.Actor {
	h.Helper()
	_, hash := auth.NewToken()
	token, err := h.store.CreateToken(h.Context(), "hr", hash, scopes, time.Hour, tester)
	if err != nil {
		h.Fatal(err)
	}
	return roster.Actor{Kind: roster.ActorToken, ID: token.ID, Label: "hr"}
}

// TestDemotedHalfway takes the right to create administrators away from the
// account that started an import, after the first batch.
func TestDemotedHalfway(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		starter func(*testEnv) roster.Actor
		fall    func(*testEnv, uuid.UUID) error
	}{
		"demoted": {func(h *testEnv) roster.Actor { return h.addAdmin("boss@example.com") }, func(h *testEnv, id uuid.UUID) error {
			_, err := h.store.ChangeUser(h.Context(), id, storage.UserChange{Role: new(roster.RoleUser)}, tester)
			return err
		}},
		"disabled": {func(h *testEnv) roster.Actor { return h.addAdmin("boss@example.com") }, func(h *testEnv, id uuid.UUID) error {
			_, err := h.store.ChangeUser(h.Context(), id, storage.UserChange{Disabled: new(true)}, tester)
			return err
		}},
		"token revoked": {func(h *testEnv) roster.Actor { return h.addToken("admin") }, func(h *testEnv, id uuid.UUID) error {
			return h.store.RevokeToken(h.Context(), id, tester)
		}},
		"token expired": {func(h *testEnv) roster.Actor { return h.addToken("admin") }, func(h *testEnv, id uuid.UUID) error {
			_, err := h.store.DB().ExecContext(h.Context(), `UPDATE api_tokens SET expires_at = now() WHERE id = $1`, id)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			h.addAdmin("other@example.com") // otherwise the last administrator would be demoted
			starter := tt.starter(h)
			i := h.uploadBy(starter, admins(30), roster.Options{})
			im := h.importer(importer.Config{BatchRows: 10, Slice: time.Nanosecond})
			for h.read(i.ID).Processed == 0 {
				if _, err := im.Run(t.Context(), i.ID); err != nil {
					t.Fatal(err)
				}
			}
			before := h.read(i.ID)
			if before.Imported != 10 || before.Failed != 0 {
				t.Fatalf("after the first batch: %d imported, %d failed", before.Imported, before.Failed)
			}
			if err := tt.fall(h, starter.ID); err != nil {
				t.Fatal(err)
			}
			after := h.run(im, i.ID)
			// Of the other twenty 11, 14, … 29 are to be users: seven.
			if after.Status != roster.Completed || after.Imported != 17 || after.Failed != 13 || after.Total == nil || *after.Total != 30 {
				t.Errorf("%s: %d imported, %d failed of %v", after.Status, after.Imported, after.Failed, after.Total)
			}
			if n := h.made(i.ID); n != 7 { // rows 0 to 9 without 2, 5 and 8
				t.Errorf("%d administrators were made, want the 7 of the first batch", n)
			}
			refusals, err := h.store.RowErrors(t.Context(), i.ID, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range refusals {
				if r.Reason() != roster.InvalidRole || r.Problems[0].Field != roster.ColumnRole || r.Row < 12 {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// made counts the administrators that an import has created.
func (h *testEnv) made(id uuid.UUID) (n int) {
	h.Helper()
	if err := h.store.DB().QueryRowContext(h.Context(), `SELECT count(*) FROM users WHERE role = 'admin' AND import_id = $1`, id).Scan(&n); err != nil {
		h.Fatal(err)
	}
	return n
}

// TestWhoMayNotMakeAdministrators imports with a token that may not create
// administrators; the check already reports it.
func TestWhoMayNotMakeAdministrators(t *testing.T) {
	t.Parallel()
	const file = "email,name,role\nnew@example.com,New,admin\nold@example.com,Renamed,admin\nplain@example.com,Plain,admin\nboss@example.com,Boss,user\nsome@example.com,Some,user\n"
	for _, tt := range []struct {
		name   string
		scopes []string // of the token
		need   []string // of the installation
		update bool
		failed []int64 // rows
	}{
		{"may not, as installed", []string{"imports"}, nil, false, []int64{2, 3, 4, 5}}, // three exist already
		{"may not, as installed, updating", []string{"imports"}, nil, true, []int64{2, 4}},
		{"may, where the installation says so", []string{"imports"}, []string{"imports", "admin"}, true, nil},
		{"may, with the scope admin", []string{"admin"}, nil, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			h.addAdmin("old@example.com")
			h.addAdmin("boss@example.com")
			h.run(h.importer(importer.Config{}), h.upload("email,name\nplain@example.com,P\n", roster.Options{}).ID)
			options := roster.Options{DryRun: true}
			if tt.update {
				options.OnDuplicate = roster.UpdateDuplicates
			}
			im := h.importer(importer.Config{AdminScopes: tt.need})
			i := h.run(im, h.uploadBy(h.addToken(tt.scopes...), file, options).ID)
			if i.Failed != int64(len(tt.failed)) {
				t.Errorf("the check refuses %d rows, want %d", i.Failed, len(tt.failed))
			}
			if _, err := h.store.ConfirmImport(t.Context(), i.ID, storage.Approval{}, tester); err != nil {
				t.Fatal(err)
			}
			i = h.run(im, i.ID)
			refusals, err := h.store.RowErrors(t.Context(), i.ID, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			var rows []int64
			for _, r := range refusals {
				rows = append(rows, r.Row)
			}
			if !slices.Equal(rows, tt.failed) {
				t.Errorf("rows %v are refused, want %v", rows, tt.failed)
			}
			var boss, old string
			if err := h.store.DB().QueryRowContext(t.Context(), `
				SELECT (SELECT role FROM users WHERE email = 'boss@example.com'), (SELECT name FROM users WHERE email = 'old@example.com')`).Scan(&boss, &old); err != nil {
				t.Fatal(err)
			}
			if mayDemote := slices.Contains(tt.scopes, "admin"); (boss == "user") != mayDemote {
				t.Errorf("the administrator of row 5 is %s now", boss)
			}
			if tt.update && old != "Renamed" {
				t.Error("an administrator's name was not updated")
			}
		})
	}
}
