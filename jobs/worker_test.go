package jobs_test

import (
	"context"
	"fmt"
	"rollcall/jobs/importer"
	"rollcall/jobs/queue"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"rollcall/jobs"
	"rollcall/jobs/invitations"
	"rollcall/roster"
	"rollcall/test/redistest"
	"rollcall/test/smtptest"
)

// testQueue is a test's access to Redis.
type testQueue struct {
	testing.TB
	redis  *redis.Client
	option asynq.RedisClientOpt
}

func newQueue(t testing.TB, url string) *testQueue {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	q := &testQueue{t, redis.NewClient(o), asynq.RedisClientOpt{Addr: o.Addr, DB: o.DB, Username: o.Username, Password: o.Password}}
	t.Cleanup(func() { q.redis.Close() })
	return q
}

// length returns the length of one of asynq's task lists.
func (q *testQueue) length(name, list string) int {
	q.Helper()
	key := "asynq:{" + name + "}:" + list
	var n int64
	var err error
	switch list {
	case "pending", "active":
		n, err = q.redis.LLen(q.Context(), key).Result()
	default:
		n, err = q.redis.ZCard(q.Context(), key).Result()
	}
	if err != nil {
		q.Fatal(err)
	}
	return int(n)
}

// flush empties Redis.
func (q *testQueue) flush() {
	q.Helper()
	if err := q.redis.FlushDB(q.Context()).Err(); err != nil {
		q.Fatal(err)
	}
}

// nothingKept fails the test unless all tasks are gone.
func (q *testQueue) nothingKept() {
	q.Helper()
	for _, name := range []string{queue.Mail, queue.Imports} {
		for _, list := range []string{"pending", "active", "archived", "retry", "scheduled", "completed"} {
			if n := q.length(name, list); n != 0 {
				q.Errorf("%d tasks %s in queue %s", n, list, name)
			}
		}
	}
}

// work runs a worker until the test ends or stop is called, which returns when
// it has drained.
func (o *mailEnv) work(q *testQueue, cfg jobs.WorkerConfig) (stop func()) {
	o.Helper()
	return o.workBy(q, cfg, importer.Config{})
}

// workBy is work with a given importer configuration.
func (o *mailEnv) workBy(q *testQueue, cfg jobs.WorkerConfig, how importer.Config) (stop func()) {
	o.Helper()
	cfg.Redis = q.option
	if cfg.Retention == 0 {
		cfg.Retention = time.Hour
	}
	tasks := queue.New(q.option, quiet())
	w := jobs.NewWorker(o.store, tasks, o.importer(how), o.mailer, quiet(), o.meter, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			o.Error(err)
		}
		if err := tasks.Close(); err != nil {
			o.Error(err)
		}
	})
	o.Cleanup(stop)
	return stop
}

// sent waits until all invitations of an import are sent.
func (h *testEnv) sent(id uuid.UUID, n int64) {
	h.Helper()
	poll(h, func() bool { return h.read(id).Invitations.Sent == n })
	h.settled(id, roster.InvitationCounts{Sent: n})
}

// once fails the test unless the server got one mail for each of n people.
func once(t testing.TB, server *smtptest.Server, n int) {
	t.Helper()
	to := map[string]int{}
	for _, m := range server.Mails() {
		to[m.To]++
	}
	if len(to) != n || server.Accepted() != n {
		t.Errorf("%d mails to %d people, want %d", server.Accepted(), len(to), n)
	}
}

// TestWindow: however many invitations are due, few tasks are in Redis, also
// after Redis was emptied, when asynq itself takes a full queue for an empty
// one.
func TestWindow(t *testing.T) {
	t.Parallel()
	h, q := newTestEnv(t), newQueue(t, redistest.URL(t))
	h.invite(20_000)
	wake := make(chan struct{})
	server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		if e.Verb == "RCPT" {
			e.Hold = wake
		}
	}})
	const window, connections, tasks = 300, 2, (300 + jobs.Parcel - 1) / jobs.Parcel
	o := newMailEnv(h, post{server: plain(server), size: connections, Config: invitations.Config{Grace: time.Millisecond}})
	o.work(q, jobs.WorkerConfig{Window: window, Connections: connections, Redispatch: time.Minute})
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	var dispatched, before int
	for round := range 3 {
		poll(t, func() bool { return q.length(queue.Mail, "pending") == tasks })
		// Some polls of the queue later there are no more.
		for range 40 {
			if n := q.length(queue.Mail, "pending"); n > tasks {
				t.Fatalf("%d tasks in Redis in round %d, want %d at most", n, round, tasks)
			}
			<-look.C
		}
		if err := h.store.DB().QueryRow(`SELECT sum(dispatch) FROM invitations`).Scan(&dispatched); err != nil {
			t.Fatal(err)
		}
		if added := dispatched - before; added > window+jobs.InHand(connections) {
			t.Fatalf("%d dispatched in round %d, want the window and what is claimed", added, round)
		}
		before = dispatched
		q.flush()
	}
	close(wake)
}

