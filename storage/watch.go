package storage

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
)

// channel is what the trigger imports_revise notifies.
const channel = "rollcall_imports"

// watchPoll is how often the watched imports are looked at in case a
// notification was lost, or a pooler in between passes none on.
const watchPoll = time.Second

// Watcher tells any number of waiters in this process when an import has
// visibly changed, with one connection for all of them.
type Watcher struct {
	store *Store
	log   *slog.Logger

	mu       sync.Mutex
	watched  map[uuid.UUID]map[*watch]struct{}
	revision map[uuid.UUID]int64 // as last polled
}

type watch struct{ changed chan struct{} }

// NewWatcher makes a Watcher; it notices nothing before Run.
func NewWatcher(store *Store, log *slog.Logger) *Watcher {
	return &Watcher{store: store, log: log,
		watched: map[uuid.UUID]map[*watch]struct{}{}, revision: map[uuid.UUID]int64{}}
}

// Watch announces changes of an import from now on: changed receives after
// each, several at once being one. Read the import after Watch and again after
// every receive. stop must be called.
func (w *Watcher) Watch(id uuid.UUID) (changed <-chan struct{}, stop func()) {
	this := &watch{changed: make(chan struct{}, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched[id] == nil {
		w.watched[id] = map[*watch]struct{}{}
	}
	w.watched[id][this] = struct{}{}
	return this.changed, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watched[id], this)
		if len(w.watched[id]) == 0 {
			delete(w.watched, id)
			delete(w.revision, id)
		}
	}
}

// Run listens until ctx is done.
func (w *Watcher) Run(ctx context.Context) error {
	listener := pq.NewListener(w.store.dsn, 100*time.Millisecond, 5*time.Second, func(event pq.ListenerEventType, err error) {
		if err != nil {
			w.log.Warn("listening for changes was interrupted", "event", int(event), "error", err)
		}
	})
	defer listener.Close()
	listening := make(chan error, 1)
	go func() { listening <- listener.Listen(channel) }() // waits for the first connection
	poll := time.NewTicker(watchPoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-listening:
			if err != nil {
				return fmt.Errorf("listen for changes: %w", err)
			}
		case n := <-listener.Notify:
			if n == nil { // connected anew: anything may have been missed
				w.poll(ctx)
				continue
			}
			if id, err := uuid.Parse(n.Extra); err == nil {
				w.tell(id)
			}
		case <-poll.C:
			w.poll(ctx)
		}
	}
}

func (w *Watcher) tell(id uuid.UUID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for each := range w.watched[id] {
		select {
		case each.changed <- struct{}{}:
		default: // it has not yet taken the last one, which will do for both
		}
	}
}

// poll reads the revisions of all watched imports at once.
func (w *Watcher) poll(ctx context.Context) {
	w.mu.Lock()
	ids := make([]string, 0, len(w.watched))
	for id := range w.watched {
		ids = append(ids, id.String())
	}
	w.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	var rows []struct {
		ID       uuid.UUID `db:"id"`
		Revision int64     `db:"revision"`
	}
	ctx, cancel := context.WithTimeout(ctx, 5*watchPoll)
	defer cancel()
	if err := w.store.db.SelectContext(ctx, &rows, `SELECT id, revision FROM imports WHERE id = ANY($1::uuid[])`, textArray(ids)); err != nil {
		if ctx.Err() == nil {
			w.log.Warn("looking for changes failed", "error", err)
		}
		return
	}
	for _, r := range rows {
		w.mu.Lock()
		_, watching := w.watched[r.ID]
		changed := watching && w.revision[r.ID] != r.Revision
		if watching {
			w.revision[r.ID] = r.Revision
		}
		w.mu.Unlock()
		if changed {
			w.tell(r.ID)
		}
	}
}
