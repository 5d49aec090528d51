package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/jobs/invitations"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
	"rollcall/test/smtptest"
)

// TestResendKillsOlderLink: a resent invitation is a new mail with a new link,
// and the older link says that it was replaced.
func TestResendKillsOlderLink(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{})
	o := newMailEnv(h, post{server: plain(server)}).open()
	i := h.invite(1)
	o.round()
	user := h.invitations()[0].User
	h.resend(user)
	h.settled(i.ID, roster.InvitationCounts{Pending: 1})
	o.round()
	h.settled(i.ID, roster.InvitationCounts{Sent: 1})
	mails := server.Mails()
	if len(mails) != 2 {
		t.Fatalf("%d mails, want 2", len(mails))
	}
	older, fresh := marksOf(t, mails[0]), marksOf(t, mails[1])
	if older.id == fresh.id || older.token == fresh.token {
		t.Fatalf("the fresh mail is the older one again: %v", fresh)
	}
	for _, c := range []struct {
		token string
		want  error
	}{{older.token, storage.ErrLinkReplaced}, {fresh.token, nil}} {
		id, generation, ok := o.signer.ParseInvitationToken(c.token)
		if !ok || id != user {
			t.Fatalf("the link in the mail is not for the user: %v", id)
		}
		if _, err := h.store.Invitee(t.Context(), id, int32(generation)); !errors.Is(err, c.want) {
			t.Errorf("link of generation %d: %v, want %v", generation, err, c.want)
		}
	}
}

