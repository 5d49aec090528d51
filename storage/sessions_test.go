package storage_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// meanwhile runs a statement in a transaction of its own, lets do begin, and
// commits once do waits for it. It returns what do came to.
func (h *testEnv) meanwhile(statements []string, user uuid.UUID, do func() error) error {
	h.Helper()
	tx, err := h.DB().BeginTx(h.ctx, nil)
	h.must(err)
	defer tx.Rollback()
	for _, statement := range statements {
		_, err := tx.ExecContext(h.ctx, statement, user)
		h.must(err)
	}
	done := make(chan error, 1)
	go func() { done <- do() }()
	h.awaitLock(tx)
	select {
	case err := <-done:
		h.Fatalf("it did not wait: %v", err)
	default:
	}
	h.must(tx.Commit())
	return <-done
}

// awaitLock waits until somebody waits for what the transaction holds.
func (h *testEnv) awaitLock(tx *sql.Tx) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, 30*time.Second)
	defer cancel()
	for waits := false; !waits; {
		if err := tx.QueryRowContext(ctx, `
			SELECT EXISTS (SELECT FROM pg_locks l WHERE NOT l.granted AND pg_backend_pid() = ANY (pg_blocking_pids(l.pid)))`).Scan(&waits); err != nil {
			h.Fatalf("nobody waits: %v", err)
		}
	}
}

// TestSignInWhileThePasswordChanges has a sign-in, which has verified the
// password, and a change of it meet in both orders: no session of the old
// password is left in either.
func TestSignInWhileThePasswordChanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]struct {
		statements []string
		do         func(h *testEnv, ann uuid.UUID) error
	}{
		"changed": {[]string{`UPDATE users SET password_hash = 'new', reset_count = reset_count + 1 WHERE id = $1`, `DELETE FROM sessions WHERE user_id = $1 AND token_hash <> '\x07'`},
			func(h *testEnv, ann uuid.UUID) error {
				return h.ChangePassword(h.ctx, storage.PasswordChange{UserID: ann, Old: "hash", New: "new", Current: hash(1), Renewed: hash(7)}, by)
			}},
		"reset": {[]string{`UPDATE users SET password_hash = 'new', reset_count = reset_count + 1 WHERE id = $1`, `DELETE FROM sessions WHERE user_id = $1`},
			func(h *testEnv, ann uuid.UUID) error { return h.ResetPassword(h.ctx, ann, 0, "new", "") }},
		"disabled": {[]string{`UPDATE users SET status = 'disabled' WHERE id = $1`, `DELETE FROM sessions WHERE user_id = $1`},
			func(h *testEnv, ann uuid.UUID) error {
				_, err := h.ChangeUser(h.ctx, ann, storage.UserChange{Disabled: ptr(true)}, by)
				return err
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			h.active("boss", roster.RoleAdmin)
			ann, bob := h.active("ann", roster.RoleUser), h.active("bob", roster.RoleUser)
			in := storage.SignIn{UserID: ann, PasswordHash: "hash", Session: hash(2), Browser: "Firefox on Linux", Life: time.Hour}
			if err := h.meanwhile(change.statements, ann, func() error { return h.CreateSession(h.ctx, in, by) }); !errors.Is(err, storage.ErrWrongState) {
				t.Errorf("a sign-in behind the change: %v", err)
			}
			if _, err := h.SessionUser(h.ctx, in.Session, time.Hour); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("a session behind the change: %v", err)
			}
			h.audited("session.create", ann, 0)

			h.signIn(hash(1), bob, time.Hour, by) // who changes a password is signed in
			h.must(h.meanwhile([]string{
				`SELECT FROM users WHERE id = $1 AND password_hash = 'hash' FOR SHARE`,
				`INSERT INTO sessions (token_hash, user_id, expires_at) VALUES ('\x02', $1, now() + interval '1 hour')`,
			}, bob, func() error { return change.do(h, bob) }))
			if n := one[int](h, `SELECT count(*) FROM sessions WHERE token_hash = '\x02'`); n != 0 {
				t.Error("a session before the change outlives it")
			}
		})
	}
}

// TestSignInNeedsWhatWasVerified without anybody else.
func TestSignInNeedsWhatWasVerified(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := h.active("ann", roster.RoleAdmin)
	guest, err := h.CreateUser(h.ctx, storage.NewUser{Email: "g@example.com", EmailKey: "g@example.com", Name: "G", Role: roster.RoleUser}, time.Hour, by)
	h.must(err)
	for name, in := range map[string]storage.SignIn{
		"another password": {UserID: ann, PasswordHash: "older"},
		"no password":      {UserID: guest},
		"nobody":           {UserID: uuid.New(), PasswordHash: "hash"},
	} {
		in.Life = time.Hour
		if err := h.CreateSession(h.ctx, in, by); !errors.Is(err, storage.ErrWrongState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := one[int](h, `SELECT count(*) FROM sessions`); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// TestSessionsAreCapped: one more ends the one that has been idle longest, and the one
// that it replaces.
func TestSessionsAreCapped(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann, bob := h.active("ann", roster.RoleUser), h.active("bob", roster.RoleUser)
	h.signIn(hash(200), bob, time.Hour, by)
	for n := range byte(storage.MaxSessions) {
		h.signIn(hash(n), ann, time.Hour, by)
	}
	idle := hash(5)
	h.exec(`UPDATE sessions SET last_seen_at = now() - interval '1 minute' WHERE token_hash = $1`, idle[:])
	h.signIn(hash(100), ann, time.Hour, by)
	for session, want := range map[[32]byte]bool{hash(5): false, hash(0): true, hash(100): true, hash(200): true} {
		if _, err := h.SessionUser(h.ctx, session, time.Hour); (err == nil) != want {
			t.Errorf("session %d: %v", session[0], err)
		}
	}
	replaced := hash(0)
	h.must(h.CreateSession(h.ctx, storage.SignIn{UserID: ann, PasswordHash: "hash", Session: hash(101), Replaces: replaced[:], Life: time.Hour}, by))
	if _, err := h.SessionUser(h.ctx, hash(0), time.Hour); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the session that was replaced: %v", err)
	}
	if n := one[int](h, `SELECT count(*) FROM sessions WHERE user_id = $1`, ann); n != storage.MaxSessions {
		t.Errorf("%d sessions", n)
	}
}

// TestSignOutIsAudited once, however often the browser asks.
func TestSignOutIsAudited(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := h.active("ann", roster.RoleUser)
	h.signIn(hash(1), ann, time.Hour, by)
	for range 2 {
		h.must(h.EndSession(h.ctx, hash(1), "192.0.2.7"))
	}
	h.audited("session.sign_out", ann, 1)
	if got := one[string](h, `SELECT actor || ' ' || address FROM audit_log WHERE action = 'session.sign_out'`); got != "ann@example.com 192.0.2.7" {
		t.Errorf("by %s", got)
	}
}
