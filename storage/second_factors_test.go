package storage_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// factor sets up a second factor in a session, which becomes hash(7), with
// recovery codes of the hashes 100 and 101.
func (h *testEnv) factor(user uuid.UUID, session [32]byte) storage.SecondFactor {
	h.Helper()
	h.must(h.BeginSecondFactor(h.ctx, user, "sealed"))
	f, err := h.SecondFactorOf(h.ctx, user)
	h.must(err)
	if f.Since != nil || f.Secret != "sealed" || f.UserID != user || f.CodesLeft != 0 || time.Since(f.Now).Abs() > time.Hour {
		h.Fatalf("being set up: %+v", f)
	}
	h.must(h.ConfirmSecondFactor(h.ctx, change(f, 1000, session), by))
	if f, err = h.SecondFactorOf(h.ctx, user); err != nil || f.Since == nil || f.CodesLeft != 2 {
		h.Fatalf("set up: %+v, %v", f, err)
	}
	return f
}

func change(f storage.SecondFactor, step int64, session [32]byte) storage.FactorChange {
	return storage.FactorChange{
		UserID: f.UserID, Proof: storage.Proof{Factor: f.ID, Step: step}, Codes: [][32]byte{hash(100), hash(101)}, Current: session, Renewed: hash(7),
	}
}

// enter is a sign-in with a proof of the second factor.
func (h *testEnv) enter(user uuid.UUID, session [32]byte, p storage.Proof) error {
	return h.CreateSession(h.ctx, storage.SignIn{UserID: user, PasswordHash: "hash", Proof: p, Session: session, Life: time.Hour}, by)
}

// TestWrongCodesAreCounted over all requests at once, until a right code or a recovery
// code.
func TestWrongCodesAreCounted(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := h.active("ann", roster.RoleUser)
	h.signIn(hash(1), ann, time.Hour, by)
	f := h.factor(ann, hash(1))
	tryAll := func(want int64) {
		t.Helper()
		var taken atomic.Int64
		var trying sync.WaitGroup
		for range 4 {
			trying.Go(func() {
				for range storage.MaxFailedCodes / 2 {
					switch err := h.CountCode(h.ctx, f); {
					case err == nil:
						taken.Add(1)
					case !errors.Is(err, storage.ErrCodeUsed):
						t.Error(err)
					}
				}
			})
		}
		trying.Wait()
		if taken.Load() != want {
			t.Errorf("%d codes may be tried, want %d", taken.Load(), want)
		}
	}
	tryAll(storage.MaxFailedCodes)
	if f, err := h.SecondFactorOf(h.ctx, ann); err != nil || !f.Locked() {
		t.Errorf("%+v, %v", f, err)
	}
	recovery := hash(100)
	h.must(h.enter(ann, hash(2), storage.Proof{Factor: f.ID, Recovery: &recovery}))
	if f, err := h.SecondFactorOf(h.ctx, ann); err != nil || f.FailedCodes != 0 {
		t.Errorf("after a recovery code: %+v, %v", f, err)
	}
	tryAll(storage.MaxFailedCodes)
	h.must(h.enter(ann, hash(3), storage.Proof{Factor: f.ID, Step: 2000}))
	tryAll(storage.MaxFailedCodes)
}

// TestFactorChangesAreTold to administrators and to the person, and to nobody else.
func TestFactorChangesAreTold(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := h.active("ann", roster.RoleUser)
	h.active("ada", roster.RoleAdmin)
	h.active("bob", roster.RoleUser)
	told := func(change storage.FactorEvent) {
		t.Helper()
		got := map[bool]int{}
		for range 2 {
			n, err := h.ClaimNotice(h.ctx, time.Minute)
			h.must(err)
			if n.Kind != storage.NoticeSecondFactor || n.Factor != change || n.Account != "ann@example.com" || n.Own != (n.To == n.Account) || n.Attempts != 1 {
				t.Errorf("%+v", n)
			}
			got[n.Own]++
			h.must(h.PostponeNotice(h.ctx, n.ID, time.Hour))
			h.must(h.FinishNotice(h.ctx, n.ID))
		}
		if _, err := h.ClaimNotice(h.ctx, time.Minute); !errors.Is(err, storage.ErrNotFound) || got[true] != 1 || got[false] != 1 {
			t.Errorf("%s: %v, %v", change, got, err)
		}
	}
	h.signIn(hash(1), ann, time.Hour, by)
	f := h.factor(ann, hash(1))
	told(storage.FactorSet)
	removal := change(f, 2000, hash(7))
	removal.Codes = nil
	h.must(h.RemoveSecondFactor(h.ctx, removal, by))
	told(storage.FactorRemoved)
	h.factor(ann, hash(7))
	told(storage.FactorSet)
	h.must(h.ResetSecondFactor(h.ctx, ann, by))
	told(storage.FactorReset)
}

