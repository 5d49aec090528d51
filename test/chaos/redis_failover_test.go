//go:build unix

package chaos_test

import (
	"fmt"
	"testing"
	"time"

	"rollcall/test/redistest"
)

// The keys of the queues; see jobs/queue.
const (
	importsKey = "asynq:{imports}:pending"
	mailKey    = "asynq:{mail}:pending"
)

// TestRedisClusterFailover: Redis is a cluster, and loses the master of each queue,
// one during imports and one while mail is sent.
func TestRedisClusterFailover(t *testing.T) {
	parallel(t)
	cluster := redistest.StartCluster(t)
	redisFailover(t, cluster.URL(), func(key string) {
		cluster.FailOver(key)
		cluster.Settled()
	})
}

// TestRedisSentinelFailover: Redis has a replica and sentinels, and its master is
// killed during imports, and the next one while mail is sent.
func TestRedisSentinelFailover(t *testing.T) {
	parallel(t)
	sentinels := redistest.StartSentinels(t)
	redisFailover(t, sentinels.URL(), func(string) {
		sentinels.FailOver()
		sentinels.Settled()
	})
}

// redisFailover imports files and mails their people while failOver kills and
// replaces the master of a key.
func redisFailover(t *testing.T, url string, failOver func(key string)) {
	rows, rate := sized(510, 5_100), sized(80, 500) // so slow that there is mail left for the second failover
	h := newTestEnv(t, envOptions{Redis: url, Env: []string{fmt.Sprint("ROLLCALL_MAIL_RATE=", rate)}})
	l := newLoad("failover", 4, rows) // 2,000 or 20,000 invitations
	calm := undisturbed(h, l)
	h.startAPI()
	h.startWorker()
	h.startWorker()
	ids := []string{l.uploadOne(h, 0), l.uploadOne(h, 1)}
	began := time.Now()
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		failOver(importsKey)
	}()
	ids = append(ids, l.uploadOne(h, 2), l.uploadOne(h, 3))
	<-failed
	first := time.Since(began)
	completed := h.rowsIn(ids, 2*time.Minute).Sub(began)
	h.eventually(2*time.Minute, "mail is sent", func() bool { return h.post.delivered().Mails > len(l.mailed)/20 })
	before := h.post.delivered().Mails
	if before > len(l.mailed)*9/10 {
		t.Errorf("%d of %d mails were sent before the second failover", before, len(l.mailed))
	}
	failOver(mailKey)
	got := h.outcome(l, ids)
	all := time.Since(began)
	h.same(l, got, calm)
	d := h.delivered(l, 0)
	h.figures("rows", len(l.files)*rows, "first failover, until the killed one follows", first, "all rows in", completed,
		"mails sent before the second failover", before, "all mail out", all, "mails", d.Mails, "duplicates", d.Duplicates)
}
