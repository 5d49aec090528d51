package jobs_test

import (
	"context"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/jobs/bounces"
	"rollcall/jobs/invitations"
	"rollcall/mail/bounce"
	"rollcall/roster"
	"rollcall/test/smtptest"
)

// returned is a delivery status notification without a hint to its recipient.
const returned = "From: MAILER-DAEMON@mx.example\r\nTo: undisclosed\r\nSubject: Undelivered Mail Returned to Sender\r\n" +
	"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n" +
	"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: failed\r\n" +
	"Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n--b--\r\n"

// newBounceEnv is a mailEnv whose mails are marked, and a listener that returned mail
// is sent to.
func newBounceEnv(h *testEnv, server *smtptest.Server) (*mailEnv, *bounces.Listener) {
	h.Helper()
	tracking := &bounce.Tracking{Address: "bounces@mail.rollcall.example"}
	o := newMailEnv(h, post{server: plain(server), Config: invitations.Config{Tracking: tracking}}).open()
	tracking.Token = o.signer.BounceToken
	l, err := bounces.Listen("127.0.0.1:0", "mail.rollcall.example", bounces.NewRecorder(h.store, o.signer, h.meter.Bounces), quiet())
	if err != nil {
		h.Fatal(err)
	}
	o.background(l.Run)
	return o, l
}

// deliver sends a mail as a mail server does.
func deliver(t *testing.T, l *bounces.Listener, content string, to ...string) error {
	t.Helper()
	c, err := smtp.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail(""); err != nil {
		return err
	}
	for _, each := range to {
		if err := c.Rcpt(each); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(content)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// code fails the test unless the server answered with this code.
func code(t *testing.T, doing string, err error, want int) {
	t.Helper()
	answer, ok := err.(*textproto.Error)
	if want == 250 && err != nil || want != 250 && (!ok || answer.Code != want) {
		t.Errorf("%s: %v, want %d", doing, err, want)
	}
}

func (h *testEnv) status(id uuid.UUID) roster.Invitation {
	h.Helper()
	u, err := h.store.User(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	return *u.Invitation
}

// TestReturnedMailOverSMTP: each mail has an envelope sender of its own; what comes
// back to it makes that invitation bounced, and no other.
func TestReturnedMailOverSMTP(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{})
	o, l := newBounceEnv(h, server)
	i := h.invite(3)
	o.round()
	senders := map[uuid.UUID]string{}
	for _, m := range server.Mails() {
		local, domain, _ := strings.Cut(m.From, "@")
		token := strings.TrimPrefix(local, "bounces+")
		id, generation, ok := o.signer.ParseBounceToken(token)
		if !ok || generation != 1 || domain != "mail.rollcall.example" || len(local) > 64 || strings.Contains(m.From, "someone") {
			t.Fatalf("envelope sender %s", m.From)
		}
		senders[id] = m.From
		for header, want := range map[string]string{"From": `.*<no-reply@rollcall\.example>`, bounce.TokenHeader: token, "Message-ID": "<" + id.String() + `\.1@rollcall\.example>`} {
			if !regexp.MustCompile(`(?mi)^` + header + `: ` + want + "\r$").MatchString(m.Data) {
				t.Errorf("no header %s: %s in\n%s", header, want, m.Data)
			}
		}
	}
	people := h.invitations()
	first, second, third := people[0].User, people[1].User, people[2].User
	h.accept(third)
	forged := strings.Replace(senders[first], "+", "+a", 1)
	for to, want := range map[string]int{
		"someone@elsewhere.example": 550, "bounces@mail.rollcall.example": 550, forged: 550, forged[:20] + forged[21:]: 550,
		strings.ToUpper(senders[first]): 250, senders[third]: 250,
	} {
		code(t, to, deliver(t, l, returned, to), want)
	}
	code(t, "the same once more", deliver(t, l, returned, senders[first]), 250)
	code(t, "an absence notice", deliver(t, l, "From: a@b.example\r\nSubject: Away\r\n\r\nBack on Monday.\r\n", senders[second]), 250)
	code(t, "no mail", deliver(t, l, "\x00\r\n", senders[second]), 250)
	if s := h.status(first); s.Status != roster.InvitationBounced || s.LastError != "550 5.1.1 User unknown" {
		t.Errorf("%+v", s)
	}
	h.settled(i.ID, roster.InvitationCounts{Sent: 1, Accepted: 1, Bounced: 1})
	if got := h.reports("bounced"); got != 1 {
		t.Errorf("%v counted as bounced", got)
	}
	code(t, "two at once", deliver(t, l, strings.ReplaceAll(returned, "5.1.1", "4.2.2"), senders[second], senders[third]), 250)
	if s := h.status(second); s.Status != roster.InvitationSent || !strings.Contains(s.LastError, "4.2.2") {
		t.Errorf("a temporary failure: %+v", s)
	}
	h.settled(i.ID, roster.InvitationCounts{Sent: 1, Accepted: 1, Bounced: 1})
}

// TestReturnedMailHasToWait: the mail server is told to try again while the outcome of
// sending is not recorded, and while the database is away.
func TestReturnedMailHasToWait(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	var once sync.Once
	var early error
	var l *bounces.Listener
	server := smtptest.Start(t, smtptest.Config{Took: func(m smtptest.Mail) { // before it is recorded
		once.Do(func() { early = deliver(t, l, returned, m.From) })
	}})
	var o *mailEnv
	o, l = newBounceEnv(h, server)
	i := h.invite(1)
	o.round()
	code(t, "a bounce ahead of the outcome", early, 451)
	h.settled(i.ID, roster.InvitationCounts{Sent: 1})
	sender := "bounces+" + o.signer.BounceToken(h.invitations()[0].User, 1) + "@mail.rollcall.example"
	h.store.Close()
	code(t, "without a database", deliver(t, l, returned, sender), 451)
}

// TestListenerIsBounded: by size, recipients and connections; it relays nothing and
// lets no one sign in.
func TestListenerIsBounded(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	o, l := newBounceEnv(h, smtptest.Start(t, smtptest.Config{}))
	sender := "bounces+" + o.signer.BounceToken(uuid.New(), 1) + "@mail.rollcall.example"
	code(t, "of an unknown user", deliver(t, l, returned, sender), 250)
	code(t, "too large", deliver(t, l, returned+strings.Repeat(strings.Repeat("a", 100)+"\r\n", 12_000), sender), 552)
	var many []string
	for range 21 {
		many = append(many, sender)
	}
	code(t, "too many recipients", deliver(t, l, returned, many...), 452)
	c, err := smtp.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ok, _ := c.Extension("AUTH"); ok {
		t.Error("offers to sign in")
	}
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			conn.Close()
		}
	}()
	greeting := func() string {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		line := make([]byte, 3)
		if _, err := conn.Read(line); err != nil {
			t.Fatal(err)
		}
		return string(line)
	}
	for n := 0; greeting() == "220"; n++ {
		if n > 16 {
			t.Fatal("one address has any number of connections")
		}
	}
	open[0].Close()
	for end := time.Now().Add(5 * time.Second); greeting() != "220"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a closed connection does not make room")
		}
	}
}