// TestTasksLostInRedis: invitations whose tasks are lost become due again and
// are sent once each.
func TestTasksLostInRedis(t *testing.T) {
	t.Parallel()
	h, q := newTestEnv(t), newQueue(t, redistest.URL(t))
	const waiting = 4
	mails := jobs.InHand(2) + waiting*jobs.Parcel // what is claimed, and some more
	i := h.invite(mails)
	wake := make(chan struct{})
	server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		if e.Verb == "RCPT" {
			e.Hold = wake
		}
	}})
	o := newMailEnv(h, post{server: plain(server), size: 2})
	stop := o.work(q, jobs.WorkerConfig{Connections: 2, Redispatch: 300 * time.Millisecond})
	poll(t, func() bool { return q.length(queue.Mail, "pending") == waiting })
	q.flush()
	close(wake)
	h.sent(i.ID, int64(mails))
	once(t, server, mails)
	stop()
	q.nothingKept()
}

// TestRedisAwayAtStart: a worker may start before Redis does.
func TestRedisAwayAtStart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	h, q := newTestEnv(t), newQueue(t, server.URL())
	smtp := smtptest.Start(t, smtptest.Config{})
	server.Stop()
	o := newMailEnv(h, post{server: plain(smtp)})
	o.work(q, jobs.WorkerConfig{Sweep: 50 * time.Millisecond, Overdue: time.Millisecond})
	i := h.upload(people(10), roster.Options{SendInvitations: true})
	server.Restart()
	h.sent(i.ID, 10)
}

// TestRate: the rate holds over all workers, and is used fully.
func TestRate(t *testing.T) {
	t.Parallel()
	h, q := newTestEnv(t), newQueue(t, redistest.URL(t))
	const n, rate = 100, 40
	i := h.invite(n)
	var times []time.Time
	server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		if e.Verb == "." {
			times = append(times, time.Now())
		}
	}})
	began := time.Now()
	var stops []func()
	for range 2 {
		stops = append(stops, newMailEnv(h, post{server: plain(server), rate: rate}).work(q, jobs.WorkerConfig{}))
	}
	h.sent(i.ID, n)
	took := time.Since(began)
	for _, stop := range stops {
		stop()
	}
	once(t, server, n)
	// One second's worth may be saved up at the start.
	if least := time.Second * (n - rate) / rate; took < least-100*time.Millisecond || took > least+8*time.Second {
		t.Errorf("%d mails at %d a second took %s, want about %s", n, rate, took, least)
	}
	slices.SortFunc(times, time.Time.Compare)
	for k := range times {
		in := 0
		for _, at := range times[k:] {
			if at.Sub(times[k]) < 500*time.Millisecond {
				in++
			}
		}
		if most := 2 * rate; in > most { // what was saved up, half a second's worth, and a slow machine
			t.Fatalf("%d mails in half a second", in)
		}
	}
}

