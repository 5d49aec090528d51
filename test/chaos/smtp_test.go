//go:build unix

package chaos_test

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/test/proxytest"
	"rollcall/test/smtptest"
)

// The faults of the mail server.
const (
	fine     = ""
	down     = "down"
	slow     = "slow"
	later    = "451 then 250"
	nobody   = "550 at RCPT"
	badLogin = "535 at login"
	stripped = "TLS stripped"
	forged   = "bad certificate"
	lost     = "dropped after DATA"
)

// smtpFaults is a mail server with STARTTLS and a sign-in that misbehaves on
// demand.
type smtpFaults struct {
	*testEnv
	way     *proxytest.Proxy // in front of it
	answer  time.Duration    // delay of each answer while it is slow
	inClear atomic.Bool      // a sign-in was seen unencrypted

	mu    sync.Mutex
	fault string
	met   map[string]bool // RCPT lines that were deferred
}

func newMailTrouble(t *testing.T, answer time.Duration) *smtpFaults {
	t.Helper()
	m := &smtpFaults{answer: answer, met: map[string]bool{}}
	good, _ := smtptest.Certificate(t, smtptest.Host)
	bad, _ := smtptest.Certificate(t, smtptest.Host) // no client trusts it
	shown := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if m.is(forged) {
			return bad, nil
		}
		return good, nil
	}}
	trusted := filepath.Join(t.TempDir(), "trusted.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: good.Certificates[0].Certificate[0]}
	if err := os.WriteFile(trusted, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	m.testEnv = newTestEnv(t, envOptions{
		SMTP: smtptest.Config{STARTTLS: true, Auth: "PLAIN", TLS: shown, Script: m.script},
		Env:  []string{"SSL_CERT_FILE=" + trusted},
	})
	m.way = proxytest.Start(t, "tcp", fmt.Sprintf("127.0.0.1:%d", m.post.Port()))
	m.way.Filter(func(said []byte) proxytest.Action {
		if bytes.Contains(said, []byte("AUTH PLAIN")) {
			m.inClear.Store(true)
		}
		return proxytest.Pass
	})
	_, port, err := net.SplitHostPort(m.way.Address())
	if err != nil {
		t.Fatal(err)
	}
	password := strings.ReplaceAll(smtptest.Password, " ", "%20")
	m.env = append(m.env, "SMTP_URL=smtp://"+smtptest.User+":"+password+"@"+smtptest.Host+":"+port+"?tls=starttls")
	return m
}

// script answers according to the current fault.
func (m *smtpFaults) script(e *smtptest.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.fault == slow:
		answer := make(chan struct{})
		e.Hold = answer
		time.AfterFunc(m.answer, func() { close(answer) })
	case m.fault == later && e.Verb == "RCPT" && !m.met[e.Line]:
		m.met[e.Line] = true
		e.Reply = "451 4.7.1 Greylisted"
	case m.fault == nobody && e.Verb == "RCPT":
		e.Reply = "550 5.1.1 Nobody of that name"
	case m.fault == badLogin && e.Verb == "AUTH":
		e.Reply = "535 5.7.8 Wrong user name or password"
	case m.fault == stripped && e.Verb == "EHLO":
		e.Reply = strings.ReplaceAll(e.Reply, "\nSTARTTLS", "")
	case m.fault == lost && e.Verb == ".":
		e.Drop = true
	}
}

func (m *smtpFaults) is(fault string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fault == fault
}

// turn switches to a fault from now on, for new connections.
func (m *smtpFaults) turn(fault string) {
	m.mu.Lock()
	m.fault = fault
	m.mu.Unlock()
	m.way.Refuse(fault == down)
	m.way.Cut()
}

// invite imports people to be invited while the mail server misbehaves, and
// next to them some who are not: those must not be affected.
func (m *smtpFaults) invite(fault string, n int) (id string) {
	m.Helper()
	name := strings.ReplaceAll(strings.ToLower(fault), " ", "-")
	var invited, others strings.Builder
	invited.WriteString("email,name\n")
	others.WriteString("email,name\n")
	for k := range n {
		fmt.Fprintf(&invited, "%s%d@example.com,Person\n", name, k)
		fmt.Fprintf(&others, "%s%d@example.org,Person\n", name, k)
	}
	id = m.upload(invited.String())
	for _, i := range []string{id, m.upload(others.String(), "send_invitations", "false")} {
		if done := m.until(i, 20*time.Second, ended); done.Status != "completed" || done.Imported != int64(n) {
			m.Errorf("%s: an import: %+v", fault, done)
		}
	}
	return id
}

// these counts the invitations of an import for which the condition so is true.
func (m *smtpFaults) these(id, so string) int {
	m.Helper()
	return one[int](m.testEnv, `SELECT count(*) FROM invitations WHERE import_id = $1 AND `+so, id)
}

