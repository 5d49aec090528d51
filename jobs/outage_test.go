package jobs_test

import (
	"context"
	"maps"
	"net"
	"rollcall/jobs/importer"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/jobs"
	"rollcall/mail"
	"rollcall/roster"
	"rollcall/test/redistest"
	"rollcall/test/smtptest"
)

// TestServerDownAnHour compresses an hour: the server is tried some twenty
// times, imports continue meanwhile, and then every recipient gets one mail.
func TestServerDownAnHour(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{})
	var up atomic.Bool
	var dials atomic.Int64
	o := newMailEnv(h, post{server: plain(server), size: 1, pool: mail.PoolConfig{
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if !up.Load() {
				dials.Add(1)
				return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}}}).open()
	first := h.invite(20)
	for passed := time.Duration(0); passed < time.Hour; {
		o.round()
		now, err := h.store.Now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m := h.paused()
		if m.PausedUntil == nil {
			t.Fatal("mail does not pause")
		}
		wait := max(m.PausedUntil.Sub(now), time.Second) + time.Second
		h.later(wait)
		passed += wait
	}
	second := h.run(h.importer(importer.Config{}), h.upload("email,name\nlate@example.com,Late\n", roster.Options{SendInvitations: true}).ID)
	if second.Status != roster.Completed || second.Imported != 1 {
		t.Errorf("an import during the outage: %s, %+v", second.Status, second.Counts)
	}
	if n := dials.Load(); n < 15 || n > 60 {
		t.Errorf("asked %d times in an hour, want some twenty or, of those claimed when it began, twice that", n)
	}
	for _, i := range h.invitations() {
		if i.Status != "pending" || i.Attempts != 0 || i.Claimed {
			t.Errorf("the hour was put down to a recipient: %+v", i)
		}
	}
	up.Store(true)
	for range 5 {
		o.round()
	}
	h.settled(first.ID, roster.InvitationCounts{Sent: 20})
	h.settled(second.ID, roster.InvitationCounts{Sent: 1})
	once(t, server, 21)
}

// TestImportsGoOnWhileMailHangs: all connections to the mail server hang, and
// imports are not affected.
func TestImportsGoOnWhileMailHangs(t *testing.T) {
	t.Parallel()
	h, q := newTestEnv(t), newQueue(t, redistest.URL(t))
	wake := make(chan struct{})
	server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		if e.Verb == "RCPT" {
			e.Hold = wake
		}
	}})
	o := newMailEnv(h, post{server: plain(server), size: 2})
	h.invite(10)
	o.work(q, jobs.WorkerConfig{Connections: 2, Sweep: 50 * time.Millisecond, Overdue: time.Millisecond})
	poll(t, func() bool { return server.Open() == 2 })
	late := h.upload("email,name\nlate@example.com,Late\n", roster.Options{SendInvitations: true})
	poll(t, func() bool { return h.read(late.ID).Status == roster.Completed })
	if n := server.Accepted(); n != 0 {
		t.Errorf("%d mails were taken by a server that hangs", n)
	}
	close(wake)
	h.sent(late.ID, 1)
}

// TestSmallFileOvertakes: a worker that runs one import at a time hands a big
// import back repeatedly, so that a small one that came later ends first.
func TestSmallFileOvertakes(t *testing.T) {
	t.Parallel()
	h, q := newTestEnv(t), newQueue(t, redistest.URL(t))
	o := newMailEnv(h, post{})
	big := h.upload(people(8_000), roster.Options{})
	o.workBy(q, jobs.WorkerConfig{Imports: 1, Sweep: 50 * time.Millisecond, Overdue: time.Millisecond},
		importer.Config{Slice: 50 * time.Millisecond, BatchRows: 300})
	poll(t, func() bool { return h.read(big.ID).Checked > 0 })
	small := h.upload("email,name\nlate@example.com,Late\n", roster.Options{})
	poll(t, func() bool { return h.read(small.ID).Status == roster.Completed })
	if i := h.read(big.ID); i.Status.Ended() {
		t.Error("the big import was through before the small one")
	}
	poll(t, func() bool { return h.read(big.ID).Status == roster.Completed })
}

// TestAnswersAreCounted by stage and class, without any of their text.
func TestAnswersAreCounted(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		switch {
		case e.Verb == "RCPT" && strings.Contains(e.Line, "person1@"):
			e.Reply = "451 4.7.1 person1, come back later"
		case e.Verb == "RCPT" && strings.Contains(e.Line, "person2@"):
			e.Reply = "550 5.1.1 no person2 here"
		case e.Verb == "RCPT" && strings.Contains(e.Line, "person3@"):
			e.Drop = true
		}
	}})
	o := newMailEnv(h, post{server: plain(server), size: 1}).open()
	h.invite(4)
	o.round()
	got := map[string]float64{}
	families, err := h.counted.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.Contains(f.String(), "person") {
			t.Errorf("%s holds words of the mail server", f.GetName())
		}
		if f.GetName() != "rollcall_smtp_replies_total" {
			continue
		}
		for _, m := range f.Metric {
			got[m.Label[1].GetValue()+" "+m.Label[0].GetValue()] = m.Counter.GetValue()
		}
	}
	want := map[string]float64{"end 2xx": 1, "rcpt 4xx": 1, "rcpt 5xx": 1, "rcpt none": 1}
	if !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// TestSlowMailKeepsNoOtherWaiting: while one connection waits for an answer,
// the other one sends all the rest.
func TestSlowMailKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	const mails = 80
	for verb, taken := range map[string]int{"RCPT": mails - 1, ".": mails} { // the server accepts a mail before it answers the content
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			h, q := newTestEnv(t), newQueue(t, redistest.URL(t))
			wake := make(chan struct{})
			server := smtptest.Start(t, smtptest.Config{Script: at(verb, 1, func(e *smtptest.Event) { e.Hold = wake })})
			o := newMailEnv(h, post{server: plain(server), size: 2})
			i := h.invite(mails)
			o.work(q, jobs.WorkerConfig{Connections: 2, Sweep: 50 * time.Millisecond, Overdue: time.Millisecond})
			poll(t, func() bool { return server.Accepted() == taken })
			close(wake)
			h.sent(i.ID, mails)
			once(t, server, mails)
		})
	}
}
