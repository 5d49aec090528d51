package mail_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/mail"
	"rollcall/test/smtptest"
)

// slow answers everything after the time each.
func slow(t *testing.T, each time.Duration, config smtptest.Config) *smtptest.Server {
	t.Helper()
	config.Script = func(e *smtptest.Event) {
		answer := make(chan struct{})
		e.Hold = answer
		time.AfterFunc(each, func() { close(answer) })
	}
	return smtptest.StartPipe(t, config)
}

// slowPool connects to s, with TLS and a sign-in if it offers them.
func slowPool(t *testing.T, s *smtptest.Server, config mail.PoolConfig) *mail.Pool {
	t.Helper()
	if s.ClientTLS() == nil {
		return pipe(t, s, config)
	}
	config.TLS = s.ClientTLS()
	config.Dial = func(context.Context, string, string) (net.Conn, error) { return s.Pipe(), nil }
	return newPool(t, mail.Server{Host: smtptest.Host, User: smtptest.User, Password: smtptest.Password}, config)
}

// TestSendToASlowServer: a server that takes half a minute for every answer, or
// nearly a minute for one, gets its mail; one that takes longer for one answer,
// or too long for all together, counts as unavailable, and no recipient is at
// fault.
func TestSendToASlowServer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		each   time.Duration
		signIn bool
		sent   int
		within time.Duration
	}{
		"30 s an answer":               {30 * time.Second, false, 1, 4 * time.Minute},
		"30 s an answer, with TLS":     {30 * time.Second, true, 1, 5 * time.Minute},
		"59 s an answer":               {59 * time.Second, false, 1, 7 * time.Minute},
		"61 s an answer":               {61 * time.Second, false, 0, time.Minute},
		"59 s an answer, three hellos": {59 * time.Second, true, 0, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				config := smtptest.Config{}
				if test.signIn {
					config = smtptest.Config{STARTTLS: true, Auth: "PLAIN"}
				}
				server := slow(t, test.each, config)
				pool := slowPool(t, server, mail.PoolConfig{})
				began := time.Now()
				err := pool.Send(t.Context(), message())
				if took := time.Since(began); took > test.within {
					t.Errorf("%s, want %s at most", took, test.within)
				}
				if server.Accepted() != test.sent {
					t.Fatalf("%d mails taken, want %d (%v)", server.Accepted(), test.sent, err)
				}
				if test.sent == 1 {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if failure := failureOf(t, err); failure.Class != mail.ServerDown {
					t.Errorf("%v", failure)
				}
			})
		})
	}
}

// TestReadyIsAwaitedBeforeTheContent: the server is asked first and gets the
// content when the message is ready. A message that is never ready, or too
// late, is not sent, and the connection on which the server waits for it is
// closed.
func TestReadyIsAwaitedBeforeTheContent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := slow(t, 0, smtptest.Config{})
		pool := slowPool(t, server, mail.PoolConfig{Size: 1, Room: 130 * time.Second})
		for name, test := range map[string]struct {
			ready func() error
			sent  int
		}{
			"in time":  {func() error { time.Sleep(time.Minute); return nil }, 1},
			"never":    {func() error { return errors.New("never") }, 0},
			"too late": {func() error { time.Sleep(250 * time.Second); return nil }, 0},
		} {
			mustSend(t, pool) // over a connection that is kept open
			ctx, cancel := context.WithTimeout(t.Context(), 270*time.Second)
			asked, taken := len(server.Lines()), server.Accepted()
			times := 0
			m := message()
			m.Ready = func(context.Context) error {
				if lines := server.Lines()[asked:]; len(lines) == 0 || lines[len(lines)-1] != "DATA" {
					t.Errorf("%s: asked for when the server had heard %q", name, lines)
				}
				times++
				return test.ready()
			}
			err := pool.Send(ctx, m)
			cancel()
			if times != 1 {
				t.Errorf("%s: asked %d times", name, times)
			}
			if server.Accepted()-taken != test.sent || test.sent == 1 && err != nil {
				t.Errorf("%s: %v, %d mails taken", name, err, server.Accepted()-taken)
			}
			if test.sent == 0 && failureOf(t, err).Class != mail.Canceled {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestSendLeavesRoom: the time left after a slow sign-in is too short for the
// mail, so it is not started; the connection is kept for the next Send.
func TestSendLeavesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := slow(t, 30*time.Second, smtptest.Config{STARTTLS: true, Auth: "PLAIN"})
		pool := slowPool(t, server, mail.PoolConfig{Size: 1, Room: 130 * time.Second})
		send := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 270*time.Second)
			defer cancel()
			return pool.Send(ctx, message())
		}
		if failure := failureOf(t, send()); failure.Class != mail.Canceled || server.Accepted() != 0 {
			t.Fatalf("%v, %d mails taken", failure, server.Accepted())
		}
		for range 2 {
			if err := send(); err != nil {
				t.Fatal(err)
			}
		}
		if server.Accepted() != 2 || server.Connections() != 1 {
			t.Errorf("%d mails over %d connections, want 2 over 1", server.Accepted(), server.Connections())
		}
	})
}
