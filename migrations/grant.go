package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/lib/pq"
)

// ErrUnboundRole is returned by [Grant] for a role that grants don't restrict.
var ErrUnboundRole = errors.New("it is a superuser or owns the tables, so grants do not restrict it: create one that is neither")

// Grant gives a role what api and worker need, and revokes anything beyond
// that: the role reads and writes rows, appends to the audit log without
// changing its entries, sees which migrations are applied, and cannot create,
// alter or drop anything. Call it as the owner of the tables, after each change
// of the schema; new tables are then granted like the others.
func Grant(ctx context.Context, db *sql.DB, role string) error {
	if err := bound(ctx, db, role); err != nil {
		return fmt.Errorf("grant to role %q: %w", role, err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("grant to role %q: %w", role, err)
	}
	defer tx.Rollback()
	name := pq.QuoteIdentifier(role)
	for _, statement := range []string{
		`GRANT USAGE ON SCHEMA public TO ` + name,
		`REVOKE CREATE ON SCHEMA public FROM PUBLIC, ` + name,
		`REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, ` + name,
		`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ` + name,
		`REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, ` + name,
		`GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ` + name,
		`REVOKE UPDATE, DELETE ON audit_log FROM ` + name,
		`REVOKE INSERT, UPDATE, DELETE ON goose_db_version FROM ` + name,
		`GRANT EXECUTE ON FUNCTION audit_anonymize (uuid, text) TO ` + name,
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("grant to role %q: %w", role, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("grant to role %q: %w", role, err)
	}
	return nil
}

// bound returns nil for a role that has only what it is granted.
func bound(ctx context.Context, db *sql.DB, role string) error {
	var super, owns bool
	err := db.QueryRowContext(ctx, `
		SELECT r.rolsuper OR r.rolbypassrls OR r.rolreplication,
		       EXISTS (SELECT FROM pg_tables t WHERE t.schemaname = 'public' AND pg_has_role(r.oid, t.tableowner, 'MEMBER'))
		  FROM pg_roles r WHERE r.rolname = $1`, role).Scan(&super, &owns)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errors.New("there is no such role: create it first, with LOGIN and a password")
	case err != nil:
		return err
	case super || owns:
		return ErrUnboundRole
	}
	return nil
}
