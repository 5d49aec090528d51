package storage_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

func ptr[T any](v T) *T { return &v }

func TestChangeUser(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	boss := h.active("boss", roster.RoleAdmin)
	i, invited := h.imported(roster.Options{SendInvitations: true}, "grace")
	grace := invited[0].ID
	h.signIn(hash(1), boss, time.Hour, by)
	sessions := func() int { return one[int](h, `SELECT count(*) FROM sessions`) }

	for name, change := range map[string]storage.UserChange{"role": {Role: ptr(roster.RoleUser)}, "disable": {Disabled: ptr(true)}} {
		if _, err := h.ChangeUser(h.ctx, boss, change, by); !errors.Is(err, storage.ErrLastAdmin) {
			t.Errorf("%s of the last administrator: %v", name, err)
		}
	}
	if _, err := h.ChangeUser(h.ctx, uuid.New(), storage.UserChange{}, by); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	u, err := h.ChangeUser(h.ctx, boss, storage.UserChange{Name: ptr("Boss"), Department: ptr("Top")}, by)
	h.must(err)
	if u.Name != "Boss" || u.Department != "Top" || sessions() != 1 {
		t.Errorf("%+v, %d sessions", u, sessions())
	}
	if told := one[string](h, `SELECT detail::text FROM audit_log WHERE action = 'user.change'`); told !=
		`{"after": {"name": "Boss", "role": "admin", "status": "active", "department": "Top"}, "before": {"name": "boss", "role": "admin", "status": "active", "department": ""}}` {
		t.Errorf("the audit log tells %s", told)
	}
	_, err = h.ChangeUser(h.ctx, boss, storage.UserChange{Name: ptr("Boss"), Disabled: ptr(false)}, by)
	h.must(err)
	h.audited("user.change", boss, 1) // what changes nothing is no deed
	if n := one[int](h, `SELECT edits FROM users WHERE id = $1`, boss); n != 1 {
		t.Errorf("%d edits", n)
	}

	// Disabled while the invitation is on its way, and back.
	u, err = h.ChangeUser(h.ctx, grace, storage.UserChange{Disabled: ptr(true)}, by)
	h.must(err)
	if u.Status != roster.Disabled || u.Invitation.Status != roster.InvitationRevoked {
		t.Errorf("%+v, %+v", u, u.Invitation)
	}
	h.undrifted(i.ID)
	u, err = h.ChangeUser(h.ctx, grace, storage.UserChange{Disabled: ptr(false), Role: ptr(roster.RoleAdmin)}, by)
	h.must(err)
	if u.Status != roster.Invited || u.Role != roster.RoleAdmin {
		t.Errorf("%+v", u)
	}
	// An invited administrator is none who could sign in.
	if _, err := h.ChangeUser(h.ctx, boss, storage.UserChange{Disabled: ptr(true)}, by); !errors.Is(err, storage.ErrLastAdmin) {
		t.Errorf("the last who can sign in: %v", err)
	}
	second := h.active("second", roster.RoleAdmin)
	last := errors.New("last")
	outcomes := parallel(2, func(n int) error { // each disables the other
		_, err := h.ChangeUser(h.ctx, []uuid.UUID{boss, second}[n], storage.UserChange{Disabled: ptr(true)}, by)
		if errors.Is(err, storage.ErrLastAdmin) {
			return last
		}
		return err
	})
	if outcomes["<nil>"] != 1 || outcomes["last"] != 1 {
		t.Errorf("two at once: %v", outcomes)
	}
	h.exec(`UPDATE users SET status = 'active' WHERE id = ANY(ARRAY[$1, $2]::uuid[])`, boss, second)
	_, err = h.ChangeUser(h.ctx, boss, storage.UserChange{Disabled: ptr(true)}, by)
	h.must(err)
	if sessions() != 0 {
		t.Error("a disabled user is still signed in")
	}
	u, err = h.ChangeUser(h.ctx, boss, storage.UserChange{Disabled: ptr(false)}, by)
	h.must(err)
	if u.Status != roster.Active {
		t.Errorf("enabled with a password: %s", u.Status)
	}
}

