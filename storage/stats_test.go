package storage_test

import (
	"database/sql"
	"flag"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

func (h *testEnv) stats() storage.Stats {
	h.Helper()
	v, err := h.Stats(h.ctx)
	h.must(err)
	return v
}

func (h *testEnv) stateCounts() storage.StateCounts {
	h.Helper()
	c, err := h.CountStates(h.ctx)
	h.must(err)
	return c
}

// TestCountStates follows imports and invitations through their states.
func TestCountStates(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	none := storage.StateCounts{
		Imports: map[roster.Status]int64{"queued": 0, "checking": 0, "ready": 0, "held": 0, "importing": 0, "completed": 0, "canceled": 0, "failed": 0},
		Invitations: map[roster.InvitationStatus]int64{
			"held": 0, "pending": 0, "sent": 0, "failed": 0, "bounced": 0, "accepted": 0},
	}
	if diff := cmp.Diff(none, h.stateCounts()); diff != "" {
		t.Fatalf("of an empty database:\n%s", diff)
	}
	h.receive(roster.Options{})
	h.claim(h.receive(roster.Options{}).ID)
	i, people := h.imported(roster.Options{SendInvitations: true}, "ada", "bea", "cleo", "dora")
	h.imported(roster.Options{}, "held")
	single, err := h.CreateUser(h.ctx, storage.NewUser{Email: "eve@example.com", EmailKey: "eve@example.com", Name: "Eve", Role: roster.RoleUser}, 0, by)
	h.must(err)
	h.must(h.ResendInvitation(h.ctx, single, by))
	h.must(h.RevokeInvitation(h.ctx, people[3].ID, by))
	c := h.stateCounts()
	want := map[roster.Status]int64{"queued": 1, "checking": 1, "ready": 0, "held": 0, "importing": 0, "completed": 2, "canceled": 0, "failed": 0}
	if diff := cmp.Diff(want, c.Imports); diff != "" {
		t.Errorf("imports:\n%s", diff)
	}
	if got := c.Invitations; got["pending"] != 4 || got["held"] != 1 || got["sent"] != 0 {
		t.Errorf("invitations: %v", got)
	}
	_, err = h.RequestUndo(h.ctx, i.ID, by)
	h.must(err)
	_, err = h.UndoStep(h.ctx, i.ID)
	h.must(err)
	if got := h.stateCounts().Invitations; got["pending"] != 1 || got["held"] != 1 {
		t.Errorf("after an undo: %v", got)
	}
}

// TestStatsOfWhatWaits: ages grow while nobody works, and only then.
func TestStatsOfWhatWaits(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	about := func(what string, got, want time.Duration) {
		t.Helper()
		if got < want-time.Second || got > want+30*time.Second {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	none := storage.Stats{DueAge: map[string]time.Duration{"invitation": 0, "password_reset": 0, "webhook": 0}}
	if diff := cmp.Diff(none, h.stats()); diff != "" {
		t.Fatalf("of an empty database:\n%s", diff)
	}
	id := h.receive(roster.Options{}).ID
	h.exec(`UPDATE imports SET created_at = now() - interval '10 minutes'`)
	about("queued", h.stats().QueueAge, 10*time.Minute)
	c := h.claim(id)
	if v := h.stats(); v.QueueAge != 0 || v.CrashStreak != 1 {
		t.Errorf("in hand: %s, %d crashStreak claims", v.QueueAge, v.CrashStreak)
	}
	h.exec(`UPDATE imports SET started_at = started_at - interval '1 hour', enqueued_at = enqueued_at - interval '1 hour', lease_until = now() - interval '5 minutes'`)
	about("its worker is dead", h.stats().QueueAge, 5*time.Minute)
	_, err := h.ReleaseClaim(h.ctx, c)
	h.must(err)
	about("just handed back", h.stats().QueueAge, 0)

	h.imported(roster.Options{SendInvitations: true}, "ada")
	h.exec(`UPDATE invitations SET due_at = now() - interval '3 minutes'`)
	h.exec(`UPDATE mail_state SET paused_until = now() + interval '1 minute', pauses = 1`)
	v := h.stats()
	about("an invitation", v.DueAge["invitation"], 3*time.Minute)
	if !v.MailPaused {
		t.Error("mail is paused")
	}
	h.exec(`UPDATE invitations SET due_at = now() + interval '3 minutes'`)
	if age := h.stats().DueAge["invitation"]; age != 0 {
		t.Errorf("an invitation that is not due yet has been due for %s", age)
	}
}

// TestScrapeScansOnlyImports: a scrape reads the imports to count states, the
// webhooks, of which there are few, and else the first entries of indexes, however
// many invitations and changes there are.
func TestScrapeScansOnlyImports(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t).owned()
	fill(t, h.DB(), 20_000)
	h.exec(`INSERT INTO user_changes (type, user_ids) SELECT 'created', ARRAY[gen_random_uuid()] FROM generate_series(1, 20000)`)
	h.exec(`ANALYZE user_changes`)
	scan := regexp.MustCompile(`Seq Scan on (\w+)`)
	for name, query := range storage.StatsQueries() {
		rows, err := h.DB().QueryContext(h.ctx, `EXPLAIN `+query)
		h.must(err)
		var plan strings.Builder
		for rows.Next() {
			var line string
			h.must(rows.Scan(&line))
			plan.WriteString(line + "\n")
		}
		h.must(rows.Err())
		for _, table := range scan.FindAllStringSubmatch(plan.String(), -1) {
			if allowed := map[string]string{"imports": "imports", "lag": "webhooks"}; allowed[name] != table[1] {
				t.Errorf("%s reads all of %s:\n%s", name, table[1], plan.String())
			}
		}
	}
}

// fill makes n invitations, of which a hundredth is due, and as many finished
// imports and deliveries as would be usual. The users are left out, and with
// them the keys that lead to them: nobody asks for those here.
func fill(tb testing.TB, db *sql.DB, n int) {
	tb.Helper()
	conn, err := db.Conn(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	for _, query := range []string{
		`SET session_replication_role = replica`,
		fmt.Sprintf(`
			INSERT INTO imports (id, status, dry_run, on_duplicate, send_invitations, filename, size_bytes, sha256, failure,
			                     actor_kind, actor_id, actor, started_at, finished_at)
			SELECT gen_random_uuid(), 'failed', false, 'skip', true, 'f', 1, decode(repeat('00', 32), 'hex'), '{}',
			       'config', gen_random_uuid(), 'a', now(), now()
			  FROM generate_series(1, %d)`, n/10),
		fmt.Sprintf(`
			INSERT INTO invitations (user_id, import_id, status, due_at, sent_at, expires_at)
			SELECT gen_random_uuid(), gen_random_uuid(), CASE WHEN i %% 100 = 0 THEN 'pending' ELSE 'sent' END,
			       now() - interval '1 minute', now(), now()
			  FROM generate_series(1, %d) i`, n),
		fmt.Sprintf(`
			INSERT INTO webhook_deliveries (id, webhook_id, import_id, event, body, status, finished_at)
			SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'import.completed', '', 'delivered', now()
			  FROM generate_series(1, %d)`, n/10),
		fmt.Sprintf(`INSERT INTO password_resets (email_key, due_at) SELECT i::text, NULL FROM generate_series(1, %d) i`, n/10),
		`SET session_replication_role = DEFAULT`,
		`VACUUM ANALYZE`,
	} {
		if _, err := conn.ExecContext(tb.Context(), query); err != nil {
			tb.Fatal(err)
		}
	}
}

var statsInvitations = flag.Int("stats.invitations", 200_000, "invitations in the database of BenchmarkStats")

// BenchmarkStats is a scrape of a database with so many invitations, one in a
// hundred of them due, and a tenth as many imports. The figures of ADR 20 are of
// five million, which take minutes to write:
//
//	go test ./storage -run '^$' -bench Stats -stats.invitations 5000000
func BenchmarkStats(b *testing.B) {
	store, err := storage.Open(pgtest.Owner(b, pgtest.New(b)), storage.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	fill(b, store.DB(), *statsInvitations)
	for name, read := range map[string]func() error{
		"ages":   func() error { _, err := store.Stats(b.Context()); return err },
		"counts": func() error { _, err := store.CountStates(b.Context()); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
