package mail_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/smtptest"
	"rollcall/mail"
)

// TestSendToASlowServer: a server that takes a quarter of a minute for every
// answer gets its mail; one that takes longer is away, and no recipient is at
// fault.
func TestSendToASlowServer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		each time.Duration
		sent int
	}{"14 s an answer": {14 * time.Second, 1}, "31 s an answer": {31 * time.Second, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := smtptest.StartPipe(t, smtptest.Config{Script: func(e *smtptest.Event) {
					answer := make(chan struct{})
					e.Hold = answer
					time.AfterFunc(test.each, func() { close(answer) })
				}})
				pool := pipe(t, server, mail.PoolConfig{})
				err := pool.Send(t.Context(), message())
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
