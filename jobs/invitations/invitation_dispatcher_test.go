package invitations_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/auth"
	"rollcall/jobs/invitations"
	"rollcall/mail"
	"rollcall/mail/settings"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Around(m)) }

// tasks replaces Redis: it keeps the tasks, and no worker takes any.
type tasks struct {
	mu    sync.Mutex
	away  bool
	sizes []int
}

func (q *tasks) InvitationBacklog(context.Context) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.away {
		return 0, errors.New("Redis is away")
	}
	for _, size := range q.sizes {
		n += size
	}
	return n, nil
}

func (q *tasks) EnqueueInvitations(_ context.Context, due []storage.DueInvitation) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sizes = append(q.sizes, len(due))
	return nil
}

// taskSizes returns a copy of the sizes of all tasks.
func (q *tasks) taskSizes() []int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.sizes)
}

func (q *tasks) set(away bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.away = away
}

// newStore creates a database in which n people are to be invited.
func newStore(t *testing.T, n int) *storage.Store {
	t.Helper()
	store, err := storage.Open(pgtest.New(t), storage.Options{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if _, err := store.DB().Exec(fmt.Sprintf(`
		WITH people AS (
			INSERT INTO users (id, email, email_key, name)
			SELECT gen_random_uuid(), n || '@example.com', n || '@example.com', 'Person ' || n FROM generate_series(1, %d) n
			RETURNING id
		)
		INSERT INTO invitations (user_id, status) SELECT id, 'pending' FROM people`, n)); err != nil {
		t.Fatal(err)
	}
	return store
}

// run dispatches until the test ends.
func run(t *testing.T, store *storage.Store, q *tasks, cfg invitations.DispatcherConfig) *invitations.Dispatcher {
	t.Helper()
	sealer, err := auth.NewSealer("a secret that is long enough for every test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := auth.NewSigner("a secret that is long enough for every test")
	if err != nil {
		t.Fatal(err)
	}
	metrics := invitations.NewMetrics(prometheus.NewRegistry(), prometheus.NewCounter(prometheus.CounterOpts{}))
	log := slog.New(slog.DiscardHandler)
	sender := invitations.NewSender(store, log, metrics, signer,
		invitations.NewSMTPTransport(settings.New(store, sealer, settings.Defaults{}), slog.New(slog.DiscardHandler), mail.PoolConfig{}), invitations.Config{})
	t.Cleanup(sender.Close)
	d := invitations.NewDispatcher(store, q, sender, log, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return d
}

// dispatched returns how many invitations were taken out of the database so
// far.
func dispatched(t *testing.T, store *storage.Store) (n int) {
	t.Helper()
	if err := store.DB().QueryRow(`SELECT sum(dispatch) FROM invitations`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// become waits until that many are dispatched, and a few polls longer.
func become(t *testing.T, store *storage.Store, want int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); dispatched(t, store) < want && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(400 * time.Millisecond)
	if n := dispatched(t, store); n != want {
		t.Fatalf("%d dispatched, want %d", n, want)
	}
}

// TestDispatcherFillsWindow: Redis never contains more than the window, in
// tasks of a bounded size.
func TestDispatcherFillsWindow(t *testing.T) {
	t.Parallel()
	store, q := newStore(t, 500), &tasks{}
	run(t, store, q, invitations.DispatcherConfig{Window: 200})
	become(t, store, 200)
	for _, size := range q.taskSizes() {
		if size > invitations.MaxPerTask {
			t.Errorf("a task of %d", size)
		}
	}
	if backlog, _ := q.InvitationBacklog(t.Context()); backlog != 200 {
		t.Errorf("%d wait in Redis, want 200", backlog)
	}
}

// TestDispatcherWaitsForRedis: while Redis is unavailable nothing is taken out
// of the database, and dispatching resumes by itself after that.
func TestDispatcherWaitsForRedis(t *testing.T) {
	t.Parallel()
	store, q := newStore(t, 10), &tasks{away: true}
	d := run(t, store, q, invitations.DispatcherConfig{})
	d.Wake()
	become(t, store, 0)
	q.set(false)
	become(t, store, 10)
}

// TestDispatcherDefers: nothing is dispatched while imports go first.
func TestDispatcherDefers(t *testing.T) {
	t.Parallel()
	store, q := newStore(t, 10), &tasks{}
	var mu sync.Mutex
	importing := true
	run(t, store, q, invitations.DispatcherConfig{Defer: func() bool {
		mu.Lock()
		defer mu.Unlock()
		return importing
	}})
	become(t, store, 0)
	mu.Lock()
	importing = false
	mu.Unlock()
	become(t, store, 10)
}