func TestSecondFactorIsSetUp(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := h.active("ann", roster.RoleUser)
	h.signIn(hash(1), ann, time.Hour, by)
	h.signIn(hash(2), ann, time.Hour, by)
	if _, err := h.SecondFactorOf(h.ctx, ann); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
	h.must(h.BeginSecondFactor(h.ctx, ann, "first"))
	first, err := h.SecondFactorOf(h.ctx, ann)
	h.must(err)
	h.must(h.enter(ann, hash(3), storage.Proof{})) // what is not confirmed asks for nothing
	h.must(h.BeginSecondFactor(h.ctx, ann, "second"))
	recovery := change(h.begun(ann), 1000, hash(1))
	made := hash(100)
	recovery.Proof.Recovery = &made
	for name, c := range map[string]struct {
		change storage.FactorChange
		want   error
	}{
		"a recovery code": {recovery, storage.ErrCodeUsed},
		"the one before":  {change(first, 1000, hash(1)), storage.ErrWrongState},
		"nobody's":        {storage.FactorChange{UserID: uuid.New(), Renewed: hash(7)}, storage.ErrNotFound},
		"no such session": {change(h.begun(ann), 1000, hash(9)), storage.ErrNotFound},
	} {
		if err := h.ConfirmSecondFactor(h.ctx, c.change, by); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.exec(`UPDATE second_factors SET created_at = now() - interval '15 minutes'`)
	if err := h.ConfirmSecondFactor(h.ctx, change(first, 1000, hash(1)), by); !errors.Is(err, storage.ErrWrongState) {
		t.Errorf("too late: %v", err)
	}
	if _, err := h.SecondFactorOf(h.ctx, ann); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("too late: %v", err)
	}
	h.must(h.PurgeEnrollments(h.ctx))
	if n := one[int](h, `SELECT count(*) FROM second_factors`); n != 0 {
		t.Error("what nobody finished is kept")
	}
	h.audited("second_factor.set", ann, 0)
	h.factor(ann, hash(1))
	if !h.sessions(ann, hash(7), 1)[0].Current {
		t.Error("the session has not got its new secret")
	}
	if err := h.BeginSecondFactor(h.ctx, ann, "third"); !errors.Is(err, storage.ErrAlreadyExists) {
		t.Errorf("a second second factor: %v", err)
	}
	h.must(h.PurgeEnrollments(h.ctx))
	h.must(h.ReencryptSecondFactor(h.ctx, storage.SealedFactor{UserID: ann, Secret: "another"}, "fresh"))
	h.must(h.ReencryptSecondFactor(h.ctx, storage.SealedFactor{UserID: ann, Secret: "sealed"}, "afresh"))
	if all, err := h.SecondFactorSecrets(h.ctx, uuid.Nil, 10); err != nil || len(all) != 1 || all[0].Secret != "afresh" {
		t.Errorf("%+v, %v", all, err)
	}
	h.audited("second_factor.set", ann, 1)
}

func (h *testEnv) begun(user uuid.UUID) storage.SecondFactor {
	h.Helper()
	f, err := h.SecondFactorOf(h.ctx, user)
	h.must(err)
	return f
}

