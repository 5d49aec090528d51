package storage_test

import (
	"database/sql"
	"flag"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/pgtest"
	"rollcall/migrations"
	"rollcall/roster"
	"rollcall/storage"
)

func (h *house) vitals() storage.Vitals {
	h.Helper()
	v, err := h.Vitals(h.ctx)
	h.must(err)
	drift, err := h.TalliesDrift(h.ctx)
	h.must(err)
	if drift != "" {
		h.Error(drift)
	}
	return v
}

// TestVitals follows imports and invitations through their states.
func TestVitals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	none := storage.Vitals{
		Imports: map[roster.Status]int64{"queued": 0, "checking": 0, "ready": 0, "importing": 0, "completed": 0, "canceled": 0, "failed": 0},
		Invitations: map[roster.InvitationStatus]int64{
			"held": 0, "pending": 0, "sent": 0, "failed": 0, "accepted": 0},
		DueAge: map[string]time.Duration{"invitation": 0, "password_reset": 0, "webhook": 0},
	}
	if diff := cmp.Diff(none, h.vitals()); diff != "" {
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
	v := h.vitals()
	want := map[roster.Status]int64{"queued": 1, "checking": 1, "ready": 0, "importing": 0, "completed": 2, "canceled": 0, "failed": 0}
	if diff := cmp.Diff(want, v.Imports); diff != "" {
		t.Errorf("imports:\n%s", diff)
	}
	if got := v.Invitations; got["pending"] != 4 || got["held"] != 1 || got["sent"] != 0 {
		t.Errorf("invitations: %v", got)
	}
	_, err = h.AskUndo(h.ctx, i.ID, by)
	h.must(err)
	_, err = h.UndoStep(h.ctx, i.ID)
	h.must(err)
	if got := h.vitals().Invitations; got["pending"] != 1 || got["held"] != 1 {
		t.Errorf("after an undo: %v", got)
	}
}

// TestVitalsOfWhatWaits: ages grow while nobody works, and only then.
func TestVitalsOfWhatWaits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	about := func(what string, got, want time.Duration) {
		t.Helper()
		if got < want-time.Second || got > want+30*time.Second {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	id := h.receive(roster.Options{}).ID
	h.exec(`UPDATE imports SET created_at = now() - interval '10 minutes'`)
	about("queued", h.vitals().QueueAge, 10*time.Minute)
	c := h.claim(id)
	if v := h.vitals(); v.QueueAge != 0 || v.Fruitless != 1 {
		t.Errorf("in hand: %s, %d fruitless claims", v.QueueAge, v.Fruitless)
	}
	h.exec(`UPDATE imports SET started_at = started_at - interval '1 hour', rung_at = rung_at - interval '1 hour', lease_until = now() - interval '5 minutes'`)
	about("its worker is dead", h.vitals().QueueAge, 5*time.Minute)
	_, err := h.HandBack(h.ctx, c)
	h.must(err)
	about("just handed back", h.vitals().QueueAge, 0)

	h.imported(roster.Options{SendInvitations: true}, "ada")
	h.exec(`UPDATE invitations SET due_at = now() - interval '3 minutes'`)
	h.exec(`UPDATE mail_state SET paused_until = now() + interval '1 minute', pauses = 1`)
	v := h.vitals()
	about("an invitation", v.DueAge["invitation"], 3*time.Minute)
	if !v.MailPaused {
		t.Error("mail is paused")
	}
	h.exec(`UPDATE invitations SET due_at = now() + interval '3 minutes'`)
	if age := h.vitals().DueAge["invitation"]; age != 0 {
		t.Errorf("an invitation that is not due yet has been due for %s", age)
	}
}

// TestTalliesFold: folding changes no sum, whoever reads or writes meanwhile.
func TestTalliesFold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const writers, each = 4, 15
	outcomes := parallel(writers+2, func(k int) error {
		for range each {
			switch {
			case k == writers:
				if err := h.FoldTallies(h.ctx); err != nil {
					return err
				}
			case k == writers+1:
				if drift, err := h.TalliesDrift(h.ctx); err != nil || drift != "" {
					return fmt.Errorf("%s (%w)", drift, err)
				}
			default:
				received, err := h.ReceiveImport(h.ctx, upload([]byte("email,name\n"), "", roster.Options{}))
				if err != nil {
					return err
				}
				if err := h.CancelImport(h.ctx, received.Import.ID, by); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if outcomes["<nil>"] != writers+2 {
		t.Fatal(outcomes)
	}
	h.must(h.FoldTallies(h.ctx))
	if n := one[int](h, `SELECT count(*) FROM tallies`); n > 50 {
		t.Errorf("%d rows of tallies are left", n)
	}
	if v := h.vitals(); v.Imports[roster.Canceled] != writers*each || v.Imports[roster.Queued] != 0 {
		t.Errorf("%v", v.Imports)
	}
	if err := h.FoldTallies(h.ctx); err != nil || one[int](h, `SELECT count(*) FROM tallies WHERE n < 0`) != 0 {
		t.Errorf("a folded sum is negative (%v)", err)
	}
}

// TestTalliesOfAnOlderDatabase: the migration counts what is there.
func TestTalliesOfAnOlderDatabase(t *testing.T) {
	t.Parallel()
	h := newHouse(t).owned()
	h.receive(roster.Options{})
	h.imported(roster.Options{SendInvitations: true}, "ada", "bea")
	h.imported(roster.Options{}, "cleo")
	h.exec(`DROP TRIGGER imports_tally_new ON imports`)
	h.exec(`DROP TRIGGER imports_tally_moved ON imports`)
	h.exec(`DROP TABLE tallies`)
	h.exec(`DROP FUNCTION imports_tally`)
	h.exec(`DROP INDEX invitations_single, imports_ready`)
	h.exec(`ALTER TABLE imports DROP COLUMN trace_parent`)
	script, err := fs.ReadFile(migrations.FS(), "0012_create_tallies.sql")
	h.must(err)
	h.exec(string(script)) // goose's marks are comments
	v := h.vitals()
	if v.Imports[roster.Completed] != 2 || v.Imports[roster.Queued] != 1 || v.Invitations["pending"] != 2 || v.Invitations["held"] != 1 {
		t.Errorf("%v, %v", v.Imports, v.Invitations)
	}
}

// TestVitalsScanNothing: a scrape reads the first entries of indexes and the
// sums that are kept, whatever there is to be counted.
func TestVitalsScanNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t).owned()
	fill(t, h.DB(), 20_000)
	scan := regexp.MustCompile(`Seq Scan on (\w+)`)
	for name, query := range storage.VitalsQueries() {
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
			if table[1] != "tallies" {
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

var vitalsOf = flag.Int("vitals.invitations", 200_000, "invitations in the database of BenchmarkVitals")

// BenchmarkVitals is a scrape of a database with so many invitations, one in a
// hundred of them due, and a tenth as many imports. The figures of ADR 20 are of
// five million, which take minutes to write:
//
//	go test ./storage -run '^$' -bench Vitals -vitals.invitations 5000000
func BenchmarkVitals(b *testing.B) {
	store, err := storage.Open(pgtest.Owner(b, pgtest.New(b)), storage.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	fill(b, store.DB(), *vitalsOf)
	for b.Loop() {
		if _, err := store.Vitals(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
