package storage_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

// patience is far longer than anything here takes; only a failing test waits
// for it.
const patience = 20 * time.Second

// subscription runs a Watcher until the test, or the function returned, ends it.
func (h *testEnv) watch() (w *storage.Watcher, stop func()) {
	w = storage.NewWatcher(h.Store, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(h.ctx)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			h.Error(err)
		}
		done <- nil
	}
	h.Cleanup(stop)
	return w, stop
}

// await returns when changed receives.
func (h *testEnv) await(changed <-chan struct{}) {
	h.Helper()
	select {
	case <-changed:
	case <-time.After(patience):
		h.Fatal("nobody told of a change")
	}
}

// listening waits until the database has a listener for the Watcher.
func (h *testEnv) listening() {
	h.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if one[int](h, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN %'`) == 1 {
			return
		}
	}
	h.Fatal("nobody listens")
}

// waiter follows an import as an API handler does: read, and wait for the next
// change, until it is as wanted.
func (h *testEnv) waiter(w *storage.Watcher, id uuid.UUID, wanted roster.Status) {
	h.Helper()
	changed, stop := w.Watch(id)
	defer stop()
	for h.read(id).Status != wanted {
		h.await(changed)
	}
}

func TestWatcherTellsOfChanges(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	w, _ := h.watch()
	h.listening()
	i, other := h.receive(roster.Options{}), h.receive(roster.Options{})
	first, stopFirst := w.Watch(i.ID)
	second, stopSecond := w.Watch(i.ID)
	defer stopSecond()
	h.claim(i.ID)
	h.await(first)
	h.await(second)
	stopFirst()
	stopFirst() // twice is no harm
	for len(first) > 0 {
		<-first
	}
	h.must(h.CancelImport(h.ctx, i.ID, by))
	h.waiter(w, i.ID, roster.Canceled)
	h.await(second)
	if len(first) > 0 {
		t.Error("told after it stopped")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.waiter(w, other.ID, roster.Canceled)
	}()
	h.must(h.CancelImport(h.ctx, other.ID, by))
	<-done
}

// TestWatcherWithoutNotifications: where a pooler passes none on, or the
// connection is lost, changes are told of all the same.
func TestWatcherWithoutNotifications(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	pgtest.AsOwner(t, h.url, `CREATE OR REPLACE FUNCTION imports_bump_revision() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN NEW.revision := OLD.revision + 1; RETURN NEW; END $$`)
	w, _ := h.watch()
	i := h.receive(roster.Options{})
	changed, stop := w.Watch(i.ID)
	defer stop()
	h.claim(i.ID)
	h.await(changed)
	h.must(h.CancelImport(h.ctx, i.ID, by))
	h.await(changed)
}

func TestWatcherConnectsAnew(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	w, _ := h.watch()
	h.listening()
	i := h.receive(roster.Options{})
	changed, stop := w.Watch(i.ID)
	defer stop()
	h.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN %'`)
	h.claim(i.ID)
	h.await(changed)
	h.listening()
}

// TestWatcherLeavesNothing is not parallel: it looks at all goroutines.
func TestWatcherLeavesNothing(t *testing.T) {
	url := pgtest.New(t)
	before := goleak.IgnoreCurrent()
	store, err := storage.Open(url, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := storage.NewWatcher(store, slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	_, stop := w.Watch(uuid.New())
	stop()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	// And of one that never got a connection.
	away, err := storage.Open("postgres:///nowhere?host=/nonexistent", storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	w = storage.NewWatcher(away, slog.New(slog.DiscardHandler))
	go func() { done <- w.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	store.Close()
	away.Close()
	goleak.VerifyNone(t, before)
}
