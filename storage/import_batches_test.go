package storage_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
)

func TestApplyBatch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send bool
		want roster.InvitationCounts
	}{"sent": {true, roster.InvitationCounts{Pending: 3}}, "held": {false, roster.InvitationCounts{Held: 3}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			h.active("taken", roster.RoleUser)
			claim := h.importing(roster.Options{SendInvitations: c.send}, 5)
			grace := newcomer(2, "grace", func(n *storage.UserRow) {
				n.Email, n.Role, n.Department = "Grace@Example.com", roster.RoleAdmin, "Navy"
			})
			a, err := h.ApplyBatch(h.ctx, claim, storage.Batch{To: at(5), Rows: 3,
				Newcomers: []storage.UserRow{grace, newcomer(4, "taken"), newcomer(3, "ada")}})
			h.must(err)
			if a.Imported != 2 || a.Failed != 1 || a.Updated != 0 || a.Invited != c.send {
				t.Errorf("%+v", a)
			}
			stale := *claim
			stale.At = tabular.Position{}
			if _, err := h.ApplyBatch(h.ctx, &stale, storage.Batch{To: at(5), Rows: 1, Newcomers: []storage.UserRow{newcomer(2, "other")}}); !errors.Is(err, storage.ErrClaimLost) {
				t.Errorf("a batch at a place that is passed: %v", err)
			}
			ownFault := roster.RowError{Row: 6, Line: 6, Problems: []roster.Problem{roster.Unprocessable("x")}}
			_, err = h.ApplyBatch(h.ctx, claim, storage.Batch{To: at(7), Rows: 2, Newcomers: []storage.UserRow{newcomer(5, "ida")}, RowErrors: []roster.RowError{ownFault}, Last: true})
			h.must(err)
			i := h.read(claim.Import.ID)
			if i.Status != roster.Completed || claim.Import.Status != roster.Completed || i.Processed != 5 || i.Imported != 3 || i.Failed != 2 || i.Invitations != c.want {
				t.Errorf("%s: %+v, %+v", i.Status, i.Counts, i.Invitations)
			}
			h.undrifted(i.ID)
			rows, err := h.FailedRows(h.ctx, i.ID, 0, 10)
			h.must(err)
			reasons, err := h.RowErrors(h.ctx, i.ID, 0, 10)
			h.must(err)
			if !slices.Equal(rows, []int64{4, 6}) || len(reasons) != 2 || reasons[0].Reason() != roster.DuplicateEmail || reasons[1].Reason() != roster.InternalError {
				t.Errorf("failed %v: %+v", rows, reasons)
			}
			u := h.user(grace.ID)
			if u.Email != "Grace@Example.com" || u.Role != roster.RoleAdmin || u.Department != "Navy" || u.Status != roster.Invited || *u.ImportID != i.ID {
				t.Errorf("%+v", u)
			}
			found, err := h.UserIDs(h.ctx, []string{"grace@example.com", "nobody@example.com"})
			h.must(err)
			taken, err := h.TakenKeys(h.ctx, []string{"taken@example.com", "nobody@example.com"})
			h.must(err)
			if len(found) != 1 || found["grace@example.com"].ID != grace.ID || !taken["taken@example.com"] || taken["nobody@example.com"] {
				t.Errorf("found %v, taken %v", found, taken)
			}
		})
	}
}

