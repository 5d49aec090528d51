package storage_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
	"rollcall/test/pgtest"
)

// TestMain has rapid draw fewer cases than it would: each is some hundred
// transactions. -rapid.checks asks for more.
func TestMain(m *testing.M) {
	flag.Set("rapid.checks", "8")
	flag.Set("rapid.steps", "40")
	flag.Set("rapid.nofailfile", "true") // the seed it prints will do
	goleak.VerifyTestMain(pgtest.Around(m))
}

// testEnv is a database of its own.
type testEnv struct {
	*testing.T
	*storage.Store
	ctx context.Context
	url string
}

func newTestEnv(t *testing.T) *testEnv {
	t.Helper()
	url := pgtest.New(t)
	return &testEnv{T: t, Store: openStore(t, url), ctx: t.Context(), url: url}
}

// owned is the database as the owner of its tables.
func (h *testEnv) owned() *testEnv {
	h.Helper()
	return &testEnv{T: h.T, Store: openStore(h.T, pgtest.Owner(h, h.url)), ctx: h.ctx, url: h.url}
}

func openStore(t *testing.T, url string) *storage.Store {
	t.Helper()
	store, err := storage.Open(url, storage.Options{MaxConns: 8, Application: "storage test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// by is the caller of most tests, from the address of RFC 5737.
var by = storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorConfig, Label: "test"}, Address: "192.0.2.7"}

// must fails the test at once over an error.
func (h *testEnv) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// exec changes the database behind the Store's back: time that passed, a
// worker that died.
func (h *testEnv) exec(query string, args ...any) {
	h.Helper()
	_, err := h.DB().ExecContext(h.ctx, query, args...)
	h.must(err)
}

// in is the database for a subtest, as good as new and made faster. Subtests that
// share a database are not parallel.
func (h *testEnv) in(t *testing.T) *testEnv {
	t.Helper()
	h = &testEnv{T: t, Store: h.Store, ctx: t.Context(), url: h.url}
	pgtest.AsOwner(t, h.url, `TRUNCATE users, imports, import_errors, audit_log CASCADE`)
	h.exec(`UPDATE mail_state SET released_at = now(), paused_until = NULL, pauses = 0`)
	return h
}

// one reads a single value.
func one[T any](h *testEnv, query string, args ...any) (v T) {
	h.Helper()
	h.must(h.DB().QueryRowContext(h.ctx, query, args...).Scan(&v))
	return v
}

// file cuts bytes as an API server does.
func file(data []byte) func() ([]byte, error) {
	r := bytes.NewReader(data)
	return func() ([]byte, error) {
		chunk := make([]byte, storage.ChunkSize)
		n, err := io.ReadFull(r, chunk)
		if n > 0 {
			return chunk[:n], nil
		}
		return nil, err
	}
}

func upload(data []byte, key string, o roster.Options) storage.Upload {
	if o.OnDuplicate == "" {
		o.OnDuplicate = roster.SkipDuplicates
	}
	return storage.Upload{By: by, IdempotencyKey: key, Next: file(data),
		Finish: func() (string, roster.Options, error) { return "people.csv", o, nil }}
}

func (h *testEnv) receive(o roster.Options) *roster.Import {
	h.Helper()
	received, err := h.ReceiveImport(h.ctx, upload([]byte("email,name\n"), "", o))
	h.must(err)
	return received.Import
}

func (h *testEnv) read(id uuid.UUID) *roster.Import {
	h.Helper()
	i, err := h.Import(h.ctx, id)
	h.must(err)
	return i
}

func (h *testEnv) claim(id uuid.UUID) *storage.Claim {
	h.Helper()
	c, err := h.ClaimImport(h.ctx, id, time.Minute)
	h.must(err)
	return c
}

// importing brings an import of n rows to where they are to be written.
func (h *testEnv) importing(o roster.Options, n int64) *storage.Claim {
	h.Helper()
	c := h.claim(h.receive(o).ID)
	h.must(h.SaveChecked(h.ctx, c, storage.Checked{To: at(n + 2), Rows: n, Valid: n, Last: true}))
	if c.Import.Status != roster.Importing {
		h.Fatalf("status %s", c.Import.Status)
	}
	return c
}

// at is a place in a file of equal rows.
func at(row int64) tabular.Position {
	return tabular.Position{Row: row, Line: row, Offset: row * 10}
}

// newcomer is a row of the file; its address is name@example.com.
func newcomer(row int64, name string, change ...func(*storage.UserRow)) storage.UserRow {
	id, err := uuid.NewV7()
	if err != nil {
		panic(err)
	}
	email := name + "@example.com"
	n := storage.UserRow{ID: id, Row: row, Line: row,
		UserFields: roster.UserFields{Email: email, EmailKey: email, Name: name, Role: roster.RoleUser}}
	for _, c := range change {
		c(&n)
	}
	return n
}

// imported makes an import that has created users of these names.
func (h *testEnv) imported(o roster.Options, names ...string) (*roster.Import, []storage.UserRow) {
	h.Helper()
	c := h.importing(o, int64(len(names)))
	people := make([]storage.UserRow, len(names))
	for i, name := range names {
		people[i] = newcomer(int64(i+2), name)
	}
	_, err := h.ApplyBatch(h.ctx, c, storage.Batch{
		To: at(int64(len(names) + 2)), Rows: int64(len(names)), Newcomers: append([]storage.UserRow(nil), people...), Last: true})
	h.must(err)
	return h.read(c.Import.ID), people
}

// active makes a user with a password.
func (h *testEnv) active(name string, role roster.Role) uuid.UUID {
	h.Helper()
	email := name + "@example.com"
	id, err := h.CreateUser(h.ctx, storage.NewUser{Email: email, EmailKey: email, Name: name, Role: role, PasswordHash: "hash"}, 0, by)
	h.must(err)
	return id
}

// signIn opens a session of an active user.
func (h *testEnv) signIn(session [32]byte, user uuid.UUID, life time.Duration, by storage.AuditEntry) {
	h.Helper()
	password := one[string](h, `SELECT password_hash FROM users WHERE id = $1`, user)
	h.must(h.CreateSession(h.ctx, storage.SignIn{UserID: user, PasswordHash: password, Session: session, Browser: "Firefox on Linux", Life: life}, by))
}

func (h *testEnv) user(id uuid.UUID) *roster.User {
	h.Helper()
	u, err := h.User(h.ctx, id)
	h.must(err)
	return u
}

// audited fails the test unless the log tells of a deed as often as it was done.
func (h *testEnv) audited(action string, target uuid.UUID, want int) {
	h.Helper()
	got := one[int](h, `SELECT count(*) FROM audit_log WHERE action = $1 AND ($2::uuid IS NULL OR target_id = $2)`,
		action, uuid.NullUUID{UUID: target, Valid: target != uuid.Nil})
	if got != want {
		h.Errorf("%d entries of %s, want %d", got, action, want)
	}
}

// undrifted fails the test where counters and invitations differ.
func (h *testEnv) undrifted(id uuid.UUID) {
	h.Helper()
	drift, err := h.InvitationCountsDrift(h.ctx, id)
	h.must(err)
	if drift != "" {
		h.Error(drift)
	}
}

func hash(n byte) (sum [32]byte) {
	sum[0] = n
	return sum
}

// parallel calls f n times at once and returns how often each outcome came.
func parallel(n int, f func(i int) error) map[string]int {
	errs := make(chan error)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	outcomes := map[string]int{}
	for range n {
		outcomes[fmt.Sprint(<-errs)]++
	}
	return outcomes
}
