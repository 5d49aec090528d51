package jobs_test

import (
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/smtptest"
	"rollcall/jobs"
	"rollcall/mail"
	"rollcall/roster"
)

// TestServerDownAnHour compresses the hour: the server is asked some twenty
// times, imports go in meanwhile, and then everybody gets one mail.
func TestServerDownAnHour(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	server := smtptest.Start(t, smtptest.Config{})
	var up atomic.Bool
	var dials atomic.Int64
	o := newOffice(h, post{server: plain(server), size: 1, pool: mail.PoolConfig{
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
	second := h.run(h.importer(jobs.ImporterConfig{}), h.upload("email,name\nlate@example.com,Late\n", roster.Options{SendInvitations: true}).ID)
	if second.Status != roster.Completed || second.Imported != 1 {
		t.Errorf("an import during the outage: %s, %+v", second.Status, second.Counts)
	}
	if n := dials.Load(); n < 15 || n > 60 {
		t.Errorf("asked %d times in an hour, want some twenty or, of those in hand when it began, twice that", n)
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
// imports do not notice.
func TestImportsGoOnWhileMailHangs(t *testing.T) {
	t.Parallel()
	h, q := newHouse(t), newQueue(t, redistest.URL(t))
	wake := make(chan struct{})
	server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		if e.Verb == "RCPT" {
			e.Hold = wake
		}
	}})
	o := newOffice(h, post{server: plain(server), size: 2})
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

// TestSmallFileOvertakes: a worker with one place hands a big import back again
// and again, so that a small one that came later ends first.
func TestSmallFileOvertakes(t *testing.T) {
	t.Parallel()
	h, q := newHouse(t), newQueue(t, redistest.URL(t))
	o := newOffice(h, post{})
	big := h.upload(people(8_000), roster.Options{})
	o.workBy(q, jobs.WorkerConfig{Imports: 1, Sweep: 50 * time.Millisecond, Overdue: time.Millisecond},
		jobs.ImporterConfig{Slice: 50 * time.Millisecond, BatchRows: 300})
	poll(t, func() bool { return h.read(big.ID).Checked > 0 })
	small := h.upload("email,name\nlate@example.com,Late\n", roster.Options{})
	poll(t, func() bool { return h.read(small.ID).Status == roster.Completed })
	if i := h.read(big.ID); i.Status.Ended() {
		t.Error("the big import was through before the small one")
	}
	poll(t, func() bool { return h.read(big.ID).Status == roster.Completed })
}

// TestAnswersAreCounted by stage and class, without a word of them.
func TestAnswersAreCounted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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
	o := newOffice(h, post{server: plain(server), size: 1}).open()
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
		if f.GetName() != "rollcall_smtp_answers_total" {
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

// TestSlowMailKeepsNoOtherWaiting: while one connection waits for an answer the
// other has all the rest, and before long the mail, too, that the server was asked
// for in one breath with the slow one, however many others there are.
func TestSlowMailKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	const mails = 80
	for verb, test := range map[string]struct {
		extensions []string
		taken      int // while one is waited for; the server takes it before it answers the content
	}{
		"RCPT": {nil, mails - 1},
		".":    {[]string{"PIPELINING"}, mails},
	} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			h, q := newHouse(t), newQueue(t, redistest.URL(t))
			wake := make(chan struct{})
			var slow int                         // the connection of it
			behind := make(chan string, 2*mails) // who was asked for on it afterwards
			server := smtptest.Start(t, smtptest.Config{Extensions: test.extensions, Script: func(e *smtptest.Event) {
				if e.Verb == "RCPT" && e.Connection == slow {
					behind <- e.Line
				}
				if e.Verb == "RCPT" && strings.Contains(e.Line, "person0@") {
					slow = e.Connection
				}
				switch {
				case e.Verb == verb && e.Connection == slow:
					e.Hold = wake
				case e.Verb == ".":
					answer := make(chan struct{})
					e.Hold = answer
					time.AfterFunc(30*time.Millisecond, func() { close(answer) })
				}
			}})
			o := newOffice(h, post{server: plain(server), size: 2})
			i := h.invite(mails)
			o.work(q, jobs.WorkerConfig{Connections: 2, Sweep: 50 * time.Millisecond, Overdue: time.Millisecond})
			poll(t, func() bool { return server.Accepted() == test.taken })
			close(wake)
			h.sent(i.ID, mails)
			taken := server.Mails()
			if len(taken) != mails {
				t.Errorf("%d mails to %d people", len(taken), mails)
			}
			if test.extensions == nil {
				return
			}
			next := <-behind
			at := slices.IndexFunc(taken, func(m smtptest.Mail) bool { return strings.Contains(next, "<"+m.To+">") })
			if at < 0 || at > mails-10 {
				t.Errorf("%s was asked for behind the slow one, and came as number %d of %d", next, at+1, mails)
			}
		})
	}
}
