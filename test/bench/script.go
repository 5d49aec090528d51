//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The tables that an administrator would create for the purpose, with the usual
// features: random ids by the database, addresses unique regardless of case, a
// list of the newest, and what is to be mailed next.
const scriptTables = `
CREATE TABLE users (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email      text NOT NULL,
    name       text NOT NULL,
    role       text NOT NULL DEFAULT 'user',
    department text NOT NULL DEFAULT '',
    status     text NOT NULL DEFAULT 'invited',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_newest ON users (created_at, id);
CREATE TABLE invitations (
    user_id    uuid PRIMARY KEY REFERENCES users (id),
    status     text NOT NULL DEFAULT 'pending',
    due_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX invitations_due ON invitations (due_at) WHERE status = 'pending';
`

// The import by hand: one transaction, only the checks of the tables, and no
// report on which rows were left out.
const scriptImport = `
BEGIN;
CREATE TEMPORARY TABLE incoming (email text, name text, role text, department text) ON COMMIT DROP;
\copy incoming FROM 'FILE' WITH (FORMAT csv, HEADER)
WITH created AS (
    INSERT INTO users (email, name, role, department)
    SELECT email, name, COALESCE(role, 'user'), COALESCE(department, '') FROM incoming
    ON CONFLICT DO NOTHING
    RETURNING id
)
INSERT INTO invitations (user_id) SELECT id FROM created;
COMMIT;
`

var errNoPsql = errors.New("no psql on PATH or in /usr/lib/postgresql")

// timeScript times the import by hand into empty tables.
func (l *env) timeScript(ctx context.Context, path string, rows int) (took time.Duration, err error) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/psql") // fails only on a bad pattern
		if len(found) == 0 {
			return 0, errNoPsql
		}
		psql = found[len(found)-1]
	}
	name, drop, err := l.database(ctx, "template0")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	script := func(text string) (string, error) {
		c := exec.CommandContext(ctx, psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", l.databaseURL(name))
		c.Stdin = strings.NewReader(text)
		out, err := c.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("psql: %w: %s", err, out)
		}
		return strings.TrimSpace(string(out)), err
	}
	if _, err := script(scriptTables); err != nil {
		return 0, err
	}
	if err := l.settle(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := script(strings.ReplaceAll(scriptImport, "FILE", path)); err != nil {
		return 0, err
	}
	took = time.Since(began)
	n, err := script(`SELECT count(*) FROM users JOIN invitations ON user_id = id`)
	if err == nil && n != fmt.Sprint(rows) {
		err = fmt.Errorf("the script imported %s of %d rows", n, rows)
	}
	return took, err
}