// TestPauseAndFlow: after an outage mail is sent at full speed as soon as one
// has been sent, though a task was lost meanwhile.
func TestPauseAndFlow(t *testing.T) {
	t.Parallel()
	h, q := newTestEnv(t), newQueue(t, redistest.URL(t))
	const n = 500
	i := h.invite(n)
	wake := make(chan struct{})
	server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) {
		select {
		case <-wake:
		default:
			if e.Verb == "CONNECT" {
				e.Reply = "421 4.3.2 Not now"
			}
		}
	}})
	cfg := invitations.Config{PauseMin: 50 * time.Millisecond, PauseMax: 200 * time.Millisecond}
	stop := newMailEnv(h, post{server: plain(server), Config: cfg}).work(q, jobs.WorkerConfig{Redispatch: time.Minute})
	// The first window was given back, and some single mails have been tried.
	poll(t, func() bool { return server.Connections() >= 7 && q.length(queue.Mail, "pending") <= 1 })
	q.flush()
	close(wake)
	began := time.Now()
	// The few lost in Redis become due again in a minute; all the others are
	// sent.
	poll(t, func() bool { return h.read(i.ID).Invitations.Sent >= n-20 })
	if took := time.Since(began); took > 15*time.Second { // one at a time would take more than 25 s
		t.Errorf("it took %s for mail to flow again", took)
	}
	stop()
	for _, i := range h.invitations() {
		if i.Status == "sent" && i.Attempts != 1 || i.Status != "sent" && i.Attempts != 0 {
			t.Errorf("an outage was put down to a recipient: %+v", i)
		}
	}
}

// TestDrain: a worker told to stop finishes and records the mails in progress,
// gives back the others, and leaves no task and no goroutine behind. It is not
// parallel, so that it sees only its own goroutines.
func TestDrain(t *testing.T) {
	h, q := newTestEnv(t), newQueue(t, redistest.URL(t))
	mails := jobs.InHand(1) + 4 // some claimed, some waiting
	i := h.invite(mails)
	reached, wake := make(chan struct{}), make(chan struct{})
	server := smtptest.Start(t, smtptest.Config{Script: at(".", 1, func(e *smtptest.Event) {
		e.Hold = wake
		close(reached)
	})})
	o := newMailEnv(h, post{server: plain(server), size: 1})
	q.redis.Ping(t.Context()) // its connection is there before the worker's
	before := goleak.IgnoreCurrent()
	stop := o.work(q, jobs.WorkerConfig{Connections: 1})
	<-reached
	poll(t, func() bool { return q.length(queue.Mail, "pending") == 1 })
	nothingPersonal(q)
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Fatal("stopped with a mail in progress")
	case <-time.After(100 * time.Millisecond):
	}
	close(wake)
	<-stopped
	poll(t, func() bool { return server.Open() == 0 })
	sent := server.Accepted()
	if sent > 4 { // the one waited for, the next one, and what was composed by then
		t.Errorf("%d mails were sent, most of them begun after the stop", sent)
	}
	h.settled(i.ID, roster.InvitationCounts{Sent: int64(sent), Pending: int64(mails - sent)})
	for _, i := range h.invitations() {
		if i.Claimed || i.Status == "pending" && (i.Attempts != 0 || i.Error != "") {
			t.Errorf("an invitation was not given back: %+v", i)
		}
	}
	if n := q.length(queue.Mail, "active") + q.length(queue.Mail, "archived"); n != 0 {
		t.Errorf("%d tasks are still active", n)
	}
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))
}

// nothingPersonal fails the test if a key or value in Redis contains a piece of
// the file. The canaries are what every row of people has.
func nothingPersonal(q *testQueue) {
	q.Helper()
	ctx, seen := q.Context(), 0
	keys := q.redis.Scan(ctx, 0, "*", 100).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		text := key + " " + strings.ToLower(q.value(key))
		seen++
		for _, canary := range []string{"person0", "person ", "example.com", "sales", "invite/"} {
			if strings.Contains(text, canary) {
				q.Errorf("Redis holds %q: %s", canary, text)
			}
		}
	}
	if err := keys.Err(); err != nil || seen < 5 {
		q.Fatalf("%d keys seen, %v", seen, err)
	}
}

// value returns all that a key of any type holds.
func (q *testQueue) value(key string) string {
	q.Helper()
	ctx := q.Context()
	kind, err := q.redis.Type(ctx, key).Result()
	var v any
	switch kind {
	case "string":
		v, err = q.redis.Get(ctx, key).Result()
	case "hash":
		v, err = q.redis.HGetAll(ctx, key).Result()
	case "list":
		v, err = q.redis.LRange(ctx, key, 0, -1).Result()
	case "set":
		v, err = q.redis.SMembers(ctx, key).Result()
	case "zset":
		v, err = q.redis.ZRange(ctx, key, 0, -1).Result()
	default:
		q.Fatalf("key %s is a %s", key, kind)
	}
	if err != nil {
		q.Fatal(err)
	}
	return fmt.Sprint(v)
}
