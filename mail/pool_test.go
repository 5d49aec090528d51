package mail_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/mail"
	"rollcall/test/smtptest"
)

func mustSend(tb testing.TB, pool *mail.Pool) {
	tb.Helper()
	if err := pool.Send(tb.Context(), message()); err != nil {
		tb.Fatal(err)
	}
}

func TestPoolKeepsConnectionsOpen(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{})
	pool := newPool(t, plain(server), mail.PoolConfig{Size: 1, MaxMessages: 3, Hello: "rollcall.example"})
	for range 4 {
		mustSend(t, pool)
	}
	if server.Connections() != 2 || server.Accepted() != 4 {
		t.Errorf("%d connections, %d mails; want 2 and 4", server.Connections(), server.Accepted())
	}
	transaction := []string{"MAIL FROM:<no-reply@example.com>", "RCPT TO:<ada@example.org>", "DATA"}
	want := slices.Concat([]string{"EHLO rollcall.example"}, transaction, transaction, transaction,
		[]string{"QUIT", "EHLO rollcall.example"}, transaction)
	if got := server.Lines(); !slices.Equal(got, want) {
		t.Errorf("commands:\n%s", strings.Join(got, "\n"))
	}
}

func TestPoolKeepsConnectionAfterRefusal(t *testing.T) {
	t.Parallel()
	refuse := func(verb, line string) func(*smtptest.Event) {
		return func(e *smtptest.Event) {
			if e.Verb == verb && e.Count == 1 {
				e.Reply = line
			}
		}
	}
	tests := map[string]struct {
		script      func(*smtptest.Event)
		connections int
		resets      int
	}{
		"recipient": {refuse("RCPT", "550 5.1.1 No"), 1, 1},
		"sender":    {refuse("MAIL", "451 4.7.1 Later"), 1, 1},
		"DATA":      {refuse("DATA", "451 4.7.1 Later"), 1, 1},
		"content":   {refuse(".", "554 5.7.1 No"), 1, 0},
		"closing":   {refuse("RCPT", "421 4.3.2 Closing"), 2, 0},
		"RSET refused": {func(e *smtptest.Event) {
			refuse("RCPT", "550 5.1.1 No")(e)
			refuse("RSET", "500 5.5.1 What?")(e)
		}, 2, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, smtptest.Config{Script: test.script})
			pool := newPool(t, plain(server), mail.PoolConfig{Size: 1})
			failureOf(t, pool.Send(t.Context(), message()))
			mustSend(t, pool)
			resets := 0
			for _, line := range server.Lines() {
				if line == "RSET" {
					resets++
				}
			}
			if server.Connections() != test.connections || resets != test.resets || server.Accepted() != 1 {
				t.Errorf("%d connections, %d RSET, %d mails; want %d, %d, 1",
					server.Connections(), resets, server.Accepted(), test.connections, test.resets)
			}
		})
	}
}

func TestPoolReplacesStaleConnectionOnce(t *testing.T) {
	t.Parallel()
	second := func(verb string, do func(*smtptest.Event)) func(*smtptest.Event) {
		return func(e *smtptest.Event) {
			if e.Verb == verb && e.Count == 2 {
				do(e)
			}
		}
	}
	cut := func(e *smtptest.Event) { e.Drop = true }
	tests := map[string]struct {
		script      func(*smtptest.Event)
		dropIdle    bool
		connections int
		accepted    int
		class       mail.Class // 0: the second mail is sent
	}{
		"closed while idle":        {dropIdle: true, connections: 2, accepted: 2},
		"closed at MAIL":           {script: second("MAIL", cut), connections: 2, accepted: 2},
		"closed at RCPT":           {script: second("RCPT", cut), connections: 2, accepted: 2},
		"closed at DATA":           {script: second("DATA", cut), connections: 2, accepted: 2},
		"closed after the content": {script: second(".", cut), connections: 1, accepted: 2, class: mail.Unknown},
		"421 for having been idle": {
			script: second("MAIL", func(e *smtptest.Event) {
				e.Reply, e.Drop, e.After = "421 4.4.2 Idle for too long", true, true
			}),
			connections: 2, accepted: 2},
		"fresh one closed too": {
			script:      func(e *smtptest.Event) { e.Drop = e.Verb == "MAIL" && e.Count > 1 },
			connections: 2, accepted: 1, class: mail.ServerDown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, smtptest.Config{Script: test.script})
			pool := newPool(t, plain(server), mail.PoolConfig{Size: 1})
			mustSend(t, pool)
			if test.dropIdle {
				server.DropAll()
			}
			err := pool.Send(t.Context(), message())
			if test.class == 0 && err != nil {
				t.Errorf("second mail: %v", err)
			}
			if test.class != 0 && failureOf(t, err).Class != test.class {
				t.Errorf("second mail: %v, want class %v", err, test.class)
			}
			if server.Connections() != test.connections || server.Accepted() != test.accepted {
				t.Errorf("%d connections, %d mails; want %d, %d",
					server.Connections(), server.Accepted(), test.connections, test.accepted)
			}
		})
	}
}

