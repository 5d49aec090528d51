//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"rollcall/storage"
)

const (
	// slowerAtMost is how much longer something may take when an installation has
	// grown a hundredfold.
	slowerAtMost = 1.5
	// unnoticed is how much longer, in ms, is not worth looking at.
	unnoticed = 10
	// looksPerPage is how often each page is asked for; the median counts.
	looksPerPage = 9
)

// seedImports returns SQL that fills in the imports that seedUsers has users of.
// Their files are gone but for the last ten, which have one chunk each.
func seedImports(users, imports int) string {
	return strings.NewReplacer("$users", fmt.Sprint(users), "$imports", fmt.Sprint(imports)).Replace(`
INSERT INTO imports (id, source, status, dry_run, on_duplicate, send_invitations, filename, size_bytes, sha256, actor_kind, actor_id, actor,
                     created_at, started_at, finished_at, purged_at, total, checked, valid, processed, imported, invites_sent, header)
SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'past', 'completed', false, 'skip', true, 'people.csv', 1, sha256(''),
       'config', '00000000-0000-0000-0000-000000000000', 'Growth', at, at, at, CASE WHEN n <= $imports - 10 THEN now() END,
       share, share, share, share, share, share, CASE WHEN n > $imports - 10 THEN '{email,name}'::text[] END
  FROM (SELECT n, now() - interval '100 days' + n * interval '1 minute' AS at,
               n::bigint * $users / $imports - (n::bigint - 1) * $users / $imports AS share FROM generate_series(1, $imports) AS n) AS i;
UPDATE imports i SET first_user_id = s.first, last_user_id = s.last
  FROM (SELECT import_id, min(id::text)::uuid AS first, max(id::text)::uuid AS last FROM users GROUP BY import_id) AS s WHERE s.import_id = i.id;
INSERT INTO import_chunks (import_id, seq, data) SELECT id, 0, 'x' FROM imports WHERE purged_at IS NULL;
`)
}

// measureGrowth does everything in an installation with 100,000 users and in one with
// 10,000,000 and 1,000 imports of the past. Left out is what reads every user:
// the export, onboarding of everyone, lists sorted by name.
func measureGrowth(ctx context.Context, l *env) ([]Line, error) {
	small, err := l.grown(ctx, l.scaled(100_000), 12)
	if err != nil {
		return nil, err
	}
	large, err := l.grown(ctx, l.scaled(10_000_000), max(12, l.scaled(1_000)))
	if err != nil {
		return nil, err
	}
	against := thousands(l.scaled(100_000)) + " users"
	among := " among " + thousands(l.scaled(10_000_000)) + " users"
	lines := []Line{
		{What: fmt.Sprintf("import of %s rows%s", thousands(l.scaled(100_000)), among), Unit: "rows/s", Against: against,
			Ours: large.imports, Theirs: small.imports, Wanted: atLeastTimes(0.67)},
		{What: fmt.Sprintf("full roster of %s known people%s", thousands(l.scaled(1_000_000)), among), Unit: "rows/s", Against: against,
			Ours: large.roster, Theirs: small.roster, Wanted: atLeastTimes(0.67)},
	}
	for i, look := range small.looks {
		wanted := aboveBy(max(unnoticed, math.Round((slowerAtMost-1)*median(look.took))))
		lines = append(lines, Line{What: look.what + among, Unit: "ms", Against: against, Ours: large.looks[i].took, Theirs: look.took, Wanted: wanted})
	}
	return lines, nil
}

// grown is how fast things are in an installation of some size.
type grown struct {
	imports, roster []float64 // rows per second
	looks           []look
}

// look is something that people or programs look at.
type look struct {
	what string
	took []float64 // ms, each time
}

func (l *env) grown(ctx context.Context, users, imports int) (g grown, err error) {
	h, err := l.open(ctx, settings{})
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if _, err := h.db.ExecContext(ctx, seedUsers(users, imports)+seedImports(users, imports)); err != nil {
		return g, fmt.Errorf("make %d users: %w", users, err)
	}
	people := l.scaled(1_000_000)
	// The first night makes the people that the second one knows.
	if _, err := h.night(ctx, rosterFile{people: people}, imported{Imported: int64(people)}, "send_invitations", "false"); err != nil {
		return g, err
	}
	if err := h.tidy(ctx); err != nil {
		return g, err
	}
	changed, gone := int64((people-1)/changedEvery+1), int64(people/goneEvery)
	night, err := h.night(ctx, rosterFile{people: people, night: 1, gone: true},
		imported{Updated: changed, Unchanged: int64(people) - gone - changed, Disabled: gone}, "on_duplicate", "update", "missing", "disable")
	if err != nil {
		return g, err
	}
	g.roster = []float64{night.rate}
	rows := l.scaled(100_000)
	err = l.rounds(3, func(n int) error {
		path, err := l.file(ctx, fileOf{rows: rows, domain: fmt.Sprintf("growth%d.example.com", n)})
		if err != nil {
			return err
		}
		took, err := h.timeImport(ctx, path, rows)
		g.imports = append(g.imports, float64(rows)/took.Seconds())
		return err
	})
	if err == nil {
		err = h.tidy(ctx)
	}
	if err != nil {
		return g, err
	}
	g.looks, err = h.lookAround(ctx)
	return g, err
}

