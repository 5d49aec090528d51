package cli_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"

	"rollcall/auth"
	"rollcall/cli"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.NewEmpty(t))

	r := s.run("migrate", "status")
	if r.code != 1 {
		t.Errorf("exit code of an empty database's status: %d", r.code)
	}
	contains(t, r.stdout, "MIGRATION", "00001_users.sql", "pending")
	contains(t, r.stderr, "pending: run 'rollcall migrate'.")

	r = s.run("token", "list")
	if r.code != 1 {
		t.Errorf("exit code without a schema: %d", r.code)
	}
	contains(t, r.stderr, "run `rollcall migrate`")

	contains(t, s.mustRun("migrate").stdout, "Applied 00001_users.sql\n", "The schema is up to date.\n")
	if again := s.mustRun("migrate").stdout; again != "The schema is up to date.\n" {
		t.Errorf("a second migrate says %q", again)
	}
	if status := s.mustRun("migrate", "status").stdout; strings.Contains(status, "pending") {
		t.Errorf("still pending:\n%s", status)
	}
}

// TestMigrateGrants gives a role what it needs, with a name that has to be
// quoted, and finds that it has it.
func TestMigrateGrants(t *testing.T) {
	t.Parallel()
	url := pgtest.NewEmpty(t)
	s := open(t, url)
	s.environ = append(s.environ, "ROLLCALL_APP_ROLE=no such role")
	if r := s.run("migrate"); r.code != 1 {
		t.Errorf("granting to a role that is not there: exit code %d", r.code)
	} else {
		contains(t, r.stderr, "no such role", "create it first")
	}
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	role := "app of " + strings.ToLower(rand.Text())
	name := pq.QuoteIdentifier(role)
	if _, err := db.ExecContext(t.Context(), `CREATE ROLE `+name); err != nil {
		t.Fatal(err)
	}
	defer db.ExecContext(context.WithoutCancel(t.Context()), `DROP OWNED BY `+name+`; DROP ROLE `+name)
	s.environ[len(s.environ)-1] = "ROLLCALL_APP_ROLE=" + role
	for range 2 {
		contains(t, s.mustRun("migrate").stdout, "the privileges that api and worker need.\nThe schema is up to date.\n")
	}
	var reads, changes bool
	if err := db.QueryRowContext(t.Context(), `SELECT has_table_privilege($1, 'audit_log', 'INSERT, SELECT'), has_table_privilege($1, 'audit_log', 'UPDATE, DELETE, TRUNCATE')`, role).Scan(&reads, &changes); err != nil {
		t.Fatal(err)
	}
	if !reads || changes {
		t.Errorf("the role appends to the audit log: %v; changes it: %v", reads, changes)
	}
}

func TestNoDatabase(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"migrate"}, {"migrate", "status"}, {"token", "list"}} {
		r := open(t, "postgres://u:the-password@127.0.0.1:1/x").run(args...)
		if r.code != 1 {
			t.Errorf("%v: exit code %d", args, r.code)
		}
		contains(t, r.stderr, "Error: the database is not responding\n", "Check DATABASE_URL, and that PostgreSQL is running.")
		if strings.Contains(r.stderr, "the-password") {
			t.Error("the password is shown")
		}
	}
	contains(t, shell{T: t}.run("migrate").stderr, "Error: the environment has a fault:\n  DATABASE_URL is not set")
}