// TestImportsOfTheSameAddresses: two at once deadlock nowhere, and each address
// becomes one user.
func TestImportsOfTheSameAddresses(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	const n = 200
	var wg sync.WaitGroup
	var claims []*storage.Claim
	for range 4 {
		claims = append(claims, h.importing(roster.Options{}, n))
	}
	for k, c := range claims {
		wg.Go(func() {
			var people []storage.UserRow
			for i := range n {
				people = append(people, newcomer(int64(i+2), fmt.Sprint("p", (i*(2*k+1))%n))) // another order each
			}
			if _, err := h.ApplyBatch(h.ctx, c, storage.Batch{To: at(n + 2), Rows: n, Newcomers: people, Last: true}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := one[int](h, `SELECT sum(imported) FROM imports WHERE status = 'completed'`); got != n || one[int](h, `SELECT count(*) FROM users`) != n {
		t.Errorf("%d imported", got)
	}
	for _, c := range claims {
		h.undrifted(c.Import.ID)
	}
}

// update imports rows with on_duplicate=update as this caller.
func (h *testEnv) update(as roster.Actor, setDepartment bool, rows ...storage.UserRow) (storage.Applied, *roster.Import) {
	h.Helper()
	u := upload(nil, "", roster.Options{OnDuplicate: roster.UpdateDuplicates, SendInvitations: true})
	u.By.Actor = as
	r, err := h.ReceiveImport(h.ctx, u)
	h.must(err)
	c := h.claim(r.Import.ID)
	n := int64(len(rows))
	h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(n + 2), Rows: n, Valid: n, Last: true}))
	a, err := h.ApplyBatch(h.ctx, c, storage.Batch{To: at(n + 2), Rows: n, Newcomers: rows, Matching: storage.Matching{HasDepartment: setDepartment}, Last: true})
	h.must(err)
	return a, h.read(r.Import.ID)
}

// role has a row give a role.
func role(r roster.Role) func(*storage.UserRow) {
	return func(n *storage.UserRow) { n.Role, n.RoleGiven = r, true }
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	_, people := h.imported(roster.Options{SendInvitations: true}, "ada", "bea", "cleo")
	ada, bea := people[0].ID, people[1].ID
	h.exec(`UPDATE users SET department = 'Maths'`)
	rename := func(name, department string) func(*storage.UserRow) {
		return func(n *storage.UserRow) { n.Name, n.Department = name, department }
	}
	a, i := h.update(by.Actor, false, newcomer(2, "ada", rename("Ada Lovelace", "")), newcomer(3, "bea"), newcomer(4, "dora"))
	if a.Updated != 1 || a.Unchanged != 1 || a.Imported != 1 || a.Failed != 0 || i.Invitations.Pending != 1 {
		t.Errorf("%+v, %+v", a, i.Invitations)
	}
	if u := h.user(ada); u.Name != "Ada Lovelace" || u.Department != "Maths" || u.Invitation.Generation != 1 {
		t.Errorf("without a department column: %+v", u)
	}
	if edits := one[int](h, `SELECT edits FROM users WHERE id = $1`, bea); edits != 0 {
		t.Errorf("a row that changes nothing was an edit")
	}
	h.update(by.Actor, true, newcomer(2, "ada", rename("Ada Lovelace", "")), newcomer(3, "bea", rename("bea", "Law"), role(roster.RoleAdmin)))
	if u := h.user(ada); u.Department != "Maths" {
		t.Errorf("with a blank department: %+v", u)
	}
	if u := h.user(bea); u.Department != "Law" || u.Role != roster.RoleAdmin {
		t.Errorf("%+v", u)
	}
	h.update(by.Actor, true, newcomer(3, "bea", rename("bea", "Law")))
	if u := h.user(bea); u.Role != roster.RoleAdmin {
		t.Error("a blank role changed the role")
	}
	if drift := one[int](h, `SELECT count(*) FROM invitations WHERE status = 'pending'`); drift != 4 {
		t.Errorf("%d invitations", drift)
	}
}

// TestUpdateIsAudited: each user an import changes has an entry of who, what,
// before and after, by whichever name the import's starter has by then; what
// stays as it is has none, nor has one that is new. An erasure takes the names
// out.
func TestUpdateIsAudited(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	_, people := h.imported(roster.Options{}, "ada", "bea", "cleo")
	ada := people[0].ID
	h.audited("user.change", uuid.Nil, 0)
	starter := roster.Actor{Kind: roster.ActorUser, ID: h.active("ann", roster.RoleAdmin), Label: "ann@example.com"}
	rename := func(n *storage.UserRow) { n.Name, n.Department = "Ada \"Countess\"", "Maths" }
	_, i := h.update(starter, true, newcomer(2, "ada", rename), newcomer(3, "bea", role(roster.RoleAdmin)), newcomer(4, "cleo"), newcomer(5, "dora"))
	h.audited("user.change", uuid.Nil, 2)
	h.audited("user.change", people[2].ID, 0)
	const told = `SELECT (detail - 'import')::text FROM audit_log WHERE action = 'user.change' AND target_id = $1`
	for id, want := range map[uuid.UUID]string{
		ada:          `{"after": {"name": "Ada \"Countess\"", "role": "user", "status": "invited", "department": "Maths"}, "before": {"name": "ada", "role": "user", "status": "invited", "department": ""}}`,
		people[1].ID: `{"after": {"role": "admin", "status": "invited"}, "before": {"role": "user", "status": "invited"}}`,
	} {
		if got := one[string](h, told, id); got != want {
			t.Errorf("the log tells %s, want %s", got, want)
		}
	}
	who := func() string {
		return one[string](h, `SELECT actor_kind || ' ' || actor || ' ' || actor_id || ' ' || (detail->>'import') FROM audit_log WHERE action = 'user.change' AND target_id = $1`, ada)
	}
	if want := "user ann@example.com " + starter.ID.String() + " " + i.ID.String(); who() != want {
		t.Errorf("the log says %q did it, want %q", who(), want)
	}
	p, err := h.DataSubject(h.ctx, ada)
	h.must(err)
	h.must(h.EraseUser(h.ctx, p, []string{p.EmailKey}, strings.Repeat("0", 32), by))
	if got := one[string](h, told, ada); got != `{"after": {"role": "user", "status": "invited"}, "before": {"role": "user", "status": "invited"}}` {
		t.Errorf("after the erasure the log tells %s", got)
	}
}

// TestUpdateNamesNobodyErased: whoever started an import may be erased while a
// worker has it in hand; the entries then have the name that is left.
func TestUpdateNamesNobodyErased(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.imported(roster.Options{}, "ada")
	h.active("boss", roster.RoleAdmin)
	ann := h.active("ann", roster.RoleAdmin)
	u := upload(nil, "", roster.Options{OnDuplicate: roster.UpdateDuplicates})
	u.By.Actor = roster.Actor{Kind: roster.ActorUser, ID: ann, Label: "ann@example.com"}
	r, err := h.ReceiveImport(h.ctx, u)
	h.must(err)
	c := h.claim(r.Import.ID)
	h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(3), Rows: 1, Valid: 1, Last: true}))
	p, err := h.DataSubject(h.ctx, ann)
	h.must(err)
	mark := strings.Repeat("0", 32)
	h.must(h.EraseUser(h.ctx, p, []string{p.EmailKey}, mark, by))
	rename := func(n *storage.UserRow) { n.Name = "Ada" }
	_, err = h.ApplyBatch(h.ctx, c, storage.Batch{To: at(3), Rows: 1, Newcomers: []storage.UserRow{newcomer(2, "ada", rename)}, Last: true})
	h.must(err)
	if actor := one[string](h, `SELECT actor FROM audit_log WHERE action = 'user.change'`); actor != "erased:"+mark {
		t.Errorf("the log says that %s did it", actor)
	}
}

