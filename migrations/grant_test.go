package migrations_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"rollcall/migrations"
	"rollcall/test/pgtest"
)

// insufficientPrivilege is PostgreSQL's code for a missing privilege.
const insufficientPrivilege = "42501"

// TestApplicationRole tries, as the role of api and worker, what an intruder
// with its password would.
func TestApplicationRole(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	app, owner := connect(t, url), connect(t, pgtest.Owner(t, url))
	const entry = `INSERT INTO audit_log (id, actor_kind, actor_id, actor, action, target, address) VALUES ($1, 'user', $2, 'ada@example.com', 'session.create', 'user', '192.0.2.7')`
	gone, there := uuid.New(), uuid.New()
	for _, id := range []uuid.UUID{gone, there} {
		if _, err := app.ExecContext(t.Context(), entry, uuid.New(), id); err != nil {
			t.Fatalf("the application cannot append to the audit log: %v", err)
		}
	}
	if _, err := app.ExecContext(t.Context(), `INSERT INTO users (id, email, email_key, name) VALUES ($1, 'a@example.com', 'a@example.com', 'A')`, there); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Check(t.Context(), app); err != nil {
		t.Errorf("the application cannot see whether its schema is current: %v", err)
	}
	for _, statement := range []string{
		`UPDATE audit_log SET actor = 'somebody else'`,
		`DELETE FROM audit_log`,
		`TRUNCATE audit_log`,
		`ALTER TABLE audit_log DISABLE TRIGGER ALL`,
		`DROP TABLE audit_log`,
		`CREATE TRIGGER t BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION imports_bump_revision()`,
		`CREATE OR REPLACE FUNCTION audit_anonymize(person uuid, label text) RETURNS bigint LANGUAGE sql AS 'SELECT 1'`,
		`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`,
		`DELETE FROM goose_db_version`,
		`CREATE TABLE public.mine (n int)`,
		`CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
		`ALTER TABLE users DROP CONSTRAINT users_role_known`,
		`DROP TABLE sessions`,
		`TRUNCATE users`,
		`CREATE ROLE friend LOGIN`,
		`ALTER ROLE CURRENT_USER SUPERUSER`,
		`COPY users TO PROGRAM 'cat'`,
		`SELECT pg_read_file('/etc/passwd')`,
		`GRANT UPDATE ON audit_log TO CURRENT_USER`,
	} {
		_, err := app.ExecContext(t.Context(), statement)
		refused, ok := errors.AsType[*pq.Error](err)
		granted := strings.HasPrefix(statement, "GRANT") && (err == nil || ok && refused.Code == insufficientPrivilege) // a warning, see below
		if !granted && (!ok || refused.Code != insufficientPrivilege) {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if _, err := app.ExecContext(t.Context(), `UPDATE audit_log SET actor = ''`); err == nil {
		t.Error("the role has given itself the right to change the audit log")
	}
	const change = `INSERT INTO audit_log (id, actor_kind, actor_id, actor, action, target, target_id, detail)
		VALUES ($1, 'system', $1, 'test', 'user.change', 'user', $2, '{"before": {"name": "Ada", "department": "A", "role": "user"}, "after": {"name": "Bea", "role": "admin"}}')`
	for _, id := range []uuid.UUID{gone, there} {
		if _, err := app.ExecContext(t.Context(), change, uuid.New(), id); err != nil {
			t.Fatal(err)
		}
	}
	forget(t, app, gone, there)
	for id, want := range map[uuid.UUID]string{
		gone:  `{"after": {"role": "admin"}, "before": {"role": "user"}}`,
		there: `{"after": {"name": "Bea", "role": "admin"}, "before": {"name": "Ada", "role": "user", "department": "A"}}`,
	} {
		var detail string
		if err := owner.QueryRowContext(t.Context(), `SELECT detail FROM audit_log WHERE target_id = $1`, id).Scan(&detail); err != nil || detail != want {
			t.Errorf("detail of a change of who is gone (%v): %s, %v; want %s", id == gone, detail, err, want)
		}
	}
	var n int
	if err := owner.QueryRowContext(t.Context(), `SELECT count(*) FROM audit_log WHERE actor LIKE 'erased:%' AND address = '' AND action = 'session.create'`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d entries are forgotten, %v", n, err)
	}
}

// forget calls the one function that may change the log: it only affects
// deleted users, and needs a keyed hash.
func forget(t *testing.T, app *sql.DB, gone, there uuid.UUID) {
	t.Helper()
	label := "erased:" + strings.Repeat("0a", 16)
	for _, tt := range []struct {
		person uuid.UUID
		label  string
	}{{there, label}, {gone, "somebody else"}, {gone, label + " and more"}, {gone, ""}} {
		if _, err := app.ExecContext(t.Context(), `SELECT audit_anonymize($1, $2)`, tt.person, tt.label); err == nil {
			t.Errorf("entries of %v were renamed to %q", tt.person == there, tt.label)
		}
	}
	var n int
	if err := app.QueryRowContext(t.Context(), `SELECT audit_anonymize($1, $2)`, gone, label).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d entries were forgotten, %v", n, err)
	}
}

func TestGrantNeedsABoundRole(t *testing.T) {
	t.Parallel()
	owner := connect(t, pgtest.Owner(t, pgtest.New(t)))
	var me string
	if err := owner.QueryRowContext(t.Context(), `SELECT current_user`).Scan(&me); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Grant(t.Context(), owner, me); !errors.Is(err, migrations.ErrUnboundRole) {
		t.Errorf("granting to the owner: %v", err)
	}
	if err := migrations.Grant(t.Context(), owner, `nobody"; DROP TABLE users; --`); err == nil || !strings.Contains(err.Error(), "no such role") {
		t.Errorf("granting to nobody: %v", err)
	}
}
