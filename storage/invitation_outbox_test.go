package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

func (h *testEnv) invite(n int) {
	h.Helper()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("p", i))
	}
	h.imported(roster.Options{SendInvitations: true}, names...)
}

func TestDispatchersShareTheWork(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.invite(20)
	h.exec(`UPDATE invitations SET due_at = now() - interval '1 hour' WHERE user_id IN (SELECT id FROM users WHERE name IN ('p7', 'p11'))`)
	oldest, err := h.DispatchInvitations(h.ctx, storage.DispatchLimit{Limit: 2, Again: time.Hour})
	h.must(err)
	for _, d := range oldest {
		if name := h.user(d.UserID).Name; name != "p7" && name != "p11" {
			t.Errorf("%s came before the oldest", name)
		}
	}
	taken := make(chan []storage.DueInvitation, 6)
	parallel(6, func(int) error {
		due, err := h.DispatchInvitations(h.ctx, storage.DispatchLimit{Limit: 4, Again: time.Hour})
		taken <- due
		return err
	})
	seen := map[uuid.UUID]bool{}
	for range 6 {
		for _, d := range <-taken {
			if seen[d.UserID] || d.Dispatch != 1 {
				t.Errorf("handed out twice: %+v", d)
			}
			seen[d.UserID] = true
		}
	}
	if len(seen) != 18 {
		t.Errorf("%d handed out", len(seen))
	}
	// A task lost in Redis comes due again by itself, under another number.
	h.exec(`UPDATE invitations SET due_at = now() WHERE user_id = $1`, oldest[0].UserID)
	if due := h.dispatchAll(); len(due) != 1 || due[0].Dispatch != 2 {
		t.Errorf("a lost task: %v", due)
	}
}

// TestInvitationsAreFoundByTheirUser: what becomes of a few of the many that are
// due costs the same however many those are, though PostgreSQL should believe that
// there are none, as it does right after an import.
func TestInvitationsAreFoundByTheirUser(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	reads := h.counting("invitations", "idx_tup_fetch + seq_tup_read")
	h.exec(`INSERT INTO users (id, email, email_key, name)
		SELECT lpad(to_hex(n), 32, '0')::uuid, k, k, 'Somebody' FROM (SELECT n, 'p' || n || '@example.com' AS k FROM generate_series(1, 5000) n) AS k`)
	h.exec(`INSERT INTO invitations (user_id, status) SELECT id, 'held' FROM users`)
	h.exec(`ANALYZE invitations`)
	h.exec(`UPDATE invitations SET status = 'pending', dispatch = 1`)
	const rounds, few = 8, 20
	var due []storage.DueInvitation
	for n := range rounds * few {
		due = append(due, storage.DueInvitation{UserID: uuid.UUID{14: byte((n + 1) >> 8), 15: byte(n + 1)}, Dispatch: 1})
	}
	before := reads()
	for some := range slices.Chunk(due, few) {
		claimed, err := h.ClaimInvitations(h.ctx, some, uuid.Nil, time.Minute, time.Hour)
		h.must(err)
		var outcomes []storage.SendResult
		for _, c := range claimed {
			h.must(c.Err)
			outcomes = append(outcomes, storage.SendResult{UserID: c.UserID, Dispatch: c.Dispatch, Status: roster.InvitationPending, Wait: time.Hour})
		}
		h.must(h.RecordOutcomes(h.ctx, outcomes))
	}
	h.must(h.PauseMail(h.ctx, storage.MailPause{Reason: "away", First: time.Hour, Most: time.Hour}))
	for i := range due {
		due[i].Dispatch = 2
	}
	claimed, err := h.ClaimInvitations(h.ctx, due[:few], uuid.Nil, time.Minute, time.Hour)
	h.must(err)
	for _, c := range claimed {
		if !errors.Is(c.Err, storage.ErrMailPaused) {
			t.Errorf("while mail is paused: %v", c.Err)
		}
	}
	// The claim, the import it belongs to, the outcome; and the pause.
	if n, most := reads()-before, (3*rounds+2)*few; n > most {
		t.Errorf("%d invitations read for %d, want %d at most", n, len(due), most)
	}
}

