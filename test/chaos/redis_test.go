//go:build unix

package chaos_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestRedisDown: Redis is down while many files are posted. Every post is
// accepted, and once Redis is back, empty, all are imported and mailed within
// 30 seconds.
func TestRedisDown(t *testing.T) {
	parallel(t)
	h := newTestEnv(t, envOptions{})
	l := newLoad("down", sized(100, 1000), 3)
	calm := undisturbed(h, l)
	h.startAPI()
	h.startWorker()
	h.startWorker()
	h.redis.Stop()
	ids := make([]string, len(l.files))
	var slowest time.Duration
	var mu sync.Mutex
	var posts sync.WaitGroup
	places := make(chan struct{}, 20)
	began := time.Now()
	for k, file := range l.files {
		posts.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			at := time.Now()
			a, err := h.tryPost(file, nil)
			if err != nil || a.status != 202 {
				t.Errorf("post %d while Redis is away: %d %v\n%s", k, a.status, err, a.body)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[k], slowest = a.imported().ID, max(slowest, time.Since(at))
		})
	}
	posts.Wait()
	if t.Failed() {
		return
	}
	posted := time.Since(began)
	h.redis.Restart()
	back := time.Now()
	h.eventually(30*time.Second, "all imports are completed", func() bool {
		return one[int](h, `SELECT count(*) FROM imports WHERE status <> 'completed'`) == 0
	})
	completed := time.Since(back)
	got := h.outcome(l, ids)
	h.same(l, got, calm)
	d := h.delivered(l, 0)
	h.figures("posts while Redis is away", len(ids), "all of them taken in", posted, "the slowest took", slowest,
		"all completed after its return", completed, "all mail out", time.Since(back), "mails", d.Mails, "duplicates", d.Duplicates)
}

// TestRedisFlushed: Redis is emptied again and again, and finally killed and
// restarted, while rows are imported and mail is sent.
func TestRedisFlushed(t *testing.T) {
	parallel(t)
	h, rows := newTestEnv(t, envOptions{}), sized(200, 15_000)
	l := newLoad("flush", 4, rows)
	calm := undisturbed(h, l)
	h.startAPI()
	h.startWorker()
	h.startWorker()
	options, err := redis.ParseURL(h.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	began := time.Now()
	var ids []string
	flushes := 0
	// The files come one by one, so that there is always work.
	period, every := time.Duration(sized(8, 60))*time.Second, time.Duration(sized(1, 2))*time.Second
	for tick := time.NewTicker(every); time.Since(began) < period; <-tick.C {
		if next := len(ids); next < len(l.files) && time.Since(began) >= period*time.Duration(next)/time.Duration(len(l.files)) {
			ids = append(ids, h.upload(l.files[next]))
		}
		if err := client.FlushAll(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
		flushes++
	}
	h.redis.Stop()
	time.Sleep(time.Second)
	h.redis.Restart()
	back := time.Now()
	completed := h.rowsIn(ids, 30*time.Second).Sub(back)
	// A mail whose task was lost becomes due again after 20 seconds.
	got := h.outcome(l, ids)
	h.same(l, got, calm)
	d := h.delivered(l, 0)
	h.figures("flushes", flushes, "kills of Redis", 1, "rows", fmt.Sprint(len(l.files), " x ", rows),
		"all completed after its return", completed, "all mail out", time.Since(back), "mails", d.Mails, "duplicates", d.Duplicates)
}
