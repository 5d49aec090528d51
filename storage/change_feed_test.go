package storage_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

// changes reads the feed from a cursor to its end, in pages.
func (h *testEnv) changes(after *roster.ChangeCursor, page int) (all []roster.ChangeEntry, next roster.ChangeCursor) {
	h.Helper()
	for {
		entries, cursor, err := h.Changes(h.ctx, after, page)
		h.must(err)
		all = append(all, entries...)
		if len(entries) == 0 {
			return all, cursor
		}
		after = &cursor
	}
}

// told is the feed in short: types and the names of users.
func told(entries []roster.ChangeEntry) string {
	var words []string
	for _, e := range entries {
		name := "-"
		if e.User != nil {
			name, _, _ = strings.Cut(e.User.Email, "@")
		}
		words = append(words, string(e.Type)+" "+name)
	}
	return strings.Join(words, ", ")
}

func (h *testEnv) add(name string) *roster.User {
	h.Helper()
	u, err := h.AddUser(h.ctx, fieldsOf(name), "", roster.InvitationHeld, by)
	h.must(err)
	return u
}

func fieldsOf(name string) roster.UserFields {
	address := name + "@example.com"
	return roster.UserFields{Email: address, EmailKey: address, Name: name, Role: roster.RoleUser}
}

// TestChangesAreInOrderOfCommits: a transaction that began first and commits last
// comes last, and a reader that has read meanwhile misses nothing.
func TestChangesAreInOrderOfCommits(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann, bo := h.add("ann"), h.add("bo")
	_, end := h.changes(nil, 100)
	slow, err := h.DB().BeginTx(h.ctx, nil)
	h.must(err)
	defer slow.Rollback()
	rename := func(tx *sql.Tx, u *roster.User) {
		t.Helper()
		_, err := tx.ExecContext(h.ctx, `UPDATE users SET name = name || '!', edits = edits + 1 WHERE id = $1`, u.ID)
		h.must(err)
	}
	rename(slow, ann)
	quick, err := h.DB().BeginTx(h.ctx, nil)
	h.must(err)
	defer quick.Rollback()
	rename(quick, bo)
	h.must(quick.Commit())
	first, cursor := h.changes(&end, 100)
	if got := told(first); got != "updated bo" {
		t.Errorf("while a transaction is open: %s", got)
	}
	abandoned, err := h.DB().BeginTx(h.ctx, nil)
	h.must(err)
	rename(abandoned, bo)
	h.must(abandoned.Rollback())
	h.must(slow.Commit())
	rest, _ := h.changes(&cursor, 100)
	if got := told(rest); got != "updated ann" {
		t.Errorf("after its commit: %s", got)
	}
	all, _ := h.changes(&end, 1)
	if got := told(all); got != "updated bo, updated ann" {
		t.Errorf("%s", got)
	}
	if !slices.IsSortedFunc(all, func(a, b roster.ChangeEntry) int { return a.At.Compare(b.At) }) {
		t.Errorf("times go back: %v", all)
	}
}

// TestEveryWayToChangeAUserIsTold once each, in the transaction of the change.
func TestEveryWayToChangeAUserIsTold(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	boss, err := h.CreateUser(h.ctx, storage.NewUser{Email: "boss@example.com", EmailKey: "boss@example.com", Name: "Boss", Role: roster.RoleAdmin, PasswordHash: "hash"}, 0, by)
	h.must(err)
	_, end := h.changes(nil, 100)
	expect := func(what, want string) {
		t.Helper()
		entries, next := h.changes(&end, 2)
		if got := told(entries); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
		end = next
	}
	ann := h.add("ann")
	expect("create", "created ann")
	change := func(c storage.UserChange) {
		t.Helper()
		_, err := h.ChangeUser(h.ctx, ann.ID, c, by)
		h.must(err)
	}
	change(storage.UserChange{Department: new("Sales")})
	expect("change", "updated ann")
	change(storage.UserChange{Department: new("Sales")})
	expect("a change that changes nothing", "")
	change(storage.UserChange{ExternalID: new("staff-7")})
	expect("a key alone", "updated ann")
	change(storage.UserChange{Disabled: new(true), Name: new("Ann")})
	expect("disable and rename", "disabled ann")
	change(storage.UserChange{Disabled: new(false), Invite: roster.InvitationPending})
	expect("enable", "enabled ann")
	h.exec(`UPDATE invitations SET status = 'sent', sent_at = now(), expires_at = now() + interval '1 hour' WHERE user_id = $1`, ann.ID)
	expect("an invitation is sent", "")
	h.must(h.AcceptInvitation(h.ctx, ann.ID, one[int32](h, `SELECT generation FROM invitations WHERE user_id = $1`, ann.ID), "hash", ""))
	expect("accept", "updated ann")
	h.must(h.SetPasswordHash(h.ctx, ann.ID, "hash", "other"))
	expect("a password", "")
	p, err := h.DataSubject(h.ctx, ann.ID)
	h.must(err)
	h.must(h.EraseUser(h.ctx, p, []string{p.Email}, strings.Repeat("0", 32), by))
	expect("erase", "erased -")
	_, err = h.ChangeUser(h.ctx, boss, storage.UserChange{Disabled: new(true)}, by)
	if !errors.Is(err, storage.ErrLastAdmin) {
		t.Error(err)
	}
	expect("a change that is refused", "")
	var raw string
	h.must(h.DB().QueryRowContext(h.ctx, `SELECT string_agg(c::text, ' ') FROM user_changes c`).Scan(&raw))
	if strings.Contains(raw, "ann") || strings.Contains(raw, "staff-7") {
		t.Errorf("the feed holds more than ids: %s", raw)
	}
}

