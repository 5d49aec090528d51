package mail_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/smtptest"
	"rollcall/mail"
)

// pipelined is a server that takes several commands at once.
func pipelined(t *testing.T, script func(*smtptest.Event)) *smtptest.Server {
	t.Helper()
	return smtptest.Start(t, smtptest.Config{Extensions: []string{"PIPELINING"}, Script: script})
}

// composed are mails to person1@example.org and so on.
func composed(t *testing.T, n int) []mail.Composed {
	t.Helper()
	var mails []mail.Composed
	for i := range n {
		m := message()
		m.To = fmt.Sprintf("person%d@example.org", i+1)
		c, err := m.Compose()
		if err != nil {
			t.Fatal(err)
		}
		mails = append(mails, c)
	}
	return mails
}

// deliver delivers mails by s, each with the one after it in sight.
func deliver(ctx context.Context, s *mail.Sequence, mails ...mail.Composed) (errs []error) {
	for i, m := range mails {
		errs = append(errs, s.Deliver(ctx, m, mail.Handling{Next: func() (mail.Composed, bool) {
			if i+1 == len(mails) {
				return mail.Composed{}, false
			}
			return mails[i+1], true
		}}))
	}
	return errs
}

// counted counts what is written to a connection, and ends it after so many bytes
// of one write.
type counted struct {
	net.Conn
	writes *atomic.Int32
	fail   func(write int32, p []byte) (most int, fails bool) // nil: never
}

func (c *counted) Write(p []byte) (int, error) {
	n := c.writes.Add(1)
	if c.fail != nil {
		if most, fails := c.fail(n, p); fails {
			written, _ := c.Conn.Write(p[:most])
			_ = c.Close()
			return written, errors.New("the line ends")
		}
	}
	return c.Conn.Write(p)
}

// dialCounted opens connections that are counted.
func dialCounted(c counted) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := new(net.Dialer).DialContext(ctx, network, address)
		c := c
		c.Conn = raw
		return &c, err
	}
}

// TestSequenceTakesOneRoundTripAMail: the server is asked for the next mail in the
// write that ends the last, up to the last of a connection; one that takes no
// commands together is asked for each.
func TestSequenceTakesOneRoundTripAMail(t *testing.T) {
	t.Parallel()
	const mails = 5
	for name, test := range map[string]struct {
		extensions          []string
		most                int
		writes, connections int
	}{
		"together":           {[]string{"PIPELINING"}, 0, 1 + 1 + mails, 1},
		"three a connection": {[]string{"PIPELINING"}, 3, 2*(1+1) + mails + 1, 2}, // and a QUIT
		"one at a time":      {nil, 0, 1 + 4*mails, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, smtptest.Config{Extensions: test.extensions})
			var writes atomic.Int32
			pool := newPool(t, plain(server), mail.PoolConfig{Size: 1, MaxMessages: test.most, Dial: dialCounted(counted{writes: &writes})})
			for _, err := range deliver(t.Context(), pool.Sequence(), composed(t, mails)...) {
				if err != nil {
					t.Error(err)
				}
			}
			if server.Accepted() != mails || server.Connections() != test.connections || int(writes.Load()) != test.writes {
				t.Errorf("%d mails over %d connections with %d writes, want %d over %d with %d",
					server.Accepted(), server.Connections(), writes.Load(), mails, test.connections, test.writes)
			}
			for i, m := range server.Mails() {
				if want := fmt.Sprintf("person%d@example.org", i+1); m.To != want || !strings.HasSuffix(m.Data, "--\r\n") {
					t.Errorf("mail %d went to %s: %q", i, m.To, m.Data)
				}
			}
		})
	}
}

