package devstack

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Redis is a Redis inside this process, on a random port of the loopback
// address and behind a random password. Its data is gone with it, which costs
// nothing: PostgreSQL is the truth.
type Redis struct {
	server   *miniredis.Miniredis
	password string
	stop     func()
}

// redisTick is how often time passes in the in-process Redis, and so by how
// much a key may expire early or late.
const redisTick = 100 * time.Millisecond

// StartRedis starts a Redis that lives until Stop or the end of the process.
func StartRedis(ctx context.Context) (*Redis, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("starting Redis: %w", err)
	}
	r := &Redis{server: miniredis.NewMiniRedis(), password: rand.Text()}
	r.server.RequireAuth(r.password)
	if err := r.server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("starting Redis: %w", err)
	}
	quit := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { passTime(r.server, quit) })
	r.stop = sync.OnceFunc(func() {
		close(quit)
		running.Wait()
		r.server.Close()
	})
	return r, nil
}

// passTime ages the keys. Left alone, miniredis lets none expire: asynq's locks
// and heartbeats would live for ever. Its own clock (ClockTTL) walks over all
// keys at every command, which at 5,000 keys makes a GET fifty times slower.
func passTime(server *miniredis.Miniredis, quit <-chan struct{}) {
	tick := time.NewTicker(redisTick)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-quit:
			return
		case <-tick.C: // its own time is when it was due, not when we got to it
			now := time.Now()
			server.FastForward(now.Sub(last))
			last = now
		}
	}
}

// URL returns a REDIS_URL: redis://:password@127.0.0.1:port/0.
func (r *Redis) URL() string {
	u := url.URL{Scheme: "redis", User: url.UserPassword("", r.password), Host: r.server.Addr(), Path: "/0"}
	return u.String()
}

// Stop closes the connections and waits for their ends. Further calls do nothing.
func (r *Redis) Stop() { r.stop() }
