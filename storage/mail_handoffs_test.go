package storage_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// outbox is an installation with one mail that is due: an invitation or a reminder.
type outbox struct {
	*testEnv
	table string
}

func newOutbox(t *testing.T, table string) outbox {
	h := newTestEnv(t)
	h.invite(1)
	if table == "reminders" {
		out := h.send(h.dispatchAll()[0])
		h.exec(`INSERT INTO reminders (user_id, generation) VALUES ($1, $2)`, out.UserID, out.Generation)
	}
	return outbox{h, table}
}

// due makes the mail due again and hands it out, unless a worker is sending it.
func (o outbox) due() []storage.DueInvitation {
	o.Helper()
	o.exec(`UPDATE ` + o.table + ` SET due_at = now()`)
	return o.dispatchAll()
}

// worker is a new one, alive until it is removed.
func (o outbox) worker() uuid.UUID {
	o.Helper()
	id := uuid.New()
	o.must(o.AddMailWorker(o.ctx, id))
	return id
}

// claim takes the mail in hand for a worker.
func (o outbox) claim(worker uuid.UUID, due []storage.DueInvitation) storage.InvitationMail {
	o.Helper()
	if o.table == "reminders" {
		taken, err := o.ClaimReminders(o.ctx, due, worker, time.Hour)
		o.must(err)
		if len(taken) != 1 {
			o.Fatalf("%d reminders taken", len(taken))
		}
		return taken[0]
	}
	taken, err := o.ClaimInvitations(o.ctx, due, worker, time.Hour, time.Hour)
	o.must(err)
	if len(taken) != 1 || taken[0].Err != nil {
		o.Fatalf("taken: %+v", taken)
	}
	return taken[0].InvitationMail
}

// record records how an attempt ended.
func (o outbox) record(out storage.InvitationMail, status roster.InvitationStatus) {
	o.Helper()
	o.must(o.RecordOutcomes(o.ctx, []storage.SendResult{{
		UserID: out.UserID, ReminderID: out.ReminderID, Worker: out.Worker, Dispatch: out.Dispatch, Generation: out.Generation, Status: status, Spared: true,
	}}))
}

// waiting returns how many mails are still to be sent.
func (o outbox) waiting() int {
	o.Helper()
	if o.table == "reminders" {
		return one[int](o.testEnv, `SELECT count(*) FROM reminders`)
	}
	return one[int](o.testEnv, `SELECT count(*) FROM invitations WHERE status = 'pending'`)
}

// TestOutcomesOfAWorkerGivenUp: a worker that others gave up for dead, because it
// could not reach the database, records what it did once it can. Its successor's
// work is not undone, and nothing is sent once more.
func TestOutcomesOfAWorkerGivenUp(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"invitations", "reminders"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			t.Run("sent, and handed out again", func(t *testing.T) {
				o := newOutbox(t, table)
				parted := o.worker()
				out := o.claim(parted, o.due())
				o.must(o.RecordHandoffs(o.ctx, []storage.InvitationMail{out}))
				o.must(o.RemoveMailWorker(o.ctx, parted))
				again := o.due()
				o.record(out, roster.InvitationSent)
				if next := o.claim(o.worker(), again); !next.HandedOff {
					t.Error("its successor does not know that the mail is out")
				}
			})
			t.Run("sent, and claimed by another", func(t *testing.T) {
				o := newOutbox(t, table)
				parted := o.worker()
				due := o.due()
				out := o.claim(parted, due)
				o.must(o.RemoveMailWorker(o.ctx, parted))
				o.claim(o.worker(), due)
				o.record(out, roster.InvitationSent)
				if n := o.waiting(); n != 0 {
					t.Error("a mail that was sent is still waiting")
				}
			})
			t.Run("given back, and claimed by another", func(t *testing.T) {
				o := newOutbox(t, table)
				parted := o.worker()
				due := o.due()
				out := o.claim(parted, due)
				o.must(o.RemoveMailWorker(o.ctx, parted))
				successor := o.worker()
				next := o.claim(successor, due)
				o.must(o.RecordHandoffs(o.ctx, []storage.InvitationMail{next}))
				for _, status := range []roster.InvitationStatus{roster.InvitationPending, roster.InvitationFailed} {
					o.record(out, status)
				}
				if due := o.due(); len(due) != 0 || o.waiting() != 1 {
					t.Fatalf("handed out while another sends it: %v", due)
				}
				o.must(o.RemoveMailWorker(o.ctx, successor))
				last := o.claim(o.worker(), o.due())
				if !last.HandedOff {
					t.Error("the mark of its successor is gone")
				}
				o.record(last, roster.InvitationSent)
				if n := o.waiting(); n != 0 {
					t.Errorf("%d are waiting", n)
				}
			})
		})
	}
}

// TestOutcomeOfALostClaim: a failover has lost the commit of the claim, so the mail is
// as it was before, and is sent again.
func TestOutcomeOfALostClaim(t *testing.T) {
	t.Parallel()
	o := newOutbox(t, "invitations")
	out := o.claim(o.worker(), o.due())
	o.exec(`UPDATE invitations SET claimed_by = NULL, claimed_until = NULL, attempts = 0, expires_at = NULL`)
	o.record(out, roster.InvitationSent)
	o.record(out, roster.InvitationPending)
	if due := o.due(); len(due) != 1 || o.waiting() != 1 {
		t.Errorf("due again: %v", due)
	}
}