// TestUpdateNeverLocksOut: not the caller, and not everybody.
func TestUpdateNeverLocksOut(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	demote, promote := role(roster.RoleUser), role(roster.RoleAdmin)
	for name, c := range map[string]struct {
		caller string
		rows   []storage.UserRow
		admins []string // active ones, after
		kept   int64
	}{
		"own role":                  {"ann", []storage.UserRow{newcomer(2, "ann", demote)}, []string{"ann", "bob"}, 1},
		"another's":                 {"ann", []storage.UserRow{newcomer(2, "bob", demote)}, []string{"ann"}, 0},
		"all, by a token":           {"", []storage.UserRow{newcomer(2, "bob", demote), newcomer(3, "ann", demote)}, []string{"ann"}, 1},
		"in the order of the file":  {"", []storage.UserRow{newcomer(2, "ann", demote), newcomer(3, "bob", demote)}, []string{"bob"}, 1},
		"handed on":                 {"", []storage.UserRow{newcomer(2, "eve", promote), newcomer(3, "bob", demote), newcomer(4, "ann", demote)}, []string{"eve"}, 0},
		"handed on too late":        {"", []storage.UserRow{newcomer(2, "bob", demote), newcomer(3, "ann", demote), newcomer(4, "eve", promote)}, []string{"ann", "eve"}, 1},
		"to one who cannot sign in": {"", []storage.UserRow{newcomer(2, "ivy", promote), newcomer(3, "bob", demote), newcomer(4, "ann", demote)}, []string{"ann"}, 1},
		"an invited administrator":  {"", []storage.UserRow{newcomer(2, "ira", demote), newcomer(3, "bob", demote)}, []string{"ann"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := h.in(t)
			ids := map[string]uuid.UUID{"ann": h.active("ann", roster.RoleAdmin), "bob": h.active("bob", roster.RoleAdmin), "eve": h.active("eve", roster.RoleUser)}
			for invited, r := range map[string]roster.Role{"ivy": roster.RoleUser, "ira": roster.RoleAdmin} {
				_, err := h.CreateUser(h.ctx, storage.NewUser{Email: invited, EmailKey: invited + "@example.com", Name: invited, Role: r}, 0, by)
				h.must(err)
			}
			for n, id := range []uuid.UUID{ids["ann"], ids["bob"]} {
				h.signIn(hash(byte(n)), id, 1e12, by)
			}
			as := by.Actor
			if c.caller != "" {
				as = roster.Actor{Kind: roster.ActorUser, ID: ids[c.caller], Label: c.caller}
			}
			a, i := h.update(as, false, slices.Clone(c.rows)...)
			if a.Updated != int64(len(c.rows))-c.kept || a.Unchanged != c.kept {
				t.Errorf("%+v", a)
			}
			var kept int64
			for _, w := range i.Warnings {
				if w.Code == roster.WarnRolesKept {
					kept = w.Rows
				}
			}
			users, err := h.Users(h.ctx, storage.UserFilter{Role: roster.RoleAdmin, Status: roster.Active, Limit: 10})
			h.must(err)
			var admins []string
			for _, u := range users {
				admins = append(admins, u.Name)
			}
			if slices.Sort(admins); !slices.Equal(admins, c.admins) || kept != c.kept {
				t.Errorf("administrators %v, %d roles kept; want %v, %d", admins, kept, c.admins, c.kept)
			}
			want := 0 // sessions of those whose role changed are over
			for _, name := range []string{"ann", "bob"} {
				if slices.Contains(c.admins, name) {
					want++
				}
			}
			if got := one[int](h, `SELECT count(*) FROM sessions`); got != want {
				t.Errorf("%d sessions left, want %d", got, want)
			}
		})
	}
}

