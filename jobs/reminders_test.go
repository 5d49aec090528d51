package jobs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/jobs"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/redistest"
	"rollcall/test/smtptest"
)

var reminderAges = []time.Duration{24 * time.Hour, 48 * time.Hour}

const linkLife = 72 * time.Hour

// queueReminders queues what is due, as the sweeper does.
func (h *testEnv) queueReminders() {
	h.Helper()
	for {
		n, err := h.store.QueueReminders(h.Context(), reminderAges, linkLife)
		if err != nil {
			h.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// remindersQueued is how many are in the outbox.
func (h *testEnv) remindersQueued() (n int) {
	h.Helper()
	if err := h.store.DB().QueryRow(`SELECT count(*) FROM reminders`).Scan(&n); err != nil {
		h.Fatal(err)
	}
	return n
}

func (h *testEnv) sql(query string, args ...any) {
	h.Helper()
	if _, err := h.store.DB().Exec(query, args...); err != nil {
		h.Fatal(err)
	}
}

// age makes invitations and reminders older.
func (h *testEnv) age(d time.Duration) {
	h.Helper()
	h.later(d)
	h.sql(`UPDATE invitations SET sent_at = sent_at - make_interval(secs => $1), expires_at = expires_at - make_interval(secs => $1),
		reminded_at = reminded_at - make_interval(secs => $1)`, d.Seconds())
	h.sql(`UPDATE reminders SET due_at = due_at - make_interval(secs => $1), claimed_until = claimed_until - make_interval(secs => $1)`, d.Seconds())
	h.sql(`UPDATE replaced_invitations SET sent_at = sent_at - make_interval(secs => $1)`, d.Seconds())
}

// newRemindersEnv has n people who were sent an invitation just now.
func newRemindersEnv(t *testing.T, n int, script func(*smtptest.Event)) (*mailEnv, *smtptest.Server, *roster.Import) {
	t.Helper()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{Script: script})
	o := newMailEnv(h, post{server: plain(server)}).open()
	i := h.invite(n)
	o.round()
	h.settled(i.ID, roster.InvitationCounts{Sent: int64(n)})
	return o, server, i
}

// TestReminders: each age is followed by one reminder with the same link, which
// still works, until it is used.
func TestReminders(t *testing.T) {
	t.Parallel()
	o, server, i := newRemindersEnv(t, 3, nil)
	first := server.Mails()[0]
	o.age(23 * time.Hour)
	o.queueReminders()
	if n := o.round(); n != 0 {
		t.Fatalf("%d reminders before their time", n)
	}
	o.age(time.Hour)
	for range 2 { // the second finds nothing
		o.queueReminders()
		o.round()
	}
	o.settled(i.ID, roster.InvitationCounts{Sent: 3, Reminders: 3})
	mails := server.Mails()
	if len(mails) != 6 {
		t.Fatalf("%d mails, want 6", len(mails))
	}
	k := slices.IndexFunc(mails[3:], func(m smtptest.Mail) bool { return m.To == first.To })
	reminder := mails[3+k]
	was, is := marksOf(t, first), marksOf(t, reminder)
	if was.token != is.token || was.id == is.id || !strings.Contains(reminder.Data, "Subject: Reminder: set your password for SecureAI") {
		t.Errorf("the reminder has the marks %v, the invitation %v:\n%s", is, was, reminder.Data)
	}
	user, generation, ok := o.signer.ParseInvitationToken(is.token)
	if !ok {
		t.Fatal("not a link")
	}
	u, err := o.store.User(t.Context(), user)
	if err != nil || u.Invitation.Reminders != 1 || u.Invitation.RemindedAt == nil {
		t.Errorf("%+v, %v", u.Invitation, err)
	}
	if err := o.store.AcceptInvitation(t.Context(), user, int32(generation), "hash", ""); err != nil {
		t.Fatalf("the link of a reminder: %v", err)
	}
	o.age(24 * time.Hour)
	o.queueReminders()
	o.round()
	o.age(23 * time.Hour)
	o.queueReminders()
	o.round()
	o.settled(i.ID, roster.InvitationCounts{Sent: 2, Accepted: 1, Reminders: 5})
	if n := server.Accepted(); n != 8 {
		t.Errorf("%d mails, want 8", n)
	}
	// A fresh link begins anew.
	user = o.invitations()[2].User
	if user == u.ID {
		user = o.invitations()[1].User
	}
	o.resend(user)
	o.age(2 * time.Hour)
	o.round()
	o.age(24 * time.Hour)
	o.queueReminders()
	o.round()
	if u, err := o.store.User(t.Context(), user); err != nil || u.Invitation.Reminders != 1 {
		t.Errorf("after a resend: %+v, %v", u.Invitation, err)
	}
}

// TestOneReminderForSeveralAges: after a long outage one reminder goes out, and no
// other one right after it.
func TestOneReminderForSeveralAges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		down        time.Duration // no worker
		then        time.Duration // later
		first, more int
	}{
		{"no worker for both", 50 * time.Hour, 10 * time.Hour, 1, 0},
		{"no worker until shortly before the second", 47 * time.Hour, 2 * time.Hour, 1, 0},
		{"none missed", 24 * time.Hour, 24 * time.Hour, 1, 1},
		{"the link has expired", 73 * time.Hour, time.Hour, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o, server, _ := newRemindersEnv(t, 1, nil)
			for n, step := range []struct {
				later time.Duration
				mails int
			}{{c.down, 1 + c.first}, {c.then, 1 + c.first + c.more}} {
				o.age(step.later)
				o.queueReminders()
				o.round()
				if got := server.Accepted(); got != step.mails {
					t.Errorf("step %d: %d mails, want %d", n, got, step.mails)
				}
			}
		})
	}
	t.Run("mail paused for both", func(t *testing.T) {
		t.Parallel()
		o, server, _ := newRemindersEnv(t, 1, nil)
		for range 2 {
			o.age(24 * time.Hour)
			o.queueReminders()
		}
		o.round()
		o.round()
		if n := server.Accepted(); n != 2 {
			t.Errorf("%d mails, want 2", n)
		}
	})
}