// paused waits until sending pauses for the n-th time in a row, and returns for
// how long and why.
func (m *smtpFaults) paused(n int) (left time.Duration, why string) {
	m.Helper()
	m.eventually(20*time.Second, "sending pauses", func() bool {
		return one[bool](m.testEnv, `SELECT pauses >= $1 AND paused_until > now() FROM mail_state`, n)
	})
	seconds := one[float64](m.testEnv, `SELECT extract(epoch FROM paused_until - now()) FROM mail_state`)
	return time.Duration(seconds * float64(time.Second)), one[string](m.testEnv, `SELECT pause_reason FROM mail_state`)
}

// pass makes the time of the pause pass.
func (m *smtpFaults) pass() {
	m.Helper()
	m.exec(`UPDATE mail_state SET paused_until = now() WHERE pauses > 0`)
}

// sent waits until everyone in an import was sent a mail. It also ends pauses:
// one may still have started when the fault was over.
func (m *smtpFaults) sent(fault, id string, n int, within time.Duration) {
	m.Helper()
	m.eventually(within, fault+": all mail is out", func() bool {
		m.pass()
		return m.these(id, `status = 'sent'`) == n
	})
	if i := m.until(id, within, mailed); i.Invitations.Sent != int64(n) || i.Invitations.Failed != 0 {
		m.Errorf("%s: %+v, want %d sent", fault, i.Invitations, n)
	}
}

// TestMailServer: every fault that a mail server may have, in turn.
func TestMailServer(t *testing.T) {
	parallel(t)
	each, n := 200*time.Millisecond, sized(3, 50)
	if full {
		each = 30 * time.Second
	}
	m := newMailTrouble(t, each)
	m.startAPI()
	m.startWorker()

	// Faults that stop all sending: no recipient loses an attempt.
	outage, pauses := time.Duration(0), 0
	for _, f := range []struct{ fault, reason string }{
		{badLogin, "535"}, {stripped, "STARTTLS"}, {forged, "certificate"}, {down, ""},
	} {
		m.turn(f.fault)
		id := m.invite(f.fault, n)
		left, why := m.paused(1)
		if !strings.Contains(why, f.reason) {
			t.Errorf("%s: the reason shown is %q", f.fault, why)
		}
		if f.fault == down {
			// An hour: each pause is cut short, and counted as if it had not been.
			for outage, pauses = left, 1; outage < time.Duration(sized(60, 3600))*time.Second; outage += left {
				m.pass()
				pauses++
				left, _ = m.paused(pauses)
			}
		}
		m.eventually(10*time.Second, f.fault+": nothing is put down to a recipient", func() bool {
			return m.these(id, `status = 'pending' AND attempts = 0 AND ambiguous_sends = 0 AND claimed_until IS NULL`) == n
		})
		m.turn(fine)
		m.sent(f.fault, id, n, time.Minute)
	}
	// Pauses of 5 seconds, doubling to 5 minutes.
	if full && (pauses < 15 || pauses > 25) {
		t.Errorf("the server was asked %d times in an hour", pauses)
	}

	m.turn(later)
	id := m.invite(later, n)
	m.eventually(20*time.Second, "all are put off", func() bool { return m.these(id, `attempts = 1 AND last_error LIKE '451%' AND due_at > now()`) == n })
	m.exec(`UPDATE invitations SET due_at = now() WHERE import_id = $1`, id)
	m.sent(later, id, n, time.Minute)

	m.turn(nobody)
	id = m.invite(nobody, n)
	m.until(id, 20*time.Second, mailed)
	if refused := m.these(id, `status = 'failed' AND last_error = '550 5.1.1 Nobody of that name'`); refused != n {
		t.Errorf("%d of %d failed with the server's words", refused, n)
	}

	m.turn(lost)
	id = m.invite(lost, n)
	m.eventually(20*time.Second, "all are in doubt", func() bool { return m.these(id, `ambiguous_sends = 1 AND claimed_until IS NULL`) == n })
	m.turn(fine)
	m.exec(`UPDATE invitations SET due_at = now() WHERE import_id = $1`, id)
	m.sent(lost, id, n, time.Minute)

	m.turn(slow)
	began := time.Now()
	m.sent(slow, m.invite(slow, 3), 3, 9*time.Minute)
	took := time.Since(began)

	d := m.post.delivered()
	if want := 6*n + 3; d.People != want || d.Duplicates != n || d.Strangers != 0 {
		t.Errorf("%+v, want %d people, and %d mails twice under the same Message-ID: those in doubt", d, want, n)
	}
	if m.inClear.Load() {
		t.Error("a sign-in crossed the line in clear")
	}
	m.consistent()
	m.figures("people a fault", n, "time the server was down", outage, "pauses in it", pauses,
		"an answer of the slow server took", each, "its 3 mails took", took, "mails", d.Mails, "duplicates", d.Duplicates, "sign-ins in clear", 0)
}
