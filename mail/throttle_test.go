package mail_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/mail"
	"rollcall/test/smtptest"
)

const (
	tooMany       = "421 4.7.0 Too many connections"
	throttleQuiet = time.Minute // until one more connection is tried
)

// TestServerAllowsFewerConnections: 600 mails over 8 connections to a server
// that allows 3 all arrive, with hardly a rejected connection, and Throttled is
// called once.
func TestServerAllowsFewerConnections(t *testing.T) {
	t.Parallel()
	const size, allowed, mails = 8, 3, 600
	server := smtptest.Start(t, smtptest.Config{MaxConnections: allowed, Refusal: tooMany, Discard: true})
	var told []int
	pool := newPool(t, plain(server), mail.PoolConfig{Size: size, Throttled: func(connections int, refusal *mail.Failure) {
		if refusal.Code != 421 {
			t.Errorf("Throttled was called with %v", refusal)
		}
		told = append(told, connections)
	}})
	work := make(chan struct{}, mails)
	for range mails {
		work <- struct{}{}
	}
	close(work)
	var senders sync.WaitGroup
	for range size {
		senders.Go(func() {
			for range work {
				if err := pool.Send(t.Context(), message()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	if server.Accepted() != mails {
		t.Errorf("%d mails arrived, want %d", server.Accepted(), mails)
	}
	if n := server.Connections(); n > size {
		t.Errorf("%d connections were tried, want at most %d", n, size)
	}
	if len(told) != 1 {
		t.Errorf("told %d times: %v", len(told), told)
	}
}

// TestThrottledPoolTriesOneMore: an episode on a synthetic clock. While it
// lasts, only one connection is opened after every quiet minute.
func TestThrottledPoolTriesOneMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := smtptest.StartPipe(t, smtptest.Config{MaxConnections: 2, Refusal: "450 4.7.1 Later", Script: func(e *smtptest.Event) {
			if e.Verb == "RCPT" { // long enough for all senders to need a connection of their own
				after := make(chan struct{})
				time.AfterFunc(time.Second, func() { close(after) })
				e.Hold = after
			}
		}})
		told := 0
		pool := pipe(t, server, mail.PoolConfig{Size: 4, IdleTimeout: time.Hour, Throttled: func(int, *mail.Failure) { told++ }})
		burst := func() {
			var senders sync.WaitGroup
			for range 4 {
				senders.Go(func() { mustSend(t, pool) })
			}
			senders.Wait()
		}
		for minute, want := range []int{4, 5, 6} { // connections tried so far
			burst()
			burst()
			if n := server.Connections(); n != want {
				t.Errorf("minute %d: %d connections tried, want %d", minute, n, want)
			}
			time.Sleep(throttleQuiet + time.Second)
			synctest.Wait()
		}
		server.Allow(4)
		for range 4 {
			burst()
			time.Sleep(throttleQuiet + time.Second)
		}
		if server.Open() != 4 {
			t.Errorf("%d connections are open once the server allows them, want 4", server.Open())
		}
		if told != 1 {
			t.Errorf("one episode was told %d times", told)
		}
	})
}

// TestRefusingServerIsAskedRarely: a server that greets every connection with
// 421 counts as down, and gets one connection per second at most.
func TestRefusingServerIsAskedRarely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := smtptest.StartPipe(t, smtptest.Config{MaxConnections: -1, Refusal: tooMany})
		pool := pipe(t, server, mail.PoolConfig{Size: 2, Throttled: func(int, *mail.Failure) { t.Error("told of a throttle") }})
		for _, want := range []time.Duration{0, 500 * time.Millisecond, 500 * time.Millisecond} {
			start := time.Now()
			if f := failureOf(t, pool.Send(t.Context(), message())); f.Class != mail.ServerDown || f.Code != 421 {
				t.Errorf("refused: %v", f)
			}
			if got := time.Since(start); got != want {
				t.Errorf("the connection was tried after %v, want %v", got, want)
			}
		}
		server.Allow(0)
		mustSend(t, pool)
	})
}

// TestThrottledPoolCloses: withheld slots and a waiting Send do not keep a pool
// from closing.
func TestThrottledPoolCloses(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{MaxConnections: -1, Refusal: tooMany})
	pool := newPool(t, plain(server), mail.PoolConfig{Size: 2})
	failureOf(t, pool.Send(t.Context(), message()))
	waiting := make(chan error, 1)
	go func() { waiting <- pool.Send(t.Context(), message()) }()
	time.Sleep(20 * time.Millisecond)
	pool.Close()
	if f := failureOf(t, <-waiting); f.Class != mail.Canceled {
		t.Errorf("a waiting mail fails as %v, want canceled", f)
	}
}