// TestListenerEndsWithTheWorker: connections that do nothing do not hold it up.
func TestListenerEndsWithTheWorker(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	o := newMailEnv(h, post{})
	l, err := bounces.Listen("127.0.0.1:0", "mail.rollcall.example", bounces.NewRecorder(h.store, o.signer, h.meter.Bounces), quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	c, err := smtp.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stop()
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Fatal("goes on")
	}
	if err := c.Noop(); err == nil {
		t.Error("the connection is still open")
	}
}

// TestProvidersRepeatTheToken: each provider has a header of its own for it.
func TestProvidersRepeatTheToken(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{})
	tracking := &bounce.Tracking{SendGrid: true, Postmark: true}
	o := newMailEnv(h, post{server: plain(server), Config: invitations.Config{Tracking: tracking}}).open()
	tracking.Token = o.signer.BounceToken
	h.invite(1)
	o.round()
	m, token := server.Mails()[0], o.signer.BounceToken(h.invitations()[0].User, 1)
	if m.From != sender {
		t.Errorf("envelope sender %s", m.From)
	}
	unfolded := strings.ReplaceAll(m.Data, "\r\n ", " ")
	for _, want := range []string{fmt.Sprintf(`{"unique_args": {"rollcall_token": %q}}`, token), "X-PM-Metadata-rollcall_token: " + token} {
		if !strings.Contains(unfolded, want) {
			t.Errorf("no %s in\n%s", want, m.Data)
		}
	}
}

// accept sets the password of an invited person.
func (h *testEnv) accept(id uuid.UUID) {
	h.Helper()
	if err := h.store.AcceptInvitation(h.Context(), id, 1, "hash", ""); err != nil {
		h.Fatal(err)
	}
}

// reports is the counter of reports with a result.
func (h *testEnv) reports(result string) float64 {
	h.Helper()
	families, err := h.counted.Gather()
	if err != nil {
		h.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "rollcall_bounces_total" && m.GetLabel()[0].GetValue() == result {
				return m.GetCounter().GetValue()
			}
		}
	}
	return -1
}
