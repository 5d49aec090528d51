package jobs_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/egress"
	"rollcall/jobs/invitations"
	"rollcall/mail"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/smtptest"
)

// at makes a script that acts on the first n events of a verb.
func at(verb string, n int, act func(*smtptest.Event)) func(*smtptest.Event) {
	return func(e *smtptest.Event) {
		if e.Verb == verb && e.Count <= n {
			act(e)
		}
	}
}

func reply(line string) func(*smtptest.Event) { return func(e *smtptest.Event) { e.Reply = line } }

// TestRecipientsFailure: a failure of one invitation affects only that
// invitation and delays no other.
func TestRecipientsFailure(t *testing.T) {
	t.Parallel()
	const pending = "pending"
	retry := invitations.Config{RetryMin: time.Minute, GiveUp: 2}
	for _, c := range []struct {
		name   string
		script func(*smtptest.Event)
		states []invitation // after each round, with two minutes between
		mails  int
		counts roster.InvitationCounts
	}{{
		"451 then 250", at("RCPT", 1, reply("451 4.7.1 Come back later")),
		[]invitation{{Status: pending, Attempts: 1, Error: "451 4.7.1 Come back later"}, {Status: "sent", Attempts: 2}},
		1, roster.InvitationCounts{Sent: 1},
	}, {
		"421 after the content", at(".", 1, reply("421 4.3.2 Shutting down")),
		[]invitation{{Status: pending, Attempts: 1, Error: "421 4.3.2 Shutting down"}, {Status: "sent", Attempts: 2}},
		1, roster.InvitationCounts{Sent: 1},
	}, {
		"451 until we give up", at("RCPT", 9, reply("451 4.2.2 Mailbox full")),
		[]invitation{{Status: pending, Attempts: 1, Error: "451"}, {Status: "failed", Attempts: 2, Error: "451 4.2.2 Mailbox full"}, {Status: "failed", Attempts: 2, Error: "451"}},
		0, roster.InvitationCounts{Failed: 1},
	}, {
		"550 at RCPT", at("RCPT", 1, reply("550 5.1.1 No such person here")),
		[]invitation{{Status: "failed", Attempts: 1, Error: "550 5.1.1 No such person here"}, {Status: "failed", Attempts: 1, Error: "550"}},
		0, roster.InvitationCounts{Failed: 1},
	}, {
		"lost at RCPT", at("RCPT", 1, func(e *smtptest.Event) { e.Drop = true }),
		[]invitation{{Status: pending, Attempts: 1, Error: "temporary failure at stage rcpt"}, {Status: "sent", Attempts: 2}},
		1, roster.InvitationCounts{Sent: 1},
	}, {
		"lost after the final dot, twice", at(".", 2, func(e *smtptest.Event) { e.Drop = true }),
		[]invitation{
			{Status: pending, Attempts: 1, Unknowns: 1, Error: "unknown failure at stage end"},
			{Status: "sent", Attempts: 2, Unknowns: 2, Error: "unknown failure at stage end"},
			{Status: "sent", Attempts: 2, Unknowns: 2, Error: "unknown failure at stage end"},
		},
		2, roster.InvitationCounts{Sent: 1},
	}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			server := smtptest.Start(t, smtptest.Config{Script: c.script})
			o := newMailEnv(h, post{server: plain(server), Config: retry}).open()
			i := h.invite(1)
			for k, want := range c.states {
				o.round()
				h.want("after round "+string(rune('1'+k)), want)
				if n := o.round(); n != 0 {
					t.Fatalf("%d due right after round %d", n, k+1)
				}
				h.later(3 * time.Minute)
			}
			mails := server.Mails()
			if len(mails) != c.mails {
				t.Fatalf("the server took %d mails, want %d", len(mails), c.mails)
			}
			for _, m := range mails {
				if got, first := marksOf(t, m), marksOf(t, mails[0]); got != first {
					t.Errorf("a retry is another mail: %v after %v", got, first)
				}
			}
			if h.paused().PausedUntil != nil {
				t.Error("mail for all paused for the sake of one")
			}
			h.settled(i.ID, c.counts)
		})
	}
}

