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
// address, with a random password. Its data is lost with the process, which is
// harmless: all state is in PostgreSQL.
type Redis struct {
	server   *miniredis.Miniredis
	password string
	stop     func()
}

// redisTick is how often time advances in the in-process Redis, and so how
// early or late a key may expire.
const redisTick = 100 * time.Millisecond

// StartRedis starts a Redis that runs until Stop or the end of the process.
func StartRedis(ctx context.Context) (*Redis, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	r := &Redis{server: miniredis.NewMiniRedis(), password: rand.Text()}
	r.server.RequireAuth(r.password)
	if err := r.server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
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

// passTime ages the keys. By default miniredis expires none: asynq's locks and
// heartbeats would live forever. Its own clock (ClockTTL) scans all keys at
// every command, which at 5,000 keys makes a GET fifty times slower.
func passTime(server *miniredis.Miniredis, quit <-chan struct{}) {
	tick := time.NewTicker(redisTick)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-quit:
			return
		case <-tick.C: // the tick's own time is when it was due, not when we received it
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