func TestResetPassword(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.active("ann", roster.RoleUser)
	h.signIn(hash(1), id, time.Hour, by)
	r, err := h.ResetTarget(h.ctx, "ann@example.com")
	h.must(err)
	outcomes := parallel(10, func(int) error {
		err := h.ResetPassword(h.ctx, id, r.Counter, "new", "192.0.2.9")
		if errors.Is(err, storage.ErrLinkUsed) {
			return storage.ErrLinkUsed
		}
		return err
	})
	if outcomes["<nil>"] != 1 || outcomes[storage.ErrLinkUsed.Error()] != 9 {
		t.Errorf("of ten: %v", outcomes)
	}
	if n := one[int](h, `SELECT count(*) FROM sessions`); n != 0 {
		t.Error("old sessions go on")
	}
	h.audited("password.reset", id, 1)
	h.exec(`UPDATE users SET status = 'disabled'`)
	if _, err := h.ResetTarget(h.ctx, "ann@example.com"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a disabled user: %v", err)
	}
	if err := h.ResetPassword(h.ctx, id, r.Counter+1, "new", ""); !errors.Is(err, storage.ErrLinkUsed) {
		t.Errorf("a disabled user: %v", err)
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := h.active("ann", roster.RoleUser)
	_, err := h.ChangeUser(h.ctx, ann, storage.UserChange{Name: ptr("A secret name"), Role: ptr(roster.RoleAdmin)}, by)
	h.must(err)
	other := by
	other.Actor = roster.Actor{Kind: roster.ActorUser, ID: ann, Label: "Ann@example.com"}
	token, err := h.CreateToken(h.ctx, "t", hash(1), []string{"admin"}, 0, other)
	h.must(err)
	for name, c := range map[string]struct {
		filter storage.AuditFilter
		want   []string
	}{
		"all":            {storage.AuditFilter{}, []string{"token.create", "user.change", "user.create"}},
		"actor":          {storage.AuditFilter{Actor: "ann@"}, []string{"token.create"}},
		"action":         {storage.AuditFilter{Action: "user.change"}, []string{"user.change"}},
		"no part of one": {storage.AuditFilter{Action: "user"}, nil},
		"kind of action": {storage.AuditFilter{Action: "user."}, []string{"user.change", "user.create"}},
		"target":         {storage.AuditFilter{TargetID: token.ID}, []string{"token.create"}},
	} {
		var actions []string
		for f := c.filter; ; {
			f.Limit = 2
			page, err := h.Audit(h.ctx, f)
			h.must(err)
			for _, line := range page {
				actions, f.After = append(actions, line.Action), line.ID
			}
			if len(page) < 2 {
				break
			}
		}
		if len(actions) != len(c.want) {
			t.Errorf("%s: %v, want %v", name, actions, c.want)
		}
		for i := range min(len(actions), len(c.want)) {
			if actions[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", name, actions, c.want)
			}
		}
	}
	lines, err := h.Audit(h.ctx, storage.AuditFilter{Action: "user.change", Limit: 1})
	h.must(err)
	var detail map[string]map[string]string
	h.must(json.Unmarshal(lines[0].Detail, &detail))
	if l := lines[0]; detail["before"]["role"] != "user" || detail["after"]["role"] != "admin" ||
		detail["before"]["name"] != "ann" || detail["after"]["name"] != "A secret name" || len(detail["after"]) != 3 ||
		l.Address != "192.0.2.7" || *l.TargetID != ann || l.Actor != "test" || l.ActorKind != roster.ActorConfig {
		t.Errorf("%+v %s", l, l.Detail)
	}
}

// TestEnableWhoWasMissing: someone whom a full roster disabled can be enabled by hand.
func TestEnableWhoWasMissing(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := h.add("ann")
	h.exec(`UPDATE users SET status = 'disabled', missing_from = 'default' WHERE id = $1`, ann.ID)
	u, err := h.ChangeUser(h.ctx, ann.ID, storage.UserChange{Department: new("Sales")}, by)
	h.must(err)
	if u.Status != roster.Disabled || one[*string](h, `SELECT missing_from FROM users`) == nil {
		t.Errorf("an edit forgets why the user is disabled: %+v", u)
	}
	u, err = h.ChangeUser(h.ctx, ann.ID, storage.UserChange{Disabled: new(false)}, by)
	h.must(err)
	if u.Status != roster.Invited || one[*string](h, `SELECT missing_from FROM users`) != nil {
		t.Errorf("%+v", u)
	}
}

// TestTokensAreAskedForTheirRights: what a token may do counts at the moment it does it.
func TestTokensAreAskedForTheirRights(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	owner := h.active("owner", roster.RoleAdmin)
	h.active("other", roster.RoleAdmin)
	token := func(scope string, owned bool) storage.AuditEntry {
		t.Helper()
		maker := by
		if owned {
			maker.Actor = roster.Actor{Kind: roster.ActorUser, ID: owner, Label: "owner"}
		}
		made, err := h.CreateToken(h.ctx, scope, sha256.Sum256([]byte(uuid.NewString())), []string{scope}, 0, maker)
		h.must(err)
		return storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorToken, ID: made.ID, Label: scope}}
	}
	ann := h.add("ann")
	weak, own := token("imports", false), token("admin", true)
	for name, change := range map[string]storage.UserChange{"role": {Role: new(roster.RoleAdmin)}, "name": {Name: new("X")}} {
		if _, err := h.ChangeUser(h.ctx, ann.ID, change, weak); !errors.Is(err, storage.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.AddUser(h.ctx, fieldsOf("bo"), "", roster.InvitationHeld, weak); !errors.Is(err, storage.ErrForbidden) {
		t.Error(err)
	}
	for name, change := range map[string]storage.UserChange{"role": {Role: new(roster.RoleUser)}, "status": {Disabled: new(true)}} {
		if _, err := h.ChangeUser(h.ctx, owner, change, own); !errors.Is(err, storage.ErrOwnAccount) {
			t.Errorf("own %s: %v", name, err)
		}
	}
	_, err := h.ChangeUser(h.ctx, owner, storage.UserChange{Name: new("Me")}, own)
	h.must(err)
	h.exec(`UPDATE users SET status = 'disabled' WHERE id = $1`, owner)
	if _, err := h.ChangeUser(h.ctx, ann.ID, storage.UserChange{Name: new("X")}, own); !errors.Is(err, storage.ErrForbidden) {
		t.Errorf("a token whose owner is disabled: %v", err)
	}
}