// TestNoReminderForLinksThatDoNotWork: whatever happened to the invitation, before
// its reminder was queued or after.
func TestNoReminderForLinksThatDoNotWork(t *testing.T) {
	t.Parallel()
	o, server, _ := newRemindersEnv(t, 1, nil)
	user := o.invitations()[0].User
	states := map[string]string{
		"accepted":             `UPDATE invitations SET status = 'accepted', accepted_at = now()`,
		"failed":               `UPDATE invitations SET status = 'failed'`,
		"revoked":              `UPDATE invitations SET status = 'revoked'`,
		"pending again":        `UPDATE invitations SET status = 'pending', generation = 2, due_at = now() + interval '1 day'`,
		"expired":              `UPDATE invitations SET expires_at = now()`,
		"disabled user":        `UPDATE users SET status = 'disabled'`,
		"replaced by a resend": `UPDATE invitations SET generation = 2, reminder_age = 172800`,
	}
	for name, state := range states {
		for _, queued := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, queued %v", name, queued), func(t *testing.T) {
				o.sql(`UPDATE users SET status = 'invited'`)
				o.sql(`UPDATE invitations SET status = 'sent', generation = 1, accepted_at = NULL, reminder_age = 0, sent_at = now() - interval '25 hours', expires_at = now() + interval '47 hours'`)
				if queued {
					o.queueReminders()
					if n := o.remindersQueued(); n != 1 {
						t.Fatalf("%d queued", n)
					}
				}
				o.sql(state)
				if !queued {
					o.queueReminders()
				}
				o.round()
				if n := o.remindersQueued(); n != 0 || server.Accepted() != 1 {
					t.Errorf("%d reminders are waiting, %d mails", n, server.Accepted())
				}
			})
		}
	}
	t.Run("given by hand", func(t *testing.T) {
		o.sql(`UPDATE invitations SET status = 'revoked'`) // whichever state came last: pending again would be due
		id, err := o.store.CreateUser(t.Context(), storage.NewUser{Email: "eve@example.com", EmailKey: "eve@example.com", Name: "Eve", Role: roster.RoleUser}, linkLife, tester)
		if err != nil || id == user {
			t.Fatal(err)
		}
		o.age(25 * time.Hour)
		o.queueReminders()
		o.round()
		if server.Accepted() != 1 {
			t.Error("a reminder of a mail that was never sent")
		}
	})
}

// between acts on some mails, counted from 1; see at.
func between(verb string, first, last int, act func(*smtptest.Event)) func(*smtptest.Event) {
	return func(e *smtptest.Event) {
		if e.Verb == verb && e.Count >= first && e.Count <= last {
			act(e)
		}
	}
}