// TestCodeWorksOnceOfMany signs in with one code in ten places at once, and with
// one recovery code.
func TestCodeWorksOnceOfMany(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := h.active("ann", roster.RoleUser)
	h.signIn(hash(1), ann, time.Hour, by)
	f := h.factor(ann, hash(1))
	recovery := hash(100)
	for name, p := range map[string]storage.Proof{"code": {Factor: f.ID, Step: 1001}, "recovery": {Factor: f.ID, Recovery: &recovery}} {
		outcomes := parallel(10, func(i int) error {
			err := h.enter(ann, hash(byte(10*len(name)+i)), p)
			if errors.Is(err, storage.ErrCodeUsed) {
				return storage.ErrCodeUsed
			}
			return err
		})
		if outcomes["<nil>"] != 1 || outcomes[storage.ErrCodeUsed.Error()] != 9 {
			t.Errorf("%s: %v", name, outcomes)
		}
	}
	unknown := hash(50)
	for name, c := range map[string]struct {
		proof storage.Proof
		want  error
	}{
		"an earlier step":         {storage.Proof{Factor: f.ID, Step: 1000}, storage.ErrCodeUsed},
		"another factor":          {storage.Proof{Factor: uuid.New(), Step: 2000}, storage.ErrCodeUsed},
		"an unknown recovery one": {storage.Proof{Factor: f.ID, Recovery: &unknown}, storage.ErrCodeUsed},
		"the password alone":      {storage.Proof{}, storage.ErrWrongState},
	} {
		if err := h.enter(ann, hash(60), c.proof); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := one[int](h, `SELECT count(*) FROM audit_log WHERE action = 'session.create' AND detail->>'second_factor' IN ('code', 'recovery code')`); n != 2 {
		t.Errorf("%d sign-ins with a second factor are on record", n)
	}
}

func TestSecondFactorIsChanged(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := h.active("ann", roster.RoleUser)
	h.signIn(hash(1), ann, time.Hour, by)
	f := h.factor(ann, hash(1))
	renew := change(f, 1001, hash(7))
	renew.Codes, renew.Renewed = [][32]byte{hash(102)}, hash(8)
	h.must(h.RenewRecoveryCodes(h.ctx, renew, by))
	old, fresh := hash(100), hash(102)
	if err := h.enter(ann, hash(9), storage.Proof{Factor: f.ID, Recovery: &old}); !errors.Is(err, storage.ErrCodeUsed) {
		t.Errorf("a recovery code from before: %v", err)
	}
	h.must(h.enter(ann, hash(9), storage.Proof{Factor: f.ID, Step: 1002}))
	remove := storage.FactorChange{UserID: ann, Proof: storage.Proof{Factor: f.ID, Step: 1002}, Current: hash(8), Renewed: hash(10)}
	for range 2 {
		if err := h.RemoveSecondFactor(h.ctx, remove, by); !errors.Is(err, storage.ErrCodeUsed) {
			t.Errorf("with a code that was used: %v", err)
		}
	}
	h.sessions(ann, hash(8), 2)
	remove.Proof = storage.Proof{Factor: f.ID, Recovery: &fresh}
	h.must(h.RemoveSecondFactor(h.ctx, remove, by))
	h.sessions(ann, hash(10), 1)
	h.must(h.enter(ann, hash(11), storage.Proof{}))
	if n := one[int](h, `SELECT (SELECT count(*) FROM second_factors) + (SELECT count(*) FROM recovery_codes)`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	h.audited("second_factor.codes", ann, 1)
	h.audited("second_factor.remove", ann, 1)
}

func TestResetSecondFactor(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := h.active("ann", roster.RoleUser)
	for _, user := range []uuid.UUID{ann, uuid.New()} {
		if err := h.ResetSecondFactor(h.ctx, user, by); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("without one: %v", err)
		}
	}
	h.signIn(hash(1), ann, time.Hour, by)
	h.factor(ann, hash(1))
	h.must(h.ResetPassword(h.ctx, ann, 0, "hash", ""))
	if err := h.enter(ann, hash(2), storage.Proof{}); !errors.Is(err, storage.ErrWrongState) {
		t.Errorf("after a new password by mail: %v", err)
	}
	f := h.begun(ann)
	h.must(h.enter(ann, hash(2), storage.Proof{Factor: f.ID, Step: 1001}))
	h.must(h.ResetSecondFactor(h.ctx, ann, by))
	h.sessions(ann, hash(2), 0)
	h.must(h.enter(ann, hash(3), storage.Proof{}))
	h.audited("second_factor.reset", ann, 1)
}

// TestSignInWhileTheSecondFactorChanges: a sign-in by the password alone, and the
// end of setting a second factor up, in both orders.
func TestSignInWhileTheSecondFactorChanges(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann, bob := h.active("ann", roster.RoleUser), h.active("bob", roster.RoleUser)
	h.must(h.BeginSecondFactor(h.ctx, ann, "sealed"))
	err := h.meanwhile([]string{`SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE`, `UPDATE second_factors SET confirmed_at = now() WHERE user_id = $1`}, ann,
		func() error { return h.enter(ann, hash(2), storage.Proof{}) })
	if !errors.Is(err, storage.ErrWrongState) {
		t.Errorf("a sign-in behind the setting up: %v", err)
	}
	h.signIn(hash(1), bob, time.Hour, by)
	h.must(h.BeginSecondFactor(h.ctx, bob, "sealed"))
	h.must(h.meanwhile([]string{
		`SELECT FROM users WHERE id = $1 FOR SHARE`,
		`INSERT INTO sessions (token_hash, user_id, expires_at) VALUES ('\x02', $1, now() + interval '1 hour')`,
	}, bob, func() error { return h.ConfirmSecondFactor(h.ctx, change(h.begun(bob), 1, hash(1)), by) }))
	h.sessions(bob, hash(7), 1)
}