// TestOneStatementOfThousands is told in the order of its users, by pages that end
// within what one statement changed.
func TestOneStatementOfThousands(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.exec(`INSERT INTO users (id, email, email_key, name)
		SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, n || '@example.com', n || '@example.com', 'N' FROM generate_series(1, 2500) n`)
	for _, page := range []int{1000, 999, 700} {
		all, _ := h.changes(nil, page)
		if len(all) != 2500 {
			t.Fatalf("%d entries by pages of %d", len(all), page)
		}
		for i, e := range all {
			if want := fmt.Sprintf("%d@example.com", i+1); e.Type != roster.UserCreated || e.User.Email != want {
				t.Fatalf("entry %d is %s %s, want %s", i, e.Type, e.User.Email, want)
			}
		}
	}
	h.exec(`UPDATE users SET status = CASE WHEN email_key < '2' THEN 'disabled' ELSE status END, edits = edits + 1`)
	h.exec(`DELETE FROM users`)
	all, _ := h.changes(nil, 1000)
	count := map[roster.ChangeType]int{}
	for _, e := range all {
		count[e.Type]++
		if e.User != nil {
			t.Fatal("a user who is gone is told")
		}
	}
	if count[roster.UserCreated] != 2500 || count[roster.UserErased] != 2500 || count[roster.UserDisabled]+count[roster.UserUpdated] != 2500 || count[roster.UserDisabled] != 1111 {
		t.Errorf("%v", count)
	}
}

// TestExpiredCursors: whoever may have missed something is told so, and nobody else.
func TestExpiredCursors(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	_, empty := h.changes(nil, 10)
	h.add("ann")
	_, first := h.changes(nil, 10)
	h.exec(`INSERT INTO users (id, email, email_key, name) SELECT gen_random_uuid(), n, n, n FROM unnest('{bo,cy}'::text[]) n`)
	half, within, err := h.Changes(h.ctx, &first, 1)
	h.must(err)
	if len(half) != 1 {
		t.Fatal("no cursor within a statement")
	}
	_, last := h.changes(nil, 10)
	expired := func(c roster.ChangeCursor, want bool) {
		t.Helper()
		if _, _, err := h.Changes(h.ctx, &c, 10); errors.Is(err, storage.ErrChangesExpired) != want {
			t.Errorf("%+v: %v, want expired %t", c, err, want)
		}
	}
	for _, c := range []roster.ChangeCursor{empty, first, within, last} {
		expired(c, false)
	}
	h.exec(`UPDATE user_changes SET at = now() - interval '31 days' WHERE position = $1`, first.Position)
	purged(h)
	expired(empty, true)
	expired(first, false) // everything behind it is there
	h.exec(`UPDATE user_changes SET at = now() - interval '31 days'`)
	purged(h)
	expired(first, true)
	expired(within, true)
	expired(last, false)
	if all, next := h.changes(nil, 10); len(all) != 0 || next != last {
		t.Errorf("%v, %+v", all, next)
	}
	h.add("dee")
	if all, _ := h.changes(&last, 10); told(all) != "created dee" {
		t.Errorf("%s", told(all))
	}
	// A standby that took over without the last commits gives their positions away.
	_, lost := h.changes(nil, 10)
	h.exec(`DELETE FROM user_changes WHERE position = $1`, lost.Position)
	expired(lost, true)
	pgtest.AsOwner(t, h.url, fmt.Sprintf(`SELECT setval('user_change_positions', %d, false)`, lost.Position))
	h.add("eve")
	expired(lost, true)
	expired(last, false)
}

func purged(h *testEnv) {
	h.Helper()
	for {
		done, err := h.PurgeChanges(h.ctx)
		h.must(err)
		if done {
			return
		}
	}
}

