package storage_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

func TestCreateUser(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := storage.NewUser{Email: "Ann@Example.com", EmailKey: "ann@example.com", Name: "Ann", Role: roster.RoleAdmin}
	id, err := h.CreateUser(h.ctx, ann, time.Hour, by)
	h.must(err)
	if u := h.user(id); u.Status != roster.Invited || u.Role != roster.RoleAdmin || u.ImportID != nil || u.Invitation.Status != roster.InvitationSent {
		t.Errorf("%+v", u)
	}
	if _, err := h.CreateUser(h.ctx, ann, time.Hour, by); !errors.Is(err, storage.ErrAlreadyExists) {
		t.Errorf("again: %v", err)
	}
	h.audited("user.create", id, 1)
	if c, err := h.CredentialsOf(h.ctx, "ann@example.com"); err != nil || c.UserID != id || c.PasswordHash != "" || c.Status != roster.Invited {
		t.Errorf("%+v, %v", c, err)
	}
	h.must(h.AcceptInvitation(h.ctx, id, 1, "old", ""))
	if err := h.SetPasswordHash(h.ctx, id, "not the old one", "new"); !errors.Is(err, storage.ErrWrongState) {
		t.Errorf("in the place of another: %v", err)
	}
	if c, err := h.CredentialsOf(h.ctx, "ann@example.com"); err != nil || c.PasswordHash != "old" {
		t.Errorf("%+v, %v", c, err)
	}
	h.must(h.SetPasswordHash(h.ctx, id, "old", "new"))
	if c, err := h.CredentialsOf(h.ctx, "ann@example.com"); err != nil || c.PasswordHash != "new" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := h.CredentialsOf(h.ctx, "nobody@example.com"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := h.User(h.ctx, uuid.New()); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

func TestEnsureAdmin(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.active("ann", roster.RoleUser)
	h.exec(`UPDATE users SET status = 'disabled'`)
	for _, hash := range []string{"a", "b"} {
		h.must(h.EnsureAdmin(h.ctx, storage.NewUser{Email: "ann@example.com", EmailKey: "ann@example.com", Name: "x", PasswordHash: hash}))
		c, err := h.CredentialsOf(h.ctx, "ann@example.com")
		h.must(err)
		if u := h.user(id); c.PasswordHash != hash || u.Role != roster.RoleAdmin || u.Status != roster.Active || u.Name != "ann" {
			t.Errorf("%+v, %+v", c, u)
		}
	}
}

// people fills a database with users of all kinds; the last is the newest.
func people(t *testing.T) (h *testEnv, importID uuid.UUID) {
	h = newTestEnv(t)
	i, _ := h.imported(roster.Options{SendInvitations: true}, "carl", "Dora", "100%", "1000", "eve")
	h.active("boss", roster.RoleAdmin)
	h.exec(`UPDATE users SET department = 'Navy' WHERE name IN ('Dora', 'eve')`)
	h.exec(`UPDATE users SET status = 'disabled' WHERE name = '1000'`)
	h.exec(`UPDATE users SET email = 'carl@Bücher.example', email_key = 'carl@xn--bcher-kva.example' WHERE name = 'carl'`)
	h.exec(`UPDATE invitations SET status = 'sent', sent_at = now(), expires_at = now() + (CASE u.name WHEN 'carl' THEN 1 ELSE -1 END) * interval '1 hour'
	          FROM users u WHERE u.id = user_id AND u.name IN ('carl', 'Dora')`)
	return h, i.ID
}

func TestUsersAreFilteredAndPaged(t *testing.T) {
	t.Parallel()
	h, importID := people(t)
	all := []string{"boss", "eve", "1000", "100%", "Dora", "carl"}
	for name, c := range map[string]struct {
		filter storage.UserFilter
		want   []string
	}{
		"all":                   {storage.UserFilter{}, all},
		"address":               {storage.UserFilter{EmailKey: "eve@example.com"}, []string{"eve"}},
		"disabled":              {storage.UserFilter{Status: roster.Disabled}, []string{"1000"}},
		"role":                  {storage.UserFilter{Role: roster.RoleAdmin}, []string{"boss"}},
		"department":            {storage.UserFilter{Department: "Navy"}, []string{"eve", "Dora"}},
		"department is exact":   {storage.UserFilter{Department: "navy"}, nil},
		"pending":               {storage.UserFilter{Invitation: roster.InvitationPending}, []string{"eve", "1000", "100%"}},
		"sent":                  {storage.UserFilter{Invitation: roster.InvitationSent}, []string{"carl"}},
		"expired":               {storage.UserFilter{Invitation: roster.InvitationExpired}, []string{"Dora"}},
		"import":                {storage.UserFilter{ImportID: importID}, all[1:]},
		"part of the name":      {storage.UserFilter{Query: "DOR"}, []string{"Dora"}},
		"part of the address":   {storage.UserFilter{Query: "eve@"}, []string{"eve"}},
		"part of department":    {storage.UserFilter{Query: "nav"}, []string{"eve", "Dora"}},
		"signs mean themselves": {storage.UserFilter{Query: "100%"}, []string{"100%"}},
		"no wildcard":           {storage.UserFilter{Query: "_"}, nil},
		"several":               {storage.UserFilter{Department: "Navy", Invitation: roster.InvitationPending, Role: roster.RoleUser}, []string{"eve"}},
		"an international name": {storage.UserFilter{Query: "ücher"}, []string{"carl"}},
		"part of it, in ASCII":  {storage.UserFilter{Query: "CHER.ex"}, []string{"carl"}},
		"as it is compared":     {storage.UserFilter{Query: "xn--bcher"}, []string{"carl"}},
		"by status":             {storage.UserFilter{Order: storage.ByStatus}, []string{"boss", "1000", "carl", "Dora", "100%", "eve"}},
		"by status, last":       {storage.UserFilter{Order: storage.ByStatus, Reversed: true}, []string{"eve", "100%", "Dora", "carl", "1000", "boss"}},
		"by role":               {storage.UserFilter{Order: storage.ByRole}, []string{"boss", "carl", "Dora", "100%", "1000", "eve"}},
		"by role, filtered":     {storage.UserFilter{Order: storage.ByRole, Status: roster.Invited}, []string{"carl", "Dora", "100%", "eve"}},
		"by e-mail":             {storage.UserFilter{Order: storage.ByEmail, Role: roster.RoleUser}, []string{"100%", "1000", "Dora", "carl", "eve"}},
		"by name":               {storage.UserFilter{Order: storage.ByName}, []string{"100%", "1000", "boss", "carl", "Dora", "eve"}},
		"by department, last":   {storage.UserFilter{Order: storage.ByDepartment, Reversed: true}, []string{"eve", "Dora", "boss", "1000", "100%", "carl"}},
		"oldest first":          {storage.UserFilter{Reversed: true}, []string{"carl", "Dora", "100%", "1000", "eve", "boss"}},
	} {
		t.Run(name, func(t *testing.T) {
			var names []string
			f := c.filter
			for f.Limit = 2; ; {
				page, err := h.Users(h.ctx, f)
				if err != nil {
					t.Fatal(err)
				}
				for _, u := range page {
					names, f.After = append(names, u.Name), u.ID
				}
				if len(page) < f.Limit {
					break
				}
			}
			if diff := cmp.Diff(c.want, names, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if found := h.findAll(c.filter, int64(len(c.want)), 2); !slices.Equal(found, c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}

// findAll goes through all pages of a list, each of which must tell the total.
func (h *testEnv) findAll(f storage.UserFilter, total int64, limit int) (names []string) {
	h.Helper()
	for f.Limit = limit; ; {
		page, n, err := h.FindUsers(h.ctx, f)
		if err != nil {
			h.Fatal(err)
		}
		if n != (storage.UserTotal{N: total}) {
			h.Errorf("a total of %+v, want %d", n, total)
		}
		for _, u := range page {
			names, f.After = append(names, u.Name), u.ID
		}
		if len(page) < f.Limit {
			return names
		}
	}
}

// TestManyUsers has more users than are counted.
func TestManyUsers(t *testing.T) {
	t.Parallel()
	h, importID := people(t)
	h.exec(`INSERT INTO users (id, email, email_key, name, import_id)
	        SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'm' || n || '@example.com', 'm' || n || '@example.com', 'Member ' || n, $1
	          FROM generate_series(1, 10000) n`, importID)
	h.exec(`UPDATE imports SET first_user_id = '00000000-0000-7000-8000-000000000001' WHERE id = $1`, importID)
	for name, c := range map[string]struct {
		filter storage.UserFilter
		total  storage.UserTotal
		want   []string
	}{
		"all, never analyzed": {storage.UserFilter{}, storage.UserTotal{N: 10_000, More: true}, []string{"boss", "eve"}},
		"many":                {storage.UserFilter{ImportID: importID}, storage.UserTotal{N: 10_000, More: true}, []string{"eve", "1000"}},
		"by status":           {storage.UserFilter{ImportID: importID, Order: storage.ByStatus}, storage.UserTotal{N: 10_000, More: true}, []string{"1000", "Member 1"}},
		"by name":             {storage.UserFilter{ImportID: importID, Order: storage.ByName, Reversed: true}, storage.UserTotal{N: 10_000, More: true}, []string{"Member 9999", "Member 9998"}},
		"few":                 {storage.UserFilter{Query: "member 777"}, storage.UserTotal{N: 11}, []string{"Member 7779", "Member 7778"}},
		"by role, last page":  {storage.UserFilter{Role: roster.RoleAdmin, Order: storage.ByRole}, storage.UserTotal{N: 1}, []string{"boss"}},
	} {
		c.filter.Limit = 2
		users, total, err := h.FindUsers(h.ctx, c.filter)
		var names []string
		for _, u := range users {
			names = append(names, u.Name)
		}
		if err != nil || total != c.total || !slices.Equal(names, c.want) {
			t.Errorf("%s: %+v, %q (%v), want %+v, %q", name, total, names, err, c.total, c.want)
		}
	}
	pgtest.AsOwner(t, h.url, `ANALYZE users`)
	_, total, err := h.FindUsers(h.ctx, storage.UserFilter{Limit: 1})
	if err != nil || !total.About || total.N < 9_900 || total.N > 10_100 {
		t.Errorf("of 10,006 users %+v are told (%v)", total, err)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := h.active("ann", roster.RoleAdmin)
	const idle = time.Hour
	for name, c := range map[string]struct {
		change string
		want   error
	}{
		"good":     {`UPDATE sessions SET last_seen_at = now() - interval '59 minutes'`, nil},
		"idle":     {`UPDATE sessions SET last_seen_at = now() - interval '1 hour'`, storage.ErrNotFound},
		"over":     {`UPDATE sessions SET expires_at = now()`, storage.ErrNotFound},
		"disabled": {`UPDATE users SET status = 'disabled'`, storage.ErrNotFound},
		"ended":    {`DELETE FROM sessions`, storage.ErrNotFound},
	} {
		h.exec(`UPDATE users SET status = 'active'`)
		h.exec(`DELETE FROM sessions`)
		h.signIn(hash(1), ann, 24*time.Hour, by)
		h.exec(c.change)
		u, err := h.SessionUser(h.ctx, hash(1), idle)
		if !errors.Is(err, c.want) || err == nil && u.ID != ann {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
		if err == nil && one[bool](h, `SELECT last_seen_at < now() - interval '1 minute' FROM sessions`) {
			t.Errorf("%s: not seen", name)
		}
	}
	h.audited("session.create", ann, 5)
	h.exec(`UPDATE users SET status = 'active'`)
	h.exec(`DELETE FROM sessions`)
	h.signIn(hash(2), ann, time.Hour, by)
	h.signIn(hash(3), ann, -time.Hour, by)
	h.must(h.EndSession(h.ctx, hash(9), "192.0.2.1"))
	h.must(h.PurgeSessions(h.ctx))
	if _, err := h.SessionUser(h.ctx, hash(2), idle); err != nil || one[int](h, `SELECT count(*) FROM sessions`) != 1 {
		t.Errorf("the wrong sessions were forgotten: %v", err)
	}
	h.must(h.EndSession(h.ctx, hash(2), "192.0.2.1"))
	if _, err := h.SessionUser(h.ctx, hash(2), idle); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("signed out: %v", err)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	forever, err := h.CreateToken(h.ctx, "hr", hash(1), []string{"imports", "imports:read"}, 0, by)
	h.must(err)
	short, err := h.CreateToken(h.ctx, "ci", hash(2), []string{"admin"}, time.Hour, by)
	h.must(err)
	if forever.ExpiresAt != nil || short.ExpiresAt == nil || forever.CreatedBy != "test" {
		t.Errorf("%+v, %+v", forever, short)
	}
	if _, err := h.CreateToken(h.ctx, "x", hash(3), []string{"root"}, 0, by); err == nil {
		t.Error("an unknown scope")
	}
	got, err := h.TokenByHash(h.ctx, hash(1))
	h.must(err)
	if got.ID != forever.ID || !slices.Equal(got.Scopes, []string{"imports", "imports:read"}) || got.LastUsedAt != nil {
		t.Errorf("%+v", got)
	}
	used, err := h.TokenByHash(h.ctx, hash(1))
	h.must(err)
	again, err := h.TokenByHash(h.ctx, hash(1))
	h.must(err)
	if used.LastUsedAt == nil || !used.LastUsedAt.Equal(*again.LastUsedAt) {
		t.Errorf("used at %v, then at %v: written more than once a minute", used.LastUsedAt, again.LastUsedAt)
	}
	h.exec(`UPDATE api_tokens SET expires_at = now() WHERE id = $1`, short.ID)
	for range 2 {
		h.must(h.RevokeToken(h.ctx, forever.ID, by))
	}
	if err := h.RevokeToken(h.ctx, uuid.New(), by); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("revoking none: %v", err)
	}
	for n, name := range []string{"unknown", "revoked", "expired"} {
		if _, err := h.TokenByHash(h.ctx, hash(byte(n))); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	all, err := h.Tokens(h.ctx)
	h.must(err)
	if len(all) != 2 || all[0].ID != short.ID || all[1].RevokedAt == nil {
		t.Errorf("%+v", all)
	}
	h.audited("token.create", forever.ID, 1)
	h.audited("token.revoke", forever.ID, 2)
}

func TestEmailSettings(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	if e, err := h.EmailSettings(h.ctx); e != nil || err != nil {
		t.Errorf("before any: %+v, %v", e, err)
	}
	for _, port := range []int{25, 587} {
		want := storage.EmailSettings{Host: "mail.example.com", Port: port, Security: "starttls", User: "u", SealedPassword: "sealed", From: "a@example.com", Rate: 2.5}
		h.must(h.SetEmailSettings(h.ctx, want, by))
		got, err := h.EmailSettings(h.ctx)
		h.must(err)
		if diff := cmp.Diff(&want, got, cmpopts.IgnoreFields(want, "UpdatedBy", "UpdatedAt")); diff != "" || got.UpdatedBy != "test" || got.UpdatedAt.IsZero() {
			t.Errorf("%+v %s", got, diff)
		}
	}
	h.audited("settings.email", uuid.Nil, 2)
	for range 2 {
		h.must(h.ClearEmailSettings(h.ctx, by))
		if e, err := h.EmailSettings(h.ctx); e != nil || err != nil {
			t.Errorf("cleared: %+v, %v", e, err)
		}
	}
	h.audited("settings.email.clear", uuid.Nil, 1)
	if n := one[int](h, `SELECT count(*) FROM audit_log WHERE detail::text LIKE '%sealed%'`); n != 0 {
		t.Error("the log has the password")
	}
}

func TestSessionsOfAUser(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann, bob := h.active("ann", roster.RoleAdmin), h.active("bob", roster.RoleUser)
	from := by
	from.Address = "192.0.2.7"
	for n, life := range []time.Duration{time.Hour, time.Hour, time.Hour, -time.Hour} {
		h.signIn(hash(byte(n)), ann, life, from)
	}
	h.signIn(hash(9), bob, time.Hour, by)
	theirs := h.sessions(bob, hash(9), 1)
	h.exec(`UPDATE sessions SET last_seen_at = now() - interval '2 hours' WHERE token_hash = $1`, slice(hash(2)))
	h.exec(`UPDATE sessions SET last_seen_at = now() - interval '1 minute' WHERE token_hash = $1`, slice(hash(1)))
	mine := h.sessions(ann, hash(1), 2) // neither the one that is over nor the idle one
	if !mine[0].Current || mine[1].Current || mine[0].Address != "192.0.2.7" || mine[0].Browser != "Firefox on Linux" {
		t.Errorf("%+v", mine)
	}
	if err := h.EndSessionOf(h.ctx, ann, theirs[0].ID, by); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("another's session: %v", err)
	}
	h.must(h.EndSessionOf(h.ctx, ann, mine[1].ID, by))
	h.sessions(ann, hash(1), 1)
	kept := hash(1)
	for _, want := range []int64{2, 0} {
		if n, err := h.EndSessions(h.ctx, ann, kept[:], by); err != nil || n != want {
			t.Errorf("ended %d, %v; want %d", n, err, want)
		}
	}
	if n, err := h.EndSessions(h.ctx, ann, nil, by); err != nil || n != 1 {
		t.Errorf("without one to keep: ended %d, %v", n, err)
	}
	h.sessions(bob, hash(9), 1)
	h.audited("session.end", ann, 3) // to end none is no deed
}

func slice(h [32]byte) []byte { return h[:] }

// sessions lists where a user is signed in.
func (h *testEnv) sessions(user uuid.UUID, current [32]byte, want int) []storage.Session {
	h.Helper()
	sessions, err := h.Sessions(h.ctx, user, current, time.Hour, 10)
	h.must(err)
	if len(sessions) != want {
		h.Fatalf("%d sessions, want %d: %+v", len(sessions), want, sessions)
	}
	return sessions
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ann := h.active("ann", roster.RoleAdmin)
	old := one[string](h, `SELECT password_hash FROM users WHERE id = $1`, ann)
	for n := range 3 {
		h.signIn(hash(byte(n)), ann, time.Hour, by)
	}
	change := storage.PasswordChange{UserID: ann, Old: old, New: "new", Current: hash(1), Renewed: hash(7)}
	for name, tt := range map[string]struct {
		spoil func(*storage.PasswordChange)
		want  error
	}{
		"another password": {func(c *storage.PasswordChange) { c.Old = "older" }, storage.ErrWrongState},
		"another user":     {func(c *storage.PasswordChange) { c.UserID = uuid.New() }, storage.ErrWrongState},
		"no such session":  {func(c *storage.PasswordChange) { c.Current = hash(8) }, storage.ErrNotFound},
	} {
		c := change
		tt.spoil(&c)
		if err := h.ChangePassword(h.ctx, c, by); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := one[int](h, `SELECT count(*) FROM users, sessions WHERE password_hash = $1`, old); n != 3 {
		t.Errorf("rowErrors changed something: %d sessions", n)
	}
	h.must(h.ChangePassword(h.ctx, change, by))
	if one[string](h, `SELECT password_hash || reset_count FROM users WHERE id = $1`, ann) != "new1" {
		t.Error("the password or the counter of links is not changed")
	}
	if !h.sessions(ann, hash(7), 1)[0].Current {
		t.Error("the session has not got its new secret")
	}
	h.audited("password.change", ann, 1)
}