// outage is a server that fails until mended is set.
type outage struct {
	*smtptest.Server
	address *mail.Server
	pool    mail.PoolConfig
	mended  *atomic.Bool
}

// until scripts a fault that lasts until mended is set.
func until(mended *atomic.Bool, verb string, fault func(*smtptest.Event)) func(*smtptest.Event) {
	return func(e *smtptest.Event) {
		if e.Verb == verb && !mended.Load() {
			fault(e)
		}
	}
}

func wrongLogin(t *testing.T) outage {
	var mended atomic.Bool
	s := smtptest.Start(t, smtptest.Config{Auth: "PLAIN", Script: until(&mended, "AUTH", reply("535 5.7.8 Wrong user name or password"))})
	address := plain(s)
	address.User, address.Password = smtptest.User, smtptest.Password
	return outage{s, address, mail.PoolConfig{}, &mended}
}

func strippedSTARTTLS(t *testing.T) outage {
	var mended atomic.Bool
	s := smtptest.Start(t, smtptest.Config{STARTTLS: true, Script: until(&mended, "EHLO", func(e *smtptest.Event) {
		e.Reply = strings.ReplaceAll(e.Reply, "\nSTARTTLS", "")
	})})
	return outage{s, &mail.Server{Host: smtptest.Host, Port: s.Port()}, mail.PoolConfig{TLS: s.ClientTLS()}, &mended}
}

func badCertificate(t *testing.T) outage {
	var mended atomic.Bool
	good, client := smtptest.Certificate(t, smtptest.Host)
	bad, _ := smtptest.Certificate(t, smtptest.Host)
	s := smtptest.Start(t, smtptest.Config{STARTTLS: true, TLS: &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if mended.Load() {
				return &good.Certificates[0], nil
			}
			return &bad.Certificates[0], nil
		},
	}})
	return outage{s, &mail.Server{Host: smtptest.Host, Port: s.Port()}, mail.PoolConfig{TLS: client}, &mended}
}

func refusedConnection(t *testing.T) outage {
	var mended atomic.Bool
	s := smtptest.Start(t, smtptest.Config{})
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if !mended.Load() {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return outage{s, plain(s), mail.PoolConfig{Dial: dial}, &mended}
}

func senderRefused(t *testing.T) outage {
	var mended atomic.Bool
	s := smtptest.Start(t, smtptest.Config{Script: until(&mended, "MAIL", reply("550 5.7.1 Not your sender"))})
	return outage{s, plain(s), mail.PoolConfig{}, &mended}
}

var outages = []struct {
	name   string
	make   func(*testing.T) outage
	reason string
}{
	{"wrong login", wrongLogin, "535 5.7.8 Wrong user name or password"},
	{"STARTTLS stripped", strippedSTARTTLS, "STARTTLS"},
	{"bad certificate", badCertificate, "certificate"},
	{"connection refused", refusedConnection, "connection refused"},
	{"sender refused", senderRefused, "550 5.7.1 Not your sender"},
}

// TestOutagePausesAll: while no mail can be sent at all, every invitation
// waits, the reason is shown, no recipient is charged with it, and sending
// resumes by itself once the server works again.
func TestOutagePausesAll(t *testing.T) {
	t.Parallel()
	for _, c := range outages {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, s := newTestEnv(t), c.make(t)
			o := newMailEnv(h, post{server: s.address, pool: s.pool}).open()
			i := h.invite(3)
			for pause := 5 * time.Second; pause <= 40*time.Second; pause *= 2 {
				if n := o.round(); n == 0 {
					t.Fatal("nothing was tried")
				}
				h.wantPause(c.reason, pause)
				if n := o.round(); n != 0 {
					t.Fatalf("%d dispatched during a pause", n)
				}
				h.later(pause)
			}
			for _, i := range h.invitations() {
				if i.Status != "pending" || i.Attempts != 0 || i.Claimed || !i.Due {
					t.Errorf("an outage was put down to a recipient: %+v", i)
				}
			}
			s.mended.Store(true)
			if n := o.round(); n != 1 {
				t.Fatalf("%d dispatched to see whether the server is back, want 1", n)
			}
			if n := o.round(); n != 2 {
				t.Fatalf("%d dispatched once the server is back, want the other 2", n)
			}
			if m := h.paused(); m.PausedUntil != nil || m.Reason != "" {
				t.Errorf("still paused: %+v", m)
			}
			h.settled(i.ID, roster.InvitationCounts{Sent: 3})
		})
	}
}