// TestSequenceInTrouble: of three mails the second, which was asked for with the
// first, or the first meets with trouble. Whatever it is, each other mail arrives,
// none twice, and none without its content.
func TestSequenceInTrouble(t *testing.T) {
	t.Parallel()
	first := func(verb, reply string) func(*smtptest.Event) {
		return func(e *smtptest.Event) {
			if e.Verb == verb && e.Count == 1 {
				e.Reply = reply
			}
		}
	}
	second := func(verb string, do func(*smtptest.Event)) func(*smtptest.Event) {
		return func(e *smtptest.Event) {
			if e.Verb == verb && e.Count == 2 {
				do(e)
			}
		}
	}
	says := func(reply string) func(*smtptest.Event) { return func(e *smtptest.Event) { e.Reply = reply } }
	cut := func(e *smtptest.Event) { e.Drop = true }
	for name, test := range map[string]struct {
		script      func(*smtptest.Event)
		classes     [3]mail.Class // 0: sent
		connections int
		taken       string // whose mails, in order
	}{
		"first refused after its content": {first(".", "554 5.7.1 No"), [3]mail.Class{mail.Permanent}, 1, "23"},
		"closing after the first":         {first(".", "421 4.3.2 Closing"), [3]mail.Class{mail.Temporary}, 2, "23"},
		"line ends after the first": {func(e *smtptest.Event) {
			e.Drop = e.Verb == "." && e.Count == 1
		}, [3]mail.Class{mail.Unknown}, 2, "123"},
		"recipient refused": {second("RCPT", says("550 5.1.1 No")), [3]mail.Class{1: mail.Permanent}, 1, "13"},
		"recipient refused, DATA taken": {func(e *smtptest.Event) {
			if e.Verb == "RCPT" && e.Count == 2 {
				e.Reply = "450 4.2.0 Not now"
			}
			if e.Verb == "DATA" && e.Count == 2 {
				e.Reply = "354 Go ahead"
			}
			if e.Verb == "." && e.Connection == 1 && e.Count > 1 {
				t.Error("the transaction was ended by a dot")
			}
		}, [3]mail.Class{1: mail.Temporary}, 2, "13"},
		"sender refused":    {second("MAIL", says("451 4.7.1 Later")), [3]mail.Class{1: mail.Temporary}, 1, "13"},
		"closing at MAIL":   {second("MAIL", says("421 4.3.2 Closing")), [3]mail.Class{}, 2, "123"},
		"line ends at MAIL": {second("MAIL", cut), [3]mail.Class{}, 2, "123"},
		"line ends at RCPT": {second("RCPT", cut), [3]mail.Class{}, 2, "123"},
		"line ends at DATA": {second("DATA", cut), [3]mail.Class{}, 2, "123"},
		"out of place":      {second("MAIL", says("503 5.5.1 Bad sequence of commands")), [3]mail.Class{}, 2, "123"},
		"what follows a content is not heard": {func(e *smtptest.Event) {
			e.Silent = e.Verb == "MAIL" && e.Count == 2
		}, [3]mail.Class{}, 2, "123"},
		"line ends after it": {second(".", cut), [3]mail.Class{1: mail.Unknown}, 2, "123"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pipelined(t, test.script)
			pool := newPool(t, plain(server), mail.PoolConfig{Size: 1, CommandTimeout: 2 * time.Second})
			for i, err := range deliver(t.Context(), pool.Sequence(), composed(t, 3)...) {
				if test.classes[i] == 0 && err != nil {
					t.Errorf("mail %d: %v", i+1, err)
				}
				if test.classes[i] != 0 && failureOf(t, err).Class != test.classes[i] {
					t.Errorf("mail %d: %v, want class %v", i+1, err, test.classes[i])
				}
			}
			taken := ""
			for _, m := range server.Mails() {
				taken += strings.TrimSuffix(strings.TrimPrefix(m.To, "person"), "@example.org")
			}
			if taken != test.taken || server.Connections() != test.connections {
				t.Errorf("%s taken over %d connections, want %s over %d", taken, server.Connections(), test.taken, test.connections)
			}
		})
	}
}

