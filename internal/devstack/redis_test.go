package devstack_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/devstack"
)

func startRedis(t *testing.T) *devstack.Redis {
	t.Helper()
	r, err := devstack.StartRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

func redisClient(t *testing.T, raw string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(raw)
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries, options.DialerRetries = -1, 1 // no retries: an error is an answer
	client := redis.NewClient(options)
	t.Cleanup(func() { client.Close() })
	return client
}

func TestRedisAsksForItsPassword(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	if err := redisClient(t, r.URL()).Ping(t.Context()).Err(); err != nil {
		t.Fatalf("with the password: %v", err)
	}
	u, err := url.Parse(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	if u.Hostname() != "127.0.0.1" {
		t.Errorf("Redis listens on %s", u.Hostname())
	}
	for _, user := range []*url.Userinfo{nil, url.UserPassword("", "wrong")} {
		u.User = user
		if err := redisClient(t, u.String()).Get(t.Context(), "k").Err(); err == nil || err == redis.Nil {
			t.Errorf("as %v: error = %v, want a refusal", user, err)
		}
	}
}

func TestRedisKeysExpire(t *testing.T) {
	t.Parallel()
	client := redisClient(t, startRedis(t).URL())
	set := time.Now()
	if err := client.Set(t.Context(), "short", "v", 300*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Set(t.Context(), "long", "v", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for client.Exists(t.Context(), "short").Val() == 1 {
		if time.Since(set) > 10*time.Second {
			t.Fatal("the key never expired")
		}
		<-tick.C
	}
	if after := time.Since(set); after < 150*time.Millisecond {
		t.Errorf("a key of 300 ms expired after %s", after)
	}
	if n, err := client.Exists(t.Context(), "long").Result(); n != 1 {
		t.Errorf("a key of an hour is gone (%v)", err)
	}
}

func TestRedisStops(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	u, err := url.Parse(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r.Stop()
	r.Stop()
	if n, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after Stop a connection reads %d bytes, %v; want the end", n, err)
	}
	if _, err := net.Dial("tcp", u.Host); err == nil {
		t.Error("Redis takes connections after Stop")
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := devstack.StartRedis(canceled); err == nil {
		t.Error("started with a context that is over")
	}
}

// TestRedisServesAsynq runs a full asynq cycle: enqueue, lease, process, retry,
// complete, and the unique lock that only its expiry releases.
func TestRedisServesAsynq(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	options, err := asynq.ParseRedisURI(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := asynq.NewClient(options)
	defer client.Close()

	tries := make(chan string, 8)
	leased := make(chan bool, 8)
	probe := redisClient(t, r.URL())
	server := asynq.NewServer(options, asynq.Config{
		Concurrency:              2,
		LogLevel:                 asynq.FatalLevel,
		TaskCheckInterval:        50 * time.Millisecond,
		DelayedTaskCheckInterval: 50 * time.Millisecond,
		RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return 0 },
	})
	mux := asynq.NewServeMux()
	mux.HandleFunc("call", func(ctx context.Context, task *asynq.Task) error {
		n, err := probe.ZCard(ctx, "asynq:{default}:lease").Result()
		leased <- err == nil && n > 0
		tries <- string(task.Payload())
		if count, _ := asynq.GetRetryCount(ctx); count == 0 {
			return context.DeadlineExceeded // any error: retry
		}
		return nil
	})
	if err := server.Start(mux); err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()

	lock := asynq.Unique(time.Second)
	if _, err := client.EnqueueContext(t.Context(), asynq.NewTask("other", []byte("x")), lock, asynq.Queue("unserved")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.EnqueueContext(t.Context(), asynq.NewTask("call", []byte("payload")), asynq.MaxRetry(3)); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		select {
		case got := <-tries:
			if got != "payload" {
				t.Errorf("try %d got %q", i, got)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("try %d never came", i)
		}
		if !<-leased {
			t.Errorf("try %d ran without a lease", i)
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		_, err := client.EnqueueContext(t.Context(), asynq.NewTask("other", []byte("x")), lock, asynq.Queue("unserved"))
		if err == nil {
			break // the lock expired
		}
		if !strings.Contains(err.Error(), asynq.ErrDuplicateTask.Error()) || time.Now().After(deadline) {
			t.Fatalf("the unique lock never expired: %v", err)
		}
	}
	if ttl, err := probe.PTTL(t.Context(), "asynq:{default}:processed:"+time.Now().UTC().Format("2006-01-02")).Result(); err != nil || ttl <= 0 {
		t.Errorf("the day's counter has a life of %s (%v)", ttl, err)
	}
}