// TestChangedSettingsEndPause: changed settings are tried at once.
func TestChangedSettingsEndPause(t *testing.T) {
	t.Parallel()
	for _, c := range outages {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, s := newTestEnv(t), c.make(t)
			o := newMailEnv(h, post{server: s.address, pool: s.pool}).open()
			elsewhere := newMailEnv(h, post{server: s.address, pool: s.pool}).open() // knows the old settings, too
			i := h.invite(3)
			o.round()
			h.later(5 * time.Second)
			elsewhere.round()
			h.wantPause(c.reason, 10*time.Second)

			s.mended.Store(c.name == "connection refused") // the fault is in how we dial
			good := smtptest.Start(t, smtptest.Config{})
			h.configure(storage.EmailSettings{Host: smtptest.Host, Port: good.Port(), Security: "none", From: "hr@rollcall.example"})
			if n := elsewhere.round(); n != 3 {
				t.Fatalf("%d dispatched after the settings were fixed, want 3", n)
			}
			for _, m := range good.Mails() {
				if m.From != "hr@rollcall.example" {
					t.Errorf("from %s", m.From)
				}
			}
			if good.Accepted() != 3 {
				t.Errorf("%d mails at the new server, want 3", good.Accepted())
			}
			h.settled(i.ID, roster.InvitationCounts{Sent: 3})
		})
	}
}

// TestSettingsKeepToTheirAddresses: the allowed addresses apply to a server
// from the stored settings, not to one from the environment.
func TestSettingsKeepToTheirAddresses(t *testing.T) {
	t.Parallel()
	h, s := newTestEnv(t), smtptest.Start(t, smtptest.Config{})
	free := mail.Server{Host: smtptest.Host, Port: s.Port(), Security: mail.None}
	h.configure(storage.EmailSettings{Host: "localhost", Port: s.Port(), Security: "none"})
	newMailEnv(h, post{server: &free, within: new(egress.Addresses)}).open().wantBarred(s)

	h = newTestEnv(t)
	o := newMailEnv(h, post{server: &free, within: new(egress.Addresses)}).open()
	i := h.invite(1)
	o.round()
	h.settled(i.ID, roster.InvitationCounts{Sent: 1})
}

// TestStoredServerMustEncrypt: a server stored before ROLLCALL_REQUIRE_TLS was
// set gets no unencrypted mail; the invitation stays pending until the settings
// are fixed.
func TestStoredServerMustEncrypt(t *testing.T) {
	t.Parallel()
	h, s := newTestEnv(t), smtptest.Start(t, smtptest.Config{})
	allowed, err := egress.ParseAddresses("0.0.0.0,127.0.0.1,::1") // 0.0.0.0 leads here, too, and is no address of loopback
	if err != nil {
		t.Fatal(err)
	}
	encrypted := allowed.OnlyEncrypted()
	h.configure(storage.EmailSettings{Host: "0.0.0.0", Port: s.Port(), Security: "none"})
	o := newMailEnv(h, post{within: &encrypted}).open()
	i := h.invite(1)
	o.round()
	h.settled(i.ID, roster.InvitationCounts{Pending: 1})
	if n := s.Connections(); n != 0 {
		t.Errorf("%d connections in clear", n)
	}
	h.configure(storage.EmailSettings{Host: "localhost", Port: s.Port(), Security: "none"})
	h.later(2 * time.Hour)
	o.round()
	h.settled(i.ID, roster.InvitationCounts{Sent: 1})
}