// TestReminderIsSentOnce though its worker was killed after the hand-off, and
// again after failures that may pass; a recipient who is refused is given up
// without harm to the invitation.
func TestReminderIsSentOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		script func(*smtptest.Event) // the first mail is the invitation
		rounds int
		mails  int // reminders that the server took
		counts int64
	}{
		{"451 then 250", between("RCPT", 2, 2, reply("451 Later")), 2, 1, 1},
		{"lost after the final dot", between(".", 2, 2, func(e *smtptest.Event) { e.Drop = true }), 2, 2, 1},
		{"refused for good", between("RCPT", 2, 9, reply("550 5.1.1 No such person")), 4, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o, server, i := newRemindersEnv(t, 1, c.script)
			o.age(24 * time.Hour)
			o.queueReminders()
			for range c.rounds {
				o.round()
				o.sql(`UPDATE reminders SET due_at = now()`)
			}
			o.settled(i.ID, roster.InvitationCounts{Sent: 1, Reminders: c.counts})
			if n := o.remindersQueued(); n != 0 || server.Accepted() != 1+c.mails {
				t.Errorf("%d reminders are waiting, %d mails", n, server.Accepted())
			}
		})
	}
	t.Run("killed after the hand-off", func(t *testing.T) {
		t.Parallel()
		o, server, i := newRemindersEnv(t, 1, nil)
		o.age(24 * time.Hour)
		o.queueReminders()
		killed := uuid.New()
		if err := o.store.AddMailWorker(t.Context(), killed); err != nil {
			t.Fatal(err)
		}
		claimed, err := o.store.ClaimReminders(t.Context(), o.dispatch(), killed, time.Hour)
		if err != nil || len(claimed) != 1 {
			t.Fatal(claimed, err)
		}
		if err := o.store.RecordHandoffs(t.Context(), claimed); err != nil {
			t.Fatal(err)
		}
		o.sql(`UPDATE reminders SET due_at = now()`)
		if n := o.round(); n != 0 {
			t.Fatal("taken from a worker that is alive")
		}
		if err := o.store.RemoveMailWorker(t.Context(), killed); err != nil {
			t.Fatal(err)
		}
		o.round()
		o.settled(i.ID, roster.InvitationCounts{Sent: 1, Reminders: 1})
		if n := o.remindersQueued(); n != 0 || server.Accepted() != 1 {
			t.Errorf("%d reminders are waiting, %d mails; the killed worker had sent it", n, server.Accepted())
		}
		// What it records after all, being only suspended, counts for nothing.
		if err := o.store.RecordOutcomes(t.Context(), []storage.SendResult{{
			UserID: claimed[0].UserID, ReminderID: claimed[0].ReminderID, Dispatch: claimed[0].Dispatch, Generation: 1, Status: roster.InvitationSent,
		}}); err != nil {
			t.Fatal(err)
		}
		o.settled(i.ID, roster.InvitationCounts{Sent: 1, Reminders: 1})
	})
}

// TestRemindersWait while mail is paused, and until their address has got fewer
// than three mails within the hour. They end a pause, too.
func TestRemindersWait(t *testing.T) {
	t.Parallel()
	o, server, i := newRemindersEnv(t, 1, nil)
	o.age(24 * time.Hour)
	o.queueReminders()
	due := o.dispatch()
	if err := o.store.PauseMail(t.Context(), storage.MailPause{Reason: "away", First: time.Hour, Most: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := o.mailer.Send(t.Context(), due...); err != nil {
		t.Fatal(err)
	}
	if n := o.round(); n != 0 || server.Accepted() != 1 {
		t.Fatalf("sent during a pause: %d", server.Accepted())
	}
	o.later(time.Hour)
	o.sql(`INSERT INTO replaced_invitations (address, sent_at) SELECT sha256(convert_to(email_key, 'UTF8')), now() FROM users, generate_series(1, 3)`)
	if n := o.round(); n != 1 || server.Accepted() != 1 {
		t.Fatalf("%d attempts, %d mails for an address that has got three", n, server.Accepted())
	}
	if n := o.round(); n != 0 {
		t.Fatal("due again at once")
	}
	o.sql(`UPDATE replaced_invitations SET sent_at = sent_at - interval '1 hour'`)
	o.sql(`UPDATE reminders SET due_at = now()`)
	o.round()
	o.settled(i.ID, roster.InvitationCounts{Sent: 1, Reminders: 1})
	if m := o.paused(); m.PausedUntil != nil || server.Accepted() != 2 {
		t.Errorf("%d mails, paused: %+v", server.Accepted(), m)
	}
}

// TestWorkerSendsReminders by itself through Redis, and none without ages.
func TestWorkerSendsReminders(t *testing.T) {
	t.Parallel()
	o, server, i := newRemindersEnv(t, 5, nil)
	q := newQueue(t, redistest.URL(t))
	o.age(24 * time.Hour)
	o.sql(`INSERT INTO reminders (user_id, generation) SELECT user_id, 1 FROM invitations LIMIT 1`) // of an earlier configuration
	stop := o.work(q, jobs.WorkerConfig{})
	poll(t, func() bool { return o.remindersQueued() == 0 })
	stop()
	reminded := server.Accepted() - 5 // if it was sent before it could be removed
	o.work(q, jobs.WorkerConfig{Reminders: jobs.Reminders{Ages: reminderAges, TTL: linkLife}})
	poll(t, func() bool { return o.read(i.ID).Invitations.Reminders >= 5 })
	if reminded > 1 {
		t.Errorf("%d reminders without ages", reminded)
	}
	to := map[string]int{}
	for _, m := range server.Mails() {
		to[m.To]++
	}
	if n := server.Accepted(); len(to) != 5 || n != 10+reminded {
		t.Errorf("%d mails to %d people", n, len(to))
	}
}
