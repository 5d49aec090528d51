package jobs_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/jobs/importer"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/smtptest"
)

// inviteAt imports n people over so many domains.
func (h *testEnv) inviteAt(n, domains int) *roster.Import {
	h.Helper()
	var file strings.Builder
	file.WriteString("email,name\n")
	for k := range n {
		fmt.Fprintf(&file, "someone%d@domain%d.example,Someone\n", k, k%domains)
	}
	return h.run(h.importer(importer.Config{}), h.upload(file.String(), roster.Options{SendInvitations: true}).ID)
}

// probes makes rounds until nothing changes any more, with the time of the pauses
// between.
func (o *mailEnv) probes(rounds int) {
	o.Helper()
	for range rounds {
		o.later(2 * time.Minute)
		o.round()
	}
}

// TestServerThatRefusesEverythingFailsNoInvitation: whatever the reply says, no invitation
// fails, sending pauses as a fault of the configuration, and when the
// server is fixed everyone gets their mail by themselves.
func TestServerThatRefusesEverythingFailsNoInvitation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verb, reply string
		domains     int
	}{
		"relay denied, one domain":       {"RCPT", "554 5.7.1 <someone@domain0.example>: Relay access denied", 1},
		"client rejected, no code":       {"RCPT", "550 Client host rejected", 1},
		"size limit":                     {".", "552 5.3.4 Message size exceeds fixed limit", 1},
		"unlikely reply, three domains":  {"RCPT", "550 5.1.1 Recipient rejected", 3},
		"no words at all, three domains": {"RCPT", "550 No", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			var fixed atomic.Bool
			server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
				if e.Verb == c.verb && !fixed.Load() {
					e.Reply = c.reply
				}
			}})
			o := newMailEnv(h, post{server: plain(server)}).open()
			const people = 40
			i := h.inviteAt(people, c.domains)
			o.round()
			o.probes(5)
			h.settled(i.ID, roster.InvitationCounts{Pending: people})
			m := h.paused()
			if m.PausedUntil == nil || !m.Configuration || strings.Contains(m.Reason, "@") || !strings.HasPrefix(m.Reason, c.reply[:3]) {
				t.Errorf("paused: %+v", m)
			}
			if s, err := h.store.Stats(t.Context()); err != nil || !s.MailMisconfigured {
				t.Errorf("metrics: %+v, %v", s, err)
			}
			for _, i := range h.invitations() {
				if i.Attempts > 1 {
					t.Errorf("attempts are counted: %+v", i)
				}
			}
			if n := server.Accepted(); n != 0 {
				t.Fatalf("%d mails accepted", n)
			}
			server.DropAll()
			fixed.Store(true)
			o.probes(4)
			h.settled(i.ID, roster.InvitationCounts{Sent: people})
			if m := h.paused(); m.PausedUntil != nil || m.Configuration {
				t.Errorf("still paused: %+v", m)
			}
		})
	}
}

// TestRefusedRecipientFailsWhileOthersAreAccepted: a reply that may be about every
// mail fails its recipient once the server has accepted another one, and the next
// recipients with that reply at once; ten bad addresses among good ones fail too.
func TestRefusedRecipientFailsWhileOthersAreAccepted(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		switch {
		case e.Verb != "RCPT":
		case strings.Contains(e.Line, "someone7@"), strings.Contains(e.Line, "someone17@"):
			e.Reply = "550 5.7.133 Sender not authenticated for group"
		case strings.Contains(e.Line, "someone1"): // 1, 10 to 19
			e.Reply = "550 5.1.1 No such user"
		}
	}})
	o := newMailEnv(h, post{server: plain(server), size: 1}).open()
	i := h.inviteAt(30, 5)
	o.round()
	o.probes(40)
	h.settled(i.ID, roster.InvitationCounts{Sent: 18, Failed: 12})
	if m := h.paused(); m.PausedUntil != nil {
		t.Errorf("paused: %+v", m)
	}
}

// TestOneDomainRefusedIsNoOutage: a domain that does not exist any more is its own
// fault, however many people are in it.
func TestOneDomainRefusedIsNoOutage(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		if e.Verb == "RCPT" {
			e.Reply = "550 5.1.2 Domain not found"
		}
	}})
	o := newMailEnv(h, post{server: plain(server)}).open()
	i := h.inviteAt(30, 2)
	o.round()
	h.settled(i.ID, roster.InvitationCounts{Failed: 30})
	if m := h.paused(); m.PausedUntil != nil {
		t.Errorf("paused: %+v", m)
	}
	// Everything can be retried at once, over all imports.
	n, err := h.store.RetryAllFailedInvitations(t.Context(), false, storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorConfig, Label: "test"}})
	if err != nil || n != 30 {
		t.Fatalf("%d retried, %v", n, err)
	}
	h.settled(i.ID, roster.InvitationCounts{Pending: 30})
}

// TestTooManyMessagesSlowsAll: the server's request for fewer mails costs no
// recipient an attempt; all sending pauses and goes on at a lower rate.
func TestTooManyMessagesSlowsAll(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{Script: at("RCPT", 1, reply("451 4.7.1 Too many messages"))})
	o := newMailEnv(h, post{server: plain(server), size: 1}).open()
	i := h.inviteAt(10, 1)
	o.round()
	m := h.paused()
	if m.PausedUntil == nil || m.Configuration || m.SlowedTo <= 0 {
		t.Fatalf("paused: %+v", m)
	}
	for _, i := range h.invitations() {
		if i.Attempts > 1 || i.Status == "failed" {
			t.Errorf("%+v", i)
		}
	}
	o.probes(1)
	slowed := h.paused().SlowedTo
	if n := len(o.dispatch()); float64(n) > slowed {
		t.Errorf("%d dispatched at once at %v a second", n, slowed)
	}
	for range 5 {
		time.Sleep(time.Second)
		o.probes(1)
	}
	h.settled(i.ID, roster.InvitationCounts{Sent: 10})
}