// TestReplayGivesTheUsers: many callers change users at once in all ways, while
// others follow the feed from its beginning; what these end up with is the table.
func TestReplayGivesTheUsers(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	rapid.Check(t, func(rt *rapid.T) {
		h := h.in(t)
		var start roster.ChangeCursor
		start, err := h.LastChange(h.ctx)
		h.must(err)
		scripts := make([][]int, 4)
		for k := range scripts {
			scripts[k] = rapid.SliceOfN(rapid.IntRange(0, 5*8-1), 5, 12).Draw(rt, "steps")
		}
		var writers, readers sync.WaitGroup
		stop := make(chan struct{})
		replicas := make([]*replica, 2)
		for k := range replicas {
			replicas[k] = &replica{at: start, users: map[uuid.UUID]string{}}
			readers.Go(func() { replicas[k].follow(h, k+1, stop) })
		}
		for _, script := range scripts {
			writers.Go(func() {
				for _, step := range script {
					changeSomebody(h, step/8, fmt.Sprintf("p%d", step%8))
				}
			})
		}
		writers.Wait()
		close(stop)
		readers.Wait()
		want := h.everybody()
		for _, r := range replicas {
			if fmt.Sprint(r.users) != fmt.Sprint(want) {
				rt.Fatalf("replayed %v, the table has %v", r.users, want)
			}
		}
	})
}

// replica follows the feed and keeps what it tells.
type replica struct {
	at    roster.ChangeCursor
	users map[uuid.UUID]string
}

func (r *replica) follow(h *testEnv, page int, stop <-chan struct{}) {
	for last := false; ; {
		entries, next, err := h.Changes(h.ctx, &r.at, page)
		if err != nil {
			h.Error(err)
			return
		}
		for _, e := range entries {
			if e.User == nil {
				delete(r.users, e.UserID)
			} else {
				r.users[e.UserID] = describe(e.User)
			}
		}
		r.at = next
		if len(entries) > 0 {
			continue
		}
		if last {
			return
		}
		select {
		case <-stop:
			last = true
		case <-time.After(time.Millisecond):
		}
	}
}

func describe(u *roster.User) string {
	return fmt.Sprint(u.Email, " ", u.Name, " ", u.Role, " ", u.Department, " ", u.Status, " ", u.ExternalID)
}

func (h *testEnv) everybody() map[uuid.UUID]string {
	h.Helper()
	users, err := h.Users(h.ctx, storage.UserFilter{Limit: 1000})
	h.must(err)
	all := map[uuid.UUID]string{}
	for _, u := range users {
		all[u.ID] = describe(u)
	}
	return all
}

// changeSomebody does one thing to a person, who may not be there, or be changed by
// others at the same time.
func changeSomebody(h *testEnv, action int, name string) {
	if action == 0 {
		_, err := h.AddUser(h.ctx, fieldsOf(name), "", roster.InvitationHeld, by)
		allow(h, err, storage.ErrAlreadyExists)
		return
	}
	p, err := h.DataSubjectByKey(h.ctx, name+"@example.com")
	if errors.Is(err, storage.ErrNotFound) {
		return
	}
	h.must(err)
	switch action {
	case 1:
		allow(h, h.EraseUser(h.ctx, p, []string{p.Email}, strings.Repeat("0", 32), by), storage.ErrNotFound)
	case 2:
		_, err = h.ChangeUser(h.ctx, p.UserID, storage.UserChange{Name: new(p.Name + "x")}, by)
	case 3:
		_, err = h.ChangeUser(h.ctx, p.UserID, storage.UserChange{Disabled: new(true)}, by)
	case 4:
		_, err = h.ChangeUser(h.ctx, p.UserID, storage.UserChange{Disabled: new(false), ExternalID: new(name)}, by)
	}
	allow(h, err, storage.ErrNotFound, storage.ErrExternalIDExists)
}

func allow(h *testEnv, err error, expected ...error) {
	if err != nil && !slices.ContainsFunc(expected, func(e error) bool { return errors.Is(err, e) }) {
		h.Error(err)
	}
}

// TestColumnsOfUsersAreKnownToTheFeed: a column that is new has to be told, or not
// to be told, on purpose.
func TestColumnsOfUsersAreKnownToTheFeed(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	trigger := one[string](h, `SELECT prosrc FROM pg_proc WHERE proname = 'users_note_updated'`)
	// Never told, or only as part of an edit, which raises edits.
	silent := []string{"id", "email_key", "password_hash", "import_id", "reset_count", "created_at", "updated_at", "missing_from", "attributes", "locale"}
	rows, err := h.DB().QueryContext(h.ctx, `SELECT column_name FROM information_schema.columns WHERE table_name = 'users'`)
	h.must(err)
	defer rows.Close()
	for rows.Next() {
		var column string
		h.must(rows.Scan(&column))
		if !strings.Contains(trigger, "is_now."+column+",") && !strings.Contains(trigger, "is_now."+column+")") && !slices.Contains(silent, column) {
			t.Errorf("a change of users.%s is not in the feed: add it to users_note_updated in a migration, or to the list here if every change of it raises edits", column)
		}
	}
	h.must(rows.Err())
}
