//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// seedUsers returns SQL that fills the tables with users as if imported long ago,
// by imports of the same size: ids in order of creation, addresses spread like those
// of the files. It creates the indexes at the end, which takes a fraction of the
// time.
func seedUsers(users, imports int) string {
	return strings.NewReplacer("$users", fmt.Sprint(users), "$imports", fmt.Sprint(imports)).Replace(seed)
}

const seed = `
ALTER TABLE invitations DROP CONSTRAINT invitations_user_id_fkey, DROP CONSTRAINT invitations_pkey CASCADE;
ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE, DROP CONSTRAINT users_email_key_unique;
INSERT INTO users (id, import_id, email, email_key, name, department)
SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '70008' || substr(md5(n::text), 1, 15))::uuid,
       ('00000000-0000-7000-8000-' || lpad((1 + (n - 1) * $imports / $users)::text, 12, '0'))::uuid, address, address, 'Somebody ' || n, 'Sales'
  FROM generate_series(1::bigint, $users) AS n,
       LATERAL (SELECT (ARRAY['aisha','ben','carla','david','elena','farid','grace','hugo','ingrid','jamal','keiko','liam',
                              'maria','nils','olga','pablo','quentin','rosa','samir','tessa','umberto','vera','wei','yara'])[1 + n % 24]
                || '.' || (ARRAY['adams','costa','ferrari','ivanov','lopez','okafor','santos','vogel'])[1 + n / 24 % 8]
                || '.' || n || '@example.org' AS address) AS a;
INSERT INTO invitations (user_id, import_id, status, sent_at, expires_at) SELECT id, import_id, 'sent', now(), now() + interval '3 days' FROM users;
ALTER TABLE users ADD CONSTRAINT users_pkey PRIMARY KEY (id), ADD CONSTRAINT users_email_key_unique UNIQUE (email_key);
ALTER TABLE invitations ADD CONSTRAINT invitations_pkey PRIMARY KEY (user_id),
    ADD CONSTRAINT invitations_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;
ALTER TABLE reminders ADD FOREIGN KEY (user_id) REFERENCES invitations (user_id) ON DELETE CASCADE;
`

// measureFullTable times an import among many users against one into an empty
// table.
func measureFullTable(ctx context.Context, l *env) (_ []Line, err error) {
	rows, there := l.scaled(100_000), l.scaled(5_000_000)
	h, err := l.open(ctx, settings{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if _, err := h.db.ExecContext(ctx, seedUsers(there, 1)+seedImports(there, 1)); err != nil {
		return nil, fmt.Errorf("make %d users: %w", there, err)
	}
	// Like on any server that has run for a day.
	for _, table := range []string{"users", "invitations"} {
		if _, err := h.db.ExecContext(ctx, `VACUUM (ANALYZE) `+table); err != nil {
			return nil, err
		}
	}
	line := Line{
		What: fmt.Sprintf("import of %s rows among %s users", thousands(rows), thousands(there)), Unit: "rows/s",
		Against: "into an empty table", Wanted: atLeastTimes(0.6),
	}
	err = l.rounds(3, func(n int) error {
		path, err := l.file(ctx, fileOf{rows: rows, domain: fmt.Sprintf("round%d.example.com", n)})
		if err != nil {
			return err
		}
		if err := l.settle(ctx); err != nil {
			return err
		}
		full, err := h.timeImport(ctx, path, rows)
		if err != nil {
			return err
		}
		if err := l.settle(ctx); err != nil { // so that the pages just written don't slow down the empty table
			return err
		}
		empty, _, err := l.timeImport(ctx, path, rows)
		line.Ours = append(line.Ours, float64(rows)/full.Seconds())
		line.Theirs = append(line.Theirs, float64(rows)/empty.Seconds())
		return err
	})
	return []Line{line}, err
}