// TestStaleTaskDoesNothing: a task whose invitation has changed state in any
// way sends nothing and uses up no attempt.
func TestStaleTaskDoesNothing(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{Script: at("RCPT", 1, reply("451 Later"))})
	o := newMailEnv(h, post{server: plain(server)}).open()
	h.invite(1)
	send := func(d storage.DueInvitation) {
		t.Helper()
		if err := o.mailer.Send(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	lost := o.dispatch()[0]
	h.later(2 * time.Minute) // its task was lost, so it is dispatched again
	tried := o.dispatch()[0]
	send(lost)
	h.want("after a lost task turned up", invitation{Status: "pending"})
	send(tried)
	deferred := invitation{Status: "pending", Attempts: 1, Error: "451 Later"}
	h.want("after the attempt", deferred)
	send(tried) // the queue delivers it twice
	h.want("after the same task again", deferred)
	h.resend(tried.UserID)
	fresh := o.dispatch()[0]
	send(tried)
	send(fresh)
	send(fresh)
	h.want("in the end", invitation{Status: "sent", Attempts: 1})
	if n := server.Accepted(); n != 1 {
		t.Fatalf("%d mails, want 1", n)
	}
}

// TestOneAtATime: twenty tasks for one invitation, over two workers, make one
// attempt.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{})
	one, two := newMailEnv(h, post{server: plain(server)}).open(), newMailEnv(h, post{server: plain(server)}).open()
	h.invite(5)
	var all sync.WaitGroup
	for _, d := range one.dispatch() {
		for k := range 20 {
			all.Go(func() {
				if err := []*mailEnv{one, two}[k%2].mailer.Send(t.Context(), d); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if n := server.Accepted(); n != 5 {
		t.Fatalf("%d mails for 5 people", n)
	}
	for _, i := range h.invitations() {
		if i.Status != "sent" || i.Attempts != 1 {
			t.Errorf("%+v", i)
		}
	}
}

// TestKilledInMidSend: a worker killed after the hand-off but before recording
// it costs one more mail, recognizable as the same. If the worker was only
// suspended, it changes nothing any more.
func TestKilledInMidSend(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	asleep, wake := make(chan struct{}), make(chan struct{})
	server := smtptest.Start(t, smtptest.Config{Script: at(".", 1, func(e *smtptest.Event) {
		e.Hold = wake
		close(asleep)
	})})
	killed, other := newMailEnv(h, post{server: plain(server)}).open(), newMailEnv(h, post{server: plain(server)}).open()
	i := h.invite(1)
	done := make(chan error, 1)
	d := killed.dispatch()[0]
	go func() { done <- killed.mailer.Send(context.Background(), d) }()
	<-asleep
	h.later(4 * time.Minute)
	if n := other.round(); n != 0 {
		t.Fatal("taken from a worker that may still be sending it")
	}
	h.later(time.Minute)
	if n := other.round(); n != 1 {
		t.Fatal("not taken over when the lease was over")
	}
	h.want("taken over", invitation{Status: "sent", Attempts: 2})
	h.resend(h.invitations()[0].User)
	close(wake)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	h.want("after the sleeper woke", invitation{Status: "pending", Due: true})
	h.settled(i.ID, roster.InvitationCounts{Pending: 1})
	mails := server.Mails()
	if len(mails) != 2 || marksOf(t, mails[0]) != marksOf(t, mails[1]) {
		t.Fatalf("%d mails, want 2 of the same Message-ID and link", len(mails))
	}
}

// TestOutcomeSurvivesDatabase cuts the connection to PostgreSQL at each message
// after the hand-off. The mail is still recorded as sent, at once and only
// once: otherwise it would be sent again when the lease expires.
func TestOutcomeSurvivesDatabase(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	for n := range 7 {
		for _, deaf := range []bool{false, true} {
			h.empty()
			cutter := newSeverable(t, h.url)
			defer cutter.Stop()
			store, err := storage.Open(cutter.url, storage.Options{MaxConns: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			for kind, script := range map[string]func(*smtptest.Event){
				"sent":    func(*smtptest.Event) {},
				"pending": func(e *smtptest.Event) { e.Reply = "451 Later" },
			} {
				h.empty()
				server := smtptest.Start(t, smtptest.Config{Script: at(".", 1, func(e *smtptest.Event) {
					script(e)
					cutter.cutAt(n, deaf)
				})})
				through := *h
				through.store = store
				o := newMailEnv(&through, post{server: plain(server)}).open()
				i := h.invite(1)
				d := o.dispatch()[0]
				if err := o.mailer.Send(t.Context(), d); err != nil {
					t.Fatalf("cut at %d, deaf %v: %v", n, deaf, err)
				}
				want := invitation{Status: kind, Attempts: 1}
				if kind == "pending" {
					want.Error = "451 Later"
				}
				h.want(fmt.Sprintf("cut at message %d, deaf %v", n, deaf), want)
				if drift, err := h.store.InvitationCountsDrift(t.Context(), i.ID); err != nil || drift != "" {
					t.Fatalf("counters are off: %s (%v)", drift, err)
				}
				cutter.cutAt(-1, false)
			}
			if n < 3 && cutter.severs == 0 {
				t.Fatal("the line was never cut")
			}
		}
	}
}

// panicker is a signer that panics for one user.
type panicker struct {
	*auth.Signer
	hated uuid.UUID
}

func (p *panicker) InvitationToken(userID uuid.UUID, generation int) string {
	if userID == p.hated {
		panic("at the disco")
	}
	return p.Signer.InvitationToken(userID, generation)
}

// TestPanicBlamesOne: an invitation that makes the code panic is retried less
// and less often and then given up; the others are sent.
func TestPanicBlamesOne(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{})
	i := h.invite(3)
	signer, err := auth.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	hated := h.invitations()[1].User
	o := newMailEnv(h, post{server: plain(server), signer: &panicker{signer, hated}, Config: invitations.Config{GiveUp: 3}}).open()
	o.round()
	h.settled(i.ID, roster.InvitationCounts{Sent: 2, Pending: 1})
	for range 3 {
		h.later(time.Hour)
		o.round()
	}
	h.settled(i.ID, roster.InvitationCounts{Sent: 2, Failed: 1})
	if h.paused().PausedUntil != nil {
		t.Error("mail for all paused for the sake of one")
	}
}

// TestStopDuringSend: a mail in progress when the worker is to stop gets the
// grace period. If the server answers in time, that is recorded; if not,
// another worker can take the mail at once.
func TestStopDuringSend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		verb    string
		answers bool
		want    invitation
	}{
		{"the server answers", ".", true, invitation{Status: "sent", Attempts: 1}},
		{"the server is silent before the content", "RCPT", false, invitation{Status: "pending", Due: true, Error: "canceled"}},
		{"the server is silent after the content", ".", false, invitation{Status: "pending", Attempts: 1, Unknowns: 1, Error: "unknown"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			reached, wake := make(chan struct{}), make(chan struct{})
			server := smtptest.Start(t, smtptest.Config{Script: at(c.verb, 1, func(e *smtptest.Event) {
				e.Hold = wake
				close(reached)
			})})
			grace := 50 * time.Millisecond
			if c.answers {
				grace = time.Minute
			}
			o := newMailEnv(h, post{server: plain(server), Config: invitations.Config{Grace: grace}}).open()
			h.invite(1)
			d := o.dispatch()[0]
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			done := make(chan error, 1)
			go func() { done <- o.mailer.Send(ctx, d) }()
			<-reached
			stop()
			if c.answers {
				close(wake)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			h.want("after the stop", c.want)
		})
	}
}

// TestSettledTogether: many outcomes at once are all recorded, even if the
// database rejects one of them.
func TestSettledTogether(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	// The database rejects one particular outcome, for a reason that
	// does not go away with time.
	pgtest.AsOwner(t, h.url, `ALTER TABLE invitations ADD CONSTRAINT refuse_one CHECK (last_error IS DISTINCT FROM '550 person3')`)
	server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		if e.Verb == "RCPT" && strings.Contains(e.Line, "person3@") {
			e.Reply = "550 person3"
		}
	}})
	o := newMailEnv(h, post{server: plain(server), size: 8})
	i := h.invite(8)
	var all sync.WaitGroup
	failed := make(chan error, 8)
	for _, d := range o.dispatch() {
		all.Go(func() {
			if err := o.mailer.Send(t.Context(), d); err != nil {
				failed <- err
			}
		})
	}
	// Recording starts when all have been handed over, so that they are
	// recorded in one transaction.
	poll(t, func() bool { return server.Accepted() == 7 })
	o.open()
	all.Wait()
	if len(failed) != 1 {
		t.Errorf("%d outcomes were not recorded, want 1", len(failed))
	}
	h.settled(i.ID, roster.InvitationCounts{Sent: 7, Pending: 1})
}

// poll waits for what other goroutines and processes do.
func poll(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("not within 20 s")
		}
	}
}