// TestSequenceWithoutTheNext: the mail that the server was asked for does not
// come. Nothing of it is sent, and the connection, whose server waits for it, is
// given up: another one serves the mail that comes instead, if any does.
func TestSequenceWithoutTheNext(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	hurried, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	for name, test := range map[string]struct {
		instead func(s *mail.Sequence, mails []mail.Composed) error
		class   mail.Class // 0: sent
	}{
		"another":         {func(s *mail.Sequence, mails []mail.Composed) error { return deliver(t.Context(), s, mails[2])[0] }, 0},
		"canceled":        {func(s *mail.Sequence, mails []mail.Composed) error { return deliver(over, s, mails[1])[0] }, mail.Canceled},
		"too little time": {func(s *mail.Sequence, mails []mail.Composed) error { return deliver(hurried, s, mails[1])[0] }, mail.Canceled},
		"none":            {func(s *mail.Sequence, mails []mail.Composed) error { s.Forgo(); return nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pipelined(t, nil)
			pool := newPool(t, plain(server), mail.PoolConfig{Size: 1, Room: time.Minute})
			mails := composed(t, 3)
			s := pool.Sequence()
			err := s.Deliver(t.Context(), mails[0], mail.Handling{Next: func() (mail.Composed, bool) { return mails[1], true }})
			if err != nil {
				t.Fatal(err)
			}
			err = test.instead(s, mails)
			if test.class == 0 && err != nil || test.class != 0 && failureOf(t, err).Class != test.class {
				t.Errorf("%v, want class %v", err, test.class)
			}
			mustSend(t, pool) // the place is free
			var taken []string
			for _, m := range server.Mails() {
				taken = append(taken, m.To)
			}
			if slices.Contains(taken, "person2@example.org") || taken[0] != "person1@example.org" || server.Connections() != 2 {
				t.Errorf("%v taken over %d connections", taken, server.Connections())
			}
		})
	}
}

// TestSequenceAsksNoMore: a server that does not bear to be asked for a mail with
// the one before is asked for each by itself from then on.
func TestSequenceAsksNoMore(t *testing.T) {
	t.Parallel()
	server := pipelined(t, func(e *smtptest.Event) {
		if e.Verb == "MAIL" && e.Count == 2 {
			e.Reply = "503 5.5.1 Bad sequence of commands"
		}
	})
	var writes atomic.Int32
	pool := newPool(t, plain(server), mail.PoolConfig{Size: 1, Dial: dialCounted(counted{writes: &writes})})
	const mails = 6
	for i, err := range deliver(t.Context(), pool.Sequence(), composed(t, mails)...) {
		if err != nil {
			t.Errorf("mail %d: %v", i+1, err)
		}
	}
	// EHLO, the first, its content with the second; RSET; EHLO, and two a mail.
	if want := 3 + 1 + 1 + 2*(mails-1); int(writes.Load()) != want || server.Accepted() != mails {
		t.Errorf("%d mails with %d writes, want %d with %d", server.Accepted(), writes.Load(), mails, want)
	}
}

// TestSequencePanics: whoever is asked, in the midst of a mail, whether it may go
// on panics. The connection, whose server waits for a content, serves no other.
func TestSequencePanics(t *testing.T) {
	t.Parallel()
	server := pipelined(t, nil)
	pool := newPool(t, plain(server), mail.PoolConfig{Size: 1})
	mustSend(t, pool)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_ = pool.Sequence().Deliver(t.Context(), composed(t, 1)[0], mail.Handling{Ready: func(context.Context) error { panic("no") }})
	}()
	mustSend(t, pool)
	if server.Accepted() != 2 || server.Connections() != 2 {
		t.Errorf("%d mails over %d connections, want 2 over 2", server.Accepted(), server.Connections())
	}
}

// TestSequenceCutOff: where the line ends before the final dot is out, the mail
// cannot have arrived; from the dot on it can, though what follows is missing.
func TestSequenceCutOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cut   func(written []byte) int
		class mail.Class
	}{
		"nothing":             {func([]byte) int { return 0 }, mail.Temporary},
		"in the content":      {func([]byte) int { return 100 }, mail.Temporary},
		"before the dot":      {func(p []byte) int { return strings.Index(string(p), "\r\n.\r\n") + 2 }, mail.Temporary},
		"after the dot":       {func(p []byte) int { return strings.Index(string(p), "\r\n.\r\n") + 5 }, mail.Unknown},
		"in the next command": {func(p []byte) int { return len(p) - 10 }, mail.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pipelined(t, nil)
			const content = 3 // after EHLO and the first commands
			pool := newPool(t, plain(server), mail.PoolConfig{Size: 1, Dial: dialCounted(counted{
				writes: new(atomic.Int32),
				fail:   func(write int32, p []byte) (int, bool) { return test.cut(p), write == content },
			})})
			errs := deliver(t.Context(), pool.Sequence(), composed(t, 2)...)
			if failure := failureOf(t, errs[0]); failure.Class != test.class {
				t.Errorf("%v, want class %v", failure, test.class)
			}
			if errs[1] != nil {
				t.Errorf("the next: %v", errs[1])
			}
			if mails := server.Mails(); mails[len(mails)-1].To != "person2@example.org" {
				t.Errorf("%d mails", len(mails))
			}
		})
	}
}
