package mail_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"rollcall/mail"
	"rollcall/test/smtptest"
)

// cutting is a connection that breaks in the middle of the write with the final
// dot, after as many of its bytes as keep says.
type cutting struct {
	net.Conn
	keep func(written string) int
}

const finalDot = "\r\n.\r\n"

func (c *cutting) Write(p []byte) (int, error) {
	if !strings.Contains(string(p), finalDot) {
		return c.Conn.Write(p)
	}
	written, _ := c.Conn.Write(p[:c.keep(string(p))])
	_ = c.Close()
	if written == len(p) {
		return written, nil
	}
	return written, errors.New("the connection ends")
}

// TestContentCutOff: if the connection breaks before the final dot was sent,
// the mail cannot have arrived; after it, the mail can.
func TestContentCutOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keep  func(written string) int
		class mail.Class
	}{
		"nothing":        {func(string) int { return 0 }, mail.Temporary},
		"in the content": {func(string) int { return 100 }, mail.Temporary},
		"before the dot": {func(w string) int { return strings.Index(w, finalDot) + 2 }, mail.Temporary},
		"after the dot":  {func(w string) int { return len(w) }, mail.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, smtptest.Config{})
			cut := true
			pool := newPool(t, plain(server), mail.PoolConfig{Size: 1, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				if err == nil && cut {
					cut = false
					conn = &cutting{conn, test.keep}
				}
				return conn, err
			}})
			if failure := failureOf(t, pool.Send(t.Context(), message())); failure.Class != test.class {
				t.Errorf("%v, want class %v", failure, test.class)
			}
			mustSend(t, pool)
			if server.Connections() != 2 {
				t.Errorf("%d connections, want 2", server.Connections())
			}
		})
	}
}

// TestReadyPanics: after a panic while the server waits for the content, the
// connection is not used for the next mail.
func TestReadyPanics(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{})
	pool := newPool(t, plain(server), mail.PoolConfig{Size: 1})
	mustSend(t, pool)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		m := message()
		m.Ready = func(context.Context) error { panic("no") }
		_ = pool.Send(t.Context(), m)
	}()
	mustSend(t, pool)
	if server.Accepted() != 2 || server.Connections() != 2 {
		t.Errorf("%d mails over %d connections, want 2 over 2", server.Accepted(), server.Connections())
	}
}