// TestFewMailsOffRecord: however slow the database is, no more mails are sent
// but neither marked nor recorded than there are connections. A killed worker
// makes at most that many be sent twice.
func TestFewMailsOffRecord(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	const connections, mails = 2, 12
	server := smtptest.Start(t, smtptest.Config{})
	o := newMailEnv(h, post{server: plain(server), size: connections}).open()
	i := h.invite(mails)
	pgtest.AsOwner(t, h.url, `
		CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
		CREATE TRIGGER slow BEFORE UPDATE ON invitations FOR EACH ROW WHEN (NEW.status = 'sent') EXECUTE FUNCTION slow();
		CREATE TRIGGER slow BEFORE INSERT ON invitation_handoffs FOR EACH ROW EXECUTE FUNCTION slow()`)
	tx, err := h.store.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec(`SELECT pg_advisory_xact_lock(1)`); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, d := range o.dispatch() {
		all.Go(func() {
			if err := o.mailer.Send(t.Context(), d); err != nil {
				t.Error(err)
			}
		})
	}
	poll(t, func() bool { return server.Accepted() == connections })
	time.Sleep(300 * time.Millisecond) // the others would have been sent by now
	if n := server.Accepted(); n != connections {
		t.Errorf("%d mails are out and not on record, with %d connections", n, connections)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	h.settled(i.ID, roster.InvitationCounts{Sent: mails})
	if n := server.Accepted(); n != mails {
		t.Errorf("%d mails to %d people", n, mails)
	}
}

// TestHandedOffIsNotSentAgain: a worker marks its mails as handed over and
// continues at once, however slowly they are recorded; if it dies then, the
// worker that takes over records them and sends nothing.
func TestHandedOffIsNotSentAgain(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	const connections, mails = 2, 12
	server := smtptest.Start(t, smtptest.Config{})
	killed := newMailEnv(h, post{server: plain(server), size: connections, Config: invitations.Config{Grace: time.Millisecond}})
	killed.background(killed.mailer.RunHandoffs) // and records no outcome
	i := h.invite(mails)
	ctx, kill := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, d := range killed.dispatch() {
		all.Go(func() { killed.mailer.Send(ctx, d) })
	}
	poll(t, func() bool { return h.marked() == mails })
	kill()
	all.Wait()
	h.settled(i.ID, roster.InvitationCounts{Pending: mails})

	other := newMailEnv(h, post{server: plain(server), size: connections}).open()
	h.later(5 * time.Minute)
	if n := other.round(); n != mails {
		t.Errorf("%d of %d were taken over", n, mails)
	}
	h.settled(i.ID, roster.InvitationCounts{Sent: mails})
	if n := server.Accepted(); n != mails {
		t.Errorf("%d mails to %d people", n, mails)
	}
	if n := h.marked(); n != 0 {
		t.Errorf("%d marks are left", n)
	}

	// A resent invitation is a new mail.
	h.resend(h.invitations()[0].User)
	if n := other.round(); n != 1 || server.Accepted() != mails+1 {
		t.Errorf("sent afresh: %d taken, %d mails", n, server.Accepted())
	}
}

// marked is how many mails are marked as handed over.
func (h *testEnv) marked() (n int) {
	h.Helper()
	if err := h.store.DB().QueryRow(`SELECT count(*) FROM invitation_handoffs`).Scan(&n); err != nil {
		h.Fatal(err)
	}
	return n
}