// TestTokenExample: the example goes to where the installation is, and is one that
// the scope allows.
func TestTokenExample(t *testing.T) {
	t.Parallel()
	const public = "ROLLCALL_PUBLIC_URL=https://people.example.com"
	database := pgtest.New(t)
	for _, c := range []struct {
		scope, want string
		environ     []string
	}{
		{"imports", "curl -X POST https://people.example.com/api/admin/users/import -H", []string{public}},
		{"admin", "curl -X POST https://api.example.com/api/admin/users/import -H", []string{public, "ROLLCALL_URL=https://api.example.com"}},
		{"imports:read", "curl https://people.example.com/api/admin/users/imports -H", []string{public}},
		{"imports", "curl -X POST http://localhost:8080/api/admin/users/import -H", nil},
	} {
		contains(t, open(t, database, c.environ...).mustRun("token", "create", "--name", "ci", "--scope", c.scope).stderr, c.want)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t), "ROLLCALL_URL=https://rollcall.example.com")
	contains(t, s.mustRun("token", "list").stderr, "No API tokens.")

	r := s.mustRun("token", "create", "--name", "ci", "--scope", "imports,imports:read", "--expires", "90d")
	token := strings.TrimSuffix(r.stdout, "\n")
	hash, err := auth.ParseToken(token)
	if err != nil {
		t.Fatalf("stdout is not a token: %v", err)
	}
	contains(t, r.stderr, `"ci" (imports, imports:read)`, "expires on 20",
		"curl -X POST https://rollcall.example.com/api/admin/users/import", `"Authorization: Bearer $TOKEN"`)
	if strings.Contains(r.stderr, token) {
		t.Error("the token goes to standard error, which is no terminal")
	}
	store := storeOf(t, s)
	stored, err := store.TokenByHash(t.Context(), hash)
	if err != nil {
		t.Fatal(err)
	}
	if life := stored.ExpiresAt.Sub(stored.CreatedAt); life != 90*24*time.Hour {
		t.Errorf("it lives for %v", life)
	}

	s.mustRun("token", "create", "--name", "for ever", "--expires", "never", "--scope", "admin")
	list := strings.Split(s.mustRun("token", "list").stdout, "\n")
	if len(list) != 4 {
		t.Fatalf("the list:\n%s", strings.Join(list, "\n"))
	}
	column := strings.Index(list[0], "STATE")
	for _, line := range list[1:3] {
		if !strings.HasPrefix(line[column:], "active ") {
			t.Errorf("not aligned, or not active:\n%s\n%s", list[0], line)
		}
	}
	contains(t, list[1], "for ever", "admin", "never")

	if r := s.mustRun("token", "revoke", stored.ID.String()); !strings.Contains(r.stdout, " revoked.") {
		t.Errorf("%+v", r)
	}
	if _, err := store.TokenByHash(t.Context(), hash); err == nil {
		t.Error("it still works")
	}
	contains(t, s.mustRun("token", "list").stdout, "revoked")
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t))
	for _, c := range []struct{ args, want string }{
		{"create", "missing flag --name"},
		{"create --name=", "--name must have"},
		{"create --name=\x1b[2J", "--name must have"},
		{"create --name=x --scope=root", "--scope must be"},
		{"create --name=x --expires=soon", "--expires must be"},
		{"create --name=x more", `unexpected argument "more"`},
		{"revoke", "missing argument ID"},
		{"revoke rc_some_secret", "not a token ID"},
		{"revoke 0198c0de-0000-7000-8000-000000000000", "no API token has the ID 0198c0de"},
		{"create --nmae=x", "unknown flag"},
		{"lits", `Error: unknown command "lits"; did you mean list?`},
	} {
		r := s.run(append([]string{"token"}, strings.Fields(c.args)...)...)
		if r.code != 1 || r.stdout != "" || !strings.Contains(strings.ToLower(r.stderr), strings.ToLower(c.want)) {
			t.Errorf("token %q: %+v, want %q", c.args, r, c.want)
		}
		if strings.Contains(r.stderr, "rc_some_secret") {
			t.Error("what may be a token is repeated")
		}
	}
}