// TestClaimOfADeadWorker: its invitation can be taken once the lease is over.
func TestClaimOfADeadWorker(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.invite(1)
	d := h.dispatchAll()[0]
	_, err := h.ClaimInvitation(h.ctx, d, time.Minute, time.Hour)
	h.must(err)
	if _, err := h.ClaimInvitation(h.ctx, d, time.Minute, time.Hour); !errors.Is(err, storage.ErrNotClaimable) {
		t.Errorf("while it is being sent: %v", err)
	}
	h.exec(`UPDATE invitations SET due_at = now()`)
	if due := h.dispatchAll(); len(due) != 0 {
		t.Errorf("dispatched while it is being sent: %v", due)
	}
	h.exec(`UPDATE invitations SET claimed_until = now(), due_at = now()`)
	d = h.dispatchAll()[0]
	out, err := h.ClaimInvitation(h.ctx, d, time.Minute, time.Hour)
	h.must(err)
	if out.Attempts != 2 {
		t.Errorf("%+v", out)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.invite(1)
	due := h.dispatchAll()[0]
	attempt := func(o storage.SendResult) storage.InvitationMail {
		t.Helper()
		out, err := h.ClaimInvitation(h.ctx, due, time.Minute, time.Hour)
		h.must(err)
		o.UserID, o.Dispatch, o.Status, o.Wait = due.UserID, due.Dispatch, roster.InvitationPending, time.Hour
		h.must(h.RecordOutcomes(h.ctx, []storage.SendResult{o}))
		if wait := one[float64](h, `SELECT EXTRACT(EPOCH FROM due_at - now())::float8 FROM invitations`); wait < 3500 || wait > 3600 {
			t.Errorf("due in %.0f s", wait)
		}
		h.exec(`UPDATE invitations SET due_at = now()`)
		due = h.dispatchAll()[0]
		return out
	}
	for n, c := range []struct {
		outcome            storage.SendResult
		attempts, unknowns int // as the next attempt is told
	}{
		{storage.SendResult{Error: "450 later\x00"}, 1, 0},
		{storage.SendResult{Spared: true}, 2, 0},
		{storage.SendResult{Unknown: true}, 2, 0},
		{storage.SendResult{}, 3, 1},
	} {
		if out := attempt(c.outcome); out.Attempts != c.attempts || out.Unknowns != c.unknowns {
			t.Errorf("attempt %d: %+v", n, out)
		}
		if words := h.user(due.UserID).Invitation.LastError; n <= 1 && words != "450 later\uFFFD" || n > 1 && words != "" {
			t.Errorf("attempt %d: the server's words %q", n, words)
		}
	}
	h.must(h.RecordOutcomes(h.ctx, nil))
}

func TestPause(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.invite(5)
	due, err := h.DispatchInvitations(h.ctx, storage.DispatchLimit{Limit: 2, Again: time.Hour})
	h.must(err)
	sending, waiting := due[0], due[1]
	_, err = h.ClaimInvitation(h.ctx, sending, time.Minute, time.Hour)
	h.must(err)
	left := func() float64 {
		return one[float64](h, `SELECT EXTRACT(EPOCH FROM paused_until - now())::float8 FROM mail_state`)
	}
	for _, want := range []float64{10, 20, 35, 35} { // doubles up to the most
		parallel(5, func(int) error {
			return h.PauseMail(h.ctx, storage.MailPause{Reason: "no route", First: 10 * time.Second, Most: 35 * time.Second})
		})
		if got := left(); got < want-5 || got > want {
			t.Errorf("paused for %.1f s, want %.0f", got, want)
		}
		h.exec(`UPDATE mail_state SET paused_until = now() WHERE pauses < 4`)
	}
	if m, err := h.MailState(h.ctx); err != nil || m.PausedUntil == nil || m.Reason != "no route" {
		t.Errorf("%+v, %v", m, err)
	}
	if due := h.dispatchAll(); len(due) != 0 {
		t.Errorf("%d handed out during a pause", len(due))
	}
	if _, err := h.ClaimInvitation(h.ctx, waiting, time.Minute, time.Hour); !errors.Is(err, storage.ErrMailPaused) {
		t.Errorf("a task during a pause: %v", err)
	}
	// The same task delivered twice: the one that is sending is left in peace.
	if _, err := h.ClaimInvitation(h.ctx, sending, time.Minute, time.Hour); !errors.Is(err, storage.ErrNotClaimable) {
		t.Errorf("a task whose mail is being sent during a pause: %v", err)
	}
	h.exec(`UPDATE mail_state SET paused_until = now()`)
	h.exec(`UPDATE invitations SET due_at = now() WHERE claimed_until IS NULL`)
	if due := h.dispatchAll(); len(due) != 1 {
		t.Errorf("%d handed out on trial", len(due))
	}
	h.must(h.RecordOutcomes(h.ctx, []storage.SendResult{{UserID: sending.UserID, Dispatch: sending.Dispatch, Status: roster.InvitationSent}}))
	if got := h.user(sending.UserID).Invitation.Status; got != roster.InvitationSent {
		t.Errorf("the mail that was on its way is %s", got)
	}
	if m, err := h.MailState(h.ctx); err != nil || m.PausedUntil != nil || m.Reason != "" {
		t.Errorf("after a mail went out: %+v, %v", m, err)
	}
	if due := h.dispatchAll(); len(due) != 3 {
		t.Errorf("%d handed out after a mail went out", len(due))
	}
}

// TestResume: mended settings are tried at once, with all that waits.
func TestResume(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.invite(3)
	due := h.dispatchAll()
	h.must(h.PauseMail(h.ctx, storage.MailPause{Reason: "535 login refused", First: time.Hour, Most: time.Hour}))
	for _, d := range due {
		if _, err := h.ClaimInvitation(h.ctx, d, time.Minute, time.Hour); !errors.Is(err, storage.ErrMailPaused) {
			t.Errorf("during the pause: %v", err)
		}
	}
	h.must(h.SetEmailSettings(h.ctx, storage.EmailSettings{Host: "mail.example.com", Port: 587}, by))
	if due := h.dispatchAll(); len(due) != 3 {
		t.Errorf("%d handed out", len(due))
	}
}

// TestRate lets time pass by moving what is stored, and counts what goes out.
func TestRate(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	for _, c := range []struct {
		rate  float64
		steps []float64 // seconds between the questions
		want  []int
	}{
		{4, []float64{100, 0, .5, .05, 1, 9}, []int{4, 0, 2, 0, 4, 4}}, // never more than a second's worth
		{1.5, []float64{100, .5, .2, .7, .7}, []int{1, 1, 0, 1, 1}},
		{1, []float64{100, .5, .55, 1, 1}, []int{1, 0, 1, 1, 1}},
		{.5, []float64{100, 1, 1.1, 2, 2, 1}, []int{1, 0, 1, 1, 1, 0}}, // one in two seconds, not in three
		{.1, []float64{100, 9, 1.1, 10}, []int{1, 0, 1, 1}},
		{0, []float64{0, 0}, []int{30, 30}}, // no limit but the window
	} {
		t.Run(fmt.Sprint(c.rate), func(t *testing.T) {
			h := h.in(t)
			h.invite(90)
			var got []int
			ahead := 0.0 // released_at, seconds from the present of the test
			for _, step := range c.steps {
				ahead -= step
				h.exec(`UPDATE mail_state SET released_at = now() + make_interval(secs => $1)`, ahead)
				due, err := h.DispatchInvitations(h.ctx, storage.DispatchLimit{Limit: 30, Rate: c.rate, Again: time.Hour})
				h.must(err)
				got = append(got, len(due))
				if len(due) > 0 { // due_at tells when that was, however slow the machine
					ahead = one[float64](h, `
						SELECT EXTRACT(EPOCH FROM released_at - (due_at - interval '1 hour'))::float8
						  FROM mail_state, invitations WHERE user_id = $1`, due[0].UserID)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v went out, want %v", got, c.want)
			}
		})
	}
}

// TestDispatchReadsWhatItTakes: a few of many that are due cost a few reads, also
// right after an import, when PostgreSQL does not know yet how many there are.
func TestDispatchReadsWhatItTakes(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	reads := h.counting("invitations", "seq_tup_read + idx_tup_fetch")
	pgtest.AsOwner(t, h.url, `ALTER TABLE invitations SET (autovacuum_enabled = false)`)
	h.exec(`INSERT INTO users (id, email, email_key, name)
		SELECT gen_random_uuid(), k, k, 'Somebody' FROM (SELECT 'p' || n || '@example.com' AS k FROM generate_series(1, 5000) n) AS k`)
	h.exec(`INSERT INTO invitations (user_id, status) SELECT id, 'pending' FROM users`)
	before := reads()
	for range 3 {
		due, err := h.DispatchInvitations(h.ctx, storage.DispatchLimit{Limit: 10, Again: time.Hour})
		h.must(err)
		if len(due) != 10 {
			t.Fatalf("%d dispatched, want 10", len(due))
		}
	}
	if read := reads() - before; read > 500 {
		t.Errorf("%d rows were read to dispatch 30 of 5,000", read)
	}
}

// TestSearchForRemindersReadsLittle: among thousands of invitations it reads those
// that are due, and of the others none.
func TestSearchForRemindersReadsLittle(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.exec(`INSERT INTO users (id, email, email_key, name)
		SELECT lpad(to_hex(n), 32, '0')::uuid, k, k, 'Somebody' FROM (SELECT n, 'p' || n || '@example.com' AS k FROM generate_series(1, 5000) n) AS k`)
	// Of every kind: fresh, reminded once or twice, expired, due.
	h.exec(`INSERT INTO invitations (user_id, status, sent_at, expires_at, reminder_age)
		SELECT id, 'sent', now() - make_interval(hours => age), now() - make_interval(hours => age - 72), done * 3600
		  FROM users, LATERAL (VALUES (0, 1, 0), (1, 30, 24), (2, 60, 48), (3, 100, 0)) AS v (k, age, done)
		 WHERE get_byte(uuid_send(id), 15) % 4 = k`)
	h.exec(`UPDATE invitations SET sent_at = now() - interval '25 hours', expires_at = now() + interval '47 hours', reminder_age = 0
		WHERE user_id IN (SELECT id FROM users ORDER BY id LIMIT 7)`)
	h.exec(`VACUUM ANALYZE invitations`)
	ages := []time.Duration{24 * time.Hour, 48 * time.Hour}
	reads := h.counting("invitations", "idx_tup_fetch + seq_tup_read")
	before := reads()
	n, err := h.QueueReminders(h.ctx, ages, 72*time.Hour)
	h.must(err)
	if queued := one[int64](h, `SELECT count(*) FROM reminders`); n != 7 || queued != 7 {
		t.Errorf("%d found, %d queued, want 7", n, queued)
	}
	for range 10 {
		if n, err := h.QueueReminders(h.ctx, ages, 72*time.Hour); err != nil || n != 0 {
			t.Errorf("%d found again (%v)", n, err)
		}
	}
	// Found, updated, referred to; and once more as entries of the index that are dead.
	if n := reads() - before; n > 7*14 {
		t.Errorf("%d invitations read for 7", n)
	}
}