// A stale connection is replaced by a fresh one, not by another idle one that
// is probably stale too.
func TestPoolDoesNotRetryOnAnotherIdleConnection(t *testing.T) {
	t.Parallel()
	both := make(chan struct{})
	server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		if e.Verb == "RCPT" && e.Count <= 2 {
			e.Hold = both
			if e.Count == 2 {
				close(both)
			}
		}
	}})
	pool := newPool(t, plain(server), mail.PoolConfig{Size: 2})
	var senders sync.WaitGroup
	for range 2 {
		senders.Go(func() {
			if err := pool.Send(t.Context(), message()); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	server.DropAll()
	mustSend(t, pool)
	if server.Connections() != 3 || server.Accepted() != 3 {
		t.Errorf("%d connections, %d mails; want 3 and 3", server.Connections(), server.Accepted())
	}
}

func TestPoolBoundsConcurrency(t *testing.T) {
	t.Parallel()
	const size, mails = 3, 50
	server := smtptest.Start(t, smtptest.Config{})
	pool := newPool(t, plain(server), mail.PoolConfig{Size: size})
	var senders sync.WaitGroup
	for range mails {
		senders.Go(func() {
			if err := pool.Send(t.Context(), message()); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	if n := server.Connections(); n > size || server.Accepted() != mails {
		t.Errorf("%d connections, %d mails; want at most %d, and %d", n, server.Accepted(), size, mails)
	}
}

// pipe makes a pool that reaches server without sockets, for use with synthetic
// time.
func pipe(t *testing.T, server *smtptest.Server, config mail.PoolConfig) *mail.Pool {
	config.Dial = func(context.Context, string, string) (net.Conn, error) { return server.Pipe(), nil }
	return newPool(t, mail.Server{Host: smtptest.Host, Security: mail.None}, config)
}

func TestPoolClosesIdleConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := smtptest.StartPipe(t, smtptest.Config{})
		pool := pipe(t, server, mail.PoolConfig{Size: 2, IdleTimeout: 30 * time.Second})
		mustSend(t, pool)
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if server.Open() != 1 {
			t.Error("closed too early")
		}
		mustSend(t, pool)
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if server.Open() != 1 {
			t.Error("the second mail did not count as use")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if server.Open() != 0 {
			t.Error("still open after 31 s without use")
		}
		if lines := server.Lines(); lines[len(lines)-1] != "QUIT" {
			t.Errorf("closed without QUIT: %q", lines)
		}
		mustSend(t, pool)
		if server.Connections() != 2 {
			t.Errorf("%d connections, want 2", server.Connections())
		}
	})
}

func TestDefaultTimeouts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		verb string
		want time.Duration
	}{
		"greeting":       {"CONNECT", 60 * time.Second},
		"command":        {"RCPT", 60 * time.Second},
		"end of content": {".", 60 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := smtptest.StartPipe(t, smtptest.Config{Script: silent(test.verb)})
				pool := pipe(t, server, mail.PoolConfig{})
				start := time.Now()
				failureOf(t, pool.Send(t.Context(), message()))
				if got := time.Since(start); got != test.want {
					t.Errorf("gave up after %v, want %v", got, test.want)
				}
			})
		})
	}
}