// wantBarred fails the test unless sending pauses without connecting.
func (o *mailEnv) wantBarred(s *smtptest.Server) {
	o.Helper()
	o.invite(1)
	o.round()
	o.wantPause("address not allowed", 5*time.Second)
	if n := s.Connections(); n != 0 {
		o.Errorf("%d connections to a barred address", n)
	}
}

func (h *testEnv) configure(e storage.EmailSettings) {
	h.Helper()
	if err := h.store.SetEmailSettings(h.Context(), e, tester); err != nil {
		h.Fatal(err)
	}
}

// wantPause fails the test unless mail pauses for that reason and long.
func (h *testEnv) wantPause(reason string, long time.Duration) {
	h.Helper()
	m := h.paused()
	now, err := h.store.Now(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	if m.PausedUntil == nil || !strings.Contains(m.Reason, reason) {
		h.Fatalf("mail is paused until %v because %q, want %q", m.PausedUntil, m.Reason, reason)
	}
	if left := m.PausedUntil.Sub(now); left > long || left < long-4*time.Second {
		h.Fatalf("mail is paused for %s, want %s", left, long)
	}
}

// TestNoMailServer: invitations wait and show the reason, and are sent soon
// after a worker with a server has started, however long that took.
func TestNoMailServer(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	without := newMailEnv(h, post{}).open()
	i := h.invite(2)
	for range 8 {
		without.round()
		h.wantPause("no mail server is configured", 5*time.Second)
		h.later(5 * time.Second)
	}
	h.settled(i.ID, roster.InvitationCounts{Pending: 2})
	server := smtptest.Start(t, smtptest.Config{})
	with := newMailEnv(h, post{server: plain(server)}).open()
	for with.round() > 0 {
	}
	h.settled(i.ID, roster.InvitationCounts{Sent: 2})
}

// TestUnusableSettings: settings that cannot be used are shown as the reason;
// the previous server gets no more mail.
func TestUnusableSettings(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]storage.EmailSettings{
		"password sealed by a lost secret": {Host: smtptest.Host, Port: 25, Security: "starttls", User: "u", SealedPassword: "v1.abc"},
		"password in clear":                {Host: "mail.example.com", Port: 25, Security: "none", User: "u"},
		"unknown security":                 {Host: "mail.example.com", Port: 25, Security: "perhaps"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			server := smtptest.Start(t, smtptest.Config{})
			o := newMailEnv(h, post{server: plain(server)}).open()
			i := h.invite(1)
			o.round()
			h.settled(i.ID, roster.InvitationCounts{Sent: 1})
			h.resend(h.invitations()[0].User)
			h.configure(bad)
			for range 3 {
				if n := o.round(); n != 1 {
					t.Fatalf("%d tried, want 1", n)
				}
				h.wantPause("", 5*time.Second)
				if h.paused().Reason == "" {
					t.Fatal("no reason is shown")
				}
				h.later(5 * time.Second)
			}
			if server.Accepted() != 1 {
				t.Fatal("sent through the server of the settings before")
			}
			h.configure(storage.EmailSettings{Host: smtptest.Host, Port: server.Port(), Security: "none"})
			o.round()
			h.settled(i.ID, roster.InvitationCounts{Sent: 1})
		})
	}
}

func (h *testEnv) resend(user uuid.UUID) {
	h.Helper()
	if err := h.store.ResendInvitation(h.Context(), user, tester); err != nil {
		h.Fatal(err)
	}
}