// tidy does what autovacuum does in the minutes after large imports, and writes
// everything out.
func (h *installation) tidy(ctx context.Context) error {
	for _, table := range []string{"users", "invitations", "external_ids", "imports", "user_changes"} {
		if _, err := h.db.ExecContext(ctx, `VACUUM (ANALYZE) `+table); err != nil {
			return err
		}
	}
	return h.settle(ctx)
}

// lookAround opens the pages and asks for the lists that people and programs use, and
// does what runs in the background.
func (h *installation) lookAround(ctx context.Context) (looks []look, err error) {
	v, err := h.signIn(ctx)
	if err != nil {
		return nil, err
	}
	store, err := storage.Open(h.databaseURL(h.database), storage.Options{MaxConns: 1})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	var user, last string
	if err := h.db.QueryRowContext(ctx, `SELECT (SELECT user_id FROM external_ids LIMIT 1), (SELECT max(id::text) FROM imports)`).Scan(&user, &last); err != nil {
		return nil, err
	}
	const past = "00000000-0000-7000-8000-000000000003" // an import of seedImports
	page := func(path string) func() error {
		return func() error { _, _, err := v.get(ctx, path); return err }
	}
	call := func(path string) func() error {
		return func() error {
			_, err := h.ask(ctx, http.MethodGet, "/api/admin"+path, nil, nil, http.StatusOK)
			return err
		}
	}
	for _, it := range []struct {
		what string
		do   func() error
	}{
		{"page: users", page("/admin/users")},
		{"page: users by status", page("/admin/users?sort=status")},
		{"page: administrators", page("/admin/users?role=admin")},
		{"page: disabled users", page("/admin/users?status=disabled")},
		{"page: users of a department", page("/admin/users?department=Sales")},
		{"page: users of an import", page("/admin/users?import=" + last)},
		{"page: frequent text", page("/admin/users?q=example")},
		{"page: imports", page("/admin/imports")},
		{"page: an import", page("/admin/imports/" + last)},
		{"page: an import of the past", page("/admin/imports/" + past)},
		{"page: onboarding of an import", page("/admin/onboarding?import=" + past)},
		{"page: audit log", page("/admin/audit")},
		{"page: upload", page("/admin/users/import")},
		{"API: users", call("/users?limit=100")},
		{"API: a user", call("/users/" + user)},
		{"API: a user by address", call("/users?email=nobody@example.com")},
		{"API: a user by key", call("/users?source=default&external_id=00000007")},
		{"API: imports", call("/users/imports")},
		{"API: an import", call("/users/imports/" + last)},
		{"API: changes", call("/users/changes?limit=100")},
		{"a scrape", func() error {
			_, err := store.Stats(ctx)
			if err == nil {
				_, err = store.CountStates(ctx)
			}
			return err
		}},
		{"retention: a step", func() error { _, err := store.PurgeImport(ctx, 90*24*time.Hour); return err }},
	} {
		l := look{what: it.what}
		for range looksPerPage {
			began := time.Now()
			if err := it.do(); err != nil {
				return nil, fmt.Errorf("%s: %w", it.what, err)
			}
			l.took = append(l.took, float64(time.Since(began).Microseconds())/1000)
		}
		looks = append(looks, l)
	}
	return looks, nil
}

// measureSearch searches a million users for parts of names, addresses and
// departments that few or none have.
func measureSearch(ctx context.Context, l *env) (_ []Line, err error) {
	users := l.scaled(1_000_000)
	h, err := l.open(ctx, settings{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if _, err := h.db.ExecContext(ctx, seedUsers(users, 1)); err != nil {
		return nil, fmt.Errorf("make %d users: %w", users, err)
	}
	if err := h.tidy(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	for indexed := 0; indexed < users-100; time.Sleep(100 * time.Millisecond) { // the last few, too few for a block, never are
		if err := h.db.QueryRowContext(ctx, `SELECT count(*) FROM users WHERE id <= (SELECT built_to FROM user_search_state)`).Scan(&indexed); err != nil {
			return nil, err
		}
		if time.Since(began) > 5*time.Minute {
			return nil, fmt.Errorf("%d of %d users have become searchable", indexed, users)
		}
	}
	built := time.Since(began)
	v, err := h.signIn(ctx)
	if err != nil {
		return nil, err
	}
	line := Line{What: fmt.Sprintf("search among %s users for what few or none have", thousands(users)), Unit: "ms", Wanted: atMost(150),
		Note: fmt.Sprintf("searchable %.0f s after they were there", built.Seconds())}
	for _, text := range []string{"somebody+77777", ".7777.", "nobody+here", "research"} {
		var took []float64
		for range looksPerPage {
			began := time.Now()
			if _, _, err := v.get(ctx, "/admin/users?q="+text); err != nil {
				return nil, err
			}
			took = append(took, float64(time.Since(began).Microseconds())/1000)
		}
		line.Ours = append(line.Ours, median(took))
	}
	return []Line{line}, nil
}