// TestRolesKeptAddUp: the warning counts over batches.
func TestRolesKeptAddUp(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.active("ann", roster.RoleAdmin)
	c := h.importing(roster.Options{OnDuplicate: roster.UpdateDuplicates}, 2)
	for row := int64(2); row <= 3; row++ { // a file names nobody twice; that is not this method's to know
		_, err := h.ApplyBatch(h.ctx, c, storage.Batch{To: at(row + 1), Rows: 1, Last: row == 3,
			Newcomers: []storage.UserRow{newcomer(row, "ann", role(roster.RoleUser))}})
		h.must(err)
	}
	if w := h.read(c.Import.ID).Warnings; len(w) != 1 || w[0].Rows != 2 {
		t.Errorf("%+v", w)
	}
}

func TestImportProgress(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	c := h.claim(h.receive(roster.Options{}).ID)
	progress := func() int64 {
		row, err := h.ImportProgress(h.ctx, c.Import.ID)
		h.must(err)
		return row
	}
	h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(4), Rows: 2, Valid: 2}))
	if got := progress(); got != 0 {
		t.Errorf("in the check: %d", got)
	}
	h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(6), Rows: 2, Valid: 2, Last: true}))
	if got := progress(); got != 0 {
		t.Errorf("before the first batch: %d", got)
	}
	_, err := h.ApplyBatch(h.ctx, c, storage.Batch{To: at(5), Rows: 3})
	h.must(err)
	if got := progress(); got != 5 {
		t.Errorf("after the first batch: %d", got)
	}
	_, err = h.ApplyBatch(h.ctx, c, storage.Batch{To: at(6), Rows: 1, RowErrors: []roster.RowError{}, Last: true})
	if err == nil {
		t.Error("a completed import whose counts do not add up")
	}
	if got := progress(); got != 5 || c.At != at(5) {
		t.Errorf("after a batch that failed: %d, claim at %+v", got, c.At)
	}
}

// counting is how many rows of a table have been read so far, of one kind or two.
// It leaves the store one connection, which counts what it reads.
func (h *testEnv) counting(table, column string) (reads func() int) {
	h.Helper()
	h.DB().SetMaxOpenConns(1)
	if one[int](h, `SELECT current_setting('server_version_num')::int`) < 150000 {
		if os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" {
			h.Fatal("PostgreSQL 14 cannot be asked to tell at once")
		}
		h.Skip("PostgreSQL 14 cannot be asked to tell at once")
	}
	return func() int {
		h.exec(`SELECT pg_stat_force_next_flush()`)
		return one[int](h, `SELECT `+column+` FROM pg_stat_user_tables WHERE relname = $1`, table)
	}
}

// TestLookUpsReadNoWholeTable: what a batch asks about its rows costs the same
// however many users there are.
func TestLookUpsReadNoWholeTable(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	reads := h.counting("users", "seq_tup_read")
	h.exec(`INSERT INTO users (id, email, email_key, name)
		SELECT gen_random_uuid(), k, k, 'Somebody' FROM (SELECT 'p' || n || '@example.com' AS k FROM generate_series(1, 20000) n) AS k`)
	claim := h.importing(roster.Options{OnDuplicate: roster.UpdateDuplicates}, 2000)
	var keys []string
	var people []storage.UserRow
	for n := range 2000 {
		people = append(people, newcomer(int64(n+2), fmt.Sprint("p", n+1)))
		keys = append(keys, people[n].EmailKey)
	}
	before := reads()
	taken, err := h.TakenKeys(h.ctx, keys)
	h.must(err)
	found, err := h.UserIDs(h.ctx, keys)
	h.must(err)
	a, err := h.ApplyBatch(h.ctx, claim, storage.Batch{To: at(2002), Rows: 2000, Newcomers: people, Last: true})
	h.must(err)
	if len(taken) != 2000 || len(found) != 2000 || a.Updated != 2000 || a.Unchanged != 0 {
		t.Fatalf("%d taken, %d found, %+v", len(taken), len(found), a)
	}
	if read := reads() - before; read > 0 {
		t.Errorf("%d rows were read from end to end", read)
	}
}
