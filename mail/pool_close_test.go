package mail_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/mail"
	"rollcall/test/smtptest"
)

func TestSendCanceled(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		verb  string
		class mail.Class
	}{
		"at the greeting":   {"CONNECT", mail.Canceled},
		"at MAIL":           {"MAIL", mail.Canceled},
		"at RCPT":           {"RCPT", mail.Canceled},
		"after the content": {".", mail.Unknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := smtptest.StartPipe(t, smtptest.Config{Script: silent(test.verb)})
				pool := pipe(t, server, mail.PoolConfig{Size: 1})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				err := pool.Send(ctx, message())
				if failure := failureOf(t, err); failure.Class != test.class {
					t.Errorf("got %v, want class %v", failure, test.class)
				}
				if test.class == mail.Canceled && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v does not wrap the context's error", err)
				}
				if got := time.Since(start); got != time.Second {
					t.Errorf("returned after %v, want 1 s", got)
				}
				synctest.Wait()
				if server.Open() != 0 {
					t.Error("the connection is still open")
				}
			})
		})
	}
}

func TestSendCanceledWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := smtptest.StartPipe(t, smtptest.Config{Script: silent("RCPT")})
		pool := pipe(t, server, mail.PoolConfig{Size: 1})
		first := make(chan error, 1)
		go func() { first <- pool.Send(context.Background(), message()) }()
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		failure := failureOf(t, pool.Send(ctx, message()))
		if failure.Class != mail.Canceled || server.Connections() != 1 {
			t.Errorf("got %v over %d connections", failure, server.Connections())
		}
		if failure := failureOf(t, <-first); failure.Class != mail.Temporary {
			t.Errorf("first: %v", failure)
		}
	})
}

func TestCloseDrains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		server := smtptest.StartPipe(t, smtptest.Config{Script: func(e *smtptest.Event) {
			if e.Verb == "." {
				e.Hold = release
			}
		}})
		pool := pipe(t, server, mail.PoolConfig{Size: 1})
		running, waiting := make(chan error, 1), make(chan error, 1)
		go func() { running <- pool.Send(context.Background(), message()) }()
		synctest.Wait()
		go func() { waiting <- pool.Send(context.Background(), message()) }()
		synctest.Wait()

		var closers sync.WaitGroup
		for range 2 {
			closers.Go(pool.Close)
		}
		if err := <-waiting; !errors.Is(err, mail.ErrClosed) || failureOf(t, err).Class != mail.Canceled {
			t.Errorf("waiting send: %v", err)
		}
		synctest.Wait()
		close(release)
		if err := <-running; err != nil {
			t.Errorf("running send: %v", err)
		}
		closers.Wait()
		synctest.Wait()
		if server.Open() != 0 {
			t.Error("a connection is still open")
		}
		if err := pool.Send(context.Background(), message()); !errors.Is(err, mail.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestNewPoolRefusesBadSettings(t *testing.T) {
	t.Parallel()
	good := mail.Server{Host: "mail.example.com"}
	tests := []struct {
		server mail.Server
		config mail.PoolConfig
	}{
		{mail.Server{}, mail.PoolConfig{}},
		{mail.Server{Host: "mail.example.com", Security: mail.None, User: "u", Password: "p"}, mail.PoolConfig{}},
		{good, mail.PoolConfig{Size: -1}},
		{good, mail.PoolConfig{DataTimeout: -1}},
		{good, mail.PoolConfig{Hello: "a\r\nb"}},
	}
	for i, test := range tests {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			if _, err := mail.NewPool(test.server, test.config); err == nil {
				t.Error("no error")
			}
		})
	}
}