func TestParseLife(t *testing.T) {
	t.Parallel()
	// It is reached through `token create`; here are the bounds.
	for text, want := range map[string]time.Duration{
		"90d": 90 * 24 * time.Hour, "36h": 36 * time.Hour, "1d12h": 36 * time.Hour, "never": 0, "3650d": 3650 * 24 * time.Hour, "1m": time.Minute,
	} {
		if got, err := cli.ParseLife(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "90", "-1d", "1d-1h", "0d", "59s", "3651d", "99999d", "1.5d", "1h1d", "always"} {
		if got, err := cli.ParseLife(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestCreateAdmin(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t), "ROLLCALL_PUBLIC_URL=https://rollcall.example.com/", "ROLLCALL_INVITATION_TTL=1h")
	r := s.mustRun("user", "create-admin", "--email", "Ada@Example.com", "--name", " Ada Lovelace ")
	m := regexp.MustCompile(`^https://rollcall\.example\.com/invite/([A-Za-z0-9_-]+)\n$`).FindStringSubmatch(r.stdout)
	if m == nil {
		t.Fatalf("stdout: %q", r.stdout)
	}
	signer, err := auth.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	id, generation, ok := signer.ParseInvitationToken(m[1])
	if !ok {
		t.Fatal("the link is not signed with ROLLCALL_SECRET")
	}
	store := storeOf(t, s)
	invitee, err := store.Invitee(t.Context(), id, int32(generation))
	if err != nil {
		t.Fatalf("the link does not work: %v", err)
	}
	if invitee.Email != "Ada@Example.com" || invitee.Name != "Ada Lovelace" {
		t.Errorf("%+v", invitee)
	}
	user, err := store.User(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if user.Role != roster.RoleAdmin || user.Status != roster.Invited {
		t.Errorf("%+v", user)
	}
	if life := user.Invitation.ExpiresAt.Sub(*user.Invitation.SentAt); life != time.Hour {
		t.Errorf("the link lives for %v", life)
	}

	for _, c := range []struct{ email, name, want string }{
		{"ada@example.COM", "Ada", "a user with this email address already exists"},
		{"ada", "Ada", "--email: The address has no @."},
		{"bob@example.com", " ", "--name: The name is empty."},
	} {
		r := s.run("user", "create-admin", "--email", c.email, "--name", c.name)
		if r.code != 1 || r.stdout != "" || !strings.Contains(strings.ToLower(r.stderr), strings.ToLower(c.want)) {
			t.Errorf("%q, %q: %+v, want %q", c.email, c.name, r, c.want)
		}
	}
}

func storeOf(t *testing.T, s shell) *storage.Store {
	t.Helper()
	store, err := storage.Open(strings.TrimPrefix(s.environ[0], "DATABASE_URL="), storage.Options{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// TestExportAndErase exports the data of an administrator and erases them.
func TestExportAndErase(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t))
	s.environ = append(s.environ, "ROLLCALL_SECRET="+strings.Repeat("s", 32))
	s.mustRun("user", "create-admin", "--email", "Ada@Example.com", "--name", "Ada Admin")
	contains(t, s.mustRun("user", "export", "--email", "ada@example.com").stdout, `"email": "Ada@Example.com"`, `"name": "Ada Admin"`, `"action": "user.create"`)
	contains(t, s.mustRun("user", "erase", "--email", "ada@example.com").stdout, "Erased. The audit log keeps the anonymous ID ")
	for _, args := range [][]string{{"user", "erase", "--email", "ada@example.com"}, {"user", "export", "--email", "nobody@example.com"}} {
		if r := s.run(args...); r.code != 1 || !strings.Contains(r.stderr, "no user has this email address") {
			t.Errorf("%v: exit code %d: %s", args, r.code, r.stderr)
		}
	}
}

// TestCommandsKeepToTLS: with ROLLCALL_REQUIRE_TLS, commands refuse unencrypted
// connections to a database or an API and do not print the address.
func TestCommandsKeepToTLS(t *testing.T) {
	t.Parallel()
	s := open(t, "postgres://rollcall:hunter2@db.invalid/x?sslmode=require", "ROLLCALL_REQUIRE_TLS=yes", "ADMIN_API_TOKEN="+secret)
	for _, command := range [][]string{
		{"migrate"}, {"migrate", "status"}, {"token", "list"}, {"user", "export", "--email", "ada@example.com"},
	} {
		r := s.run(command...)
		if r.code != 1 || strings.Contains(r.stderr, "hunter2") || strings.Contains(r.stderr, "db.invalid") {
			t.Errorf("%v: exit code %d\n%s", command, r.code, r.stderr)
		}
		contains(t, r.stderr, "DATABASE_URL leads to another machine without sslmode=verify-full: add sslmode=verify-full")
	}
	file := t.TempDir() + "/users.csv"
	if err := os.WriteFile(file, []byte("email,name\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := s.run("import", file, "--url", "http://rollcall.invalid"); r.code != 1 {
		t.Errorf("import: exit code %d", r.code)
	} else {
		contains(t, r.stderr, "use https:// in ROLLCALL_URL or --url")
	}
}
