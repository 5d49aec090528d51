package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
)

// What triggers notify: imports_bump_revision and user_changes_number.
const (
	importsChannel = "rollcall_imports"
	changesChannel = "rollcall_user_changes"
)

// watchPoll is how often the watched imports are looked at in case a
// notification was lost, or a pooler in between passes none on.
const watchPoll = time.Second

// Watcher tells any number of waiters in this process when an import has
// visibly changed, or there are changes of users, with one connection for all of
// them.
type Watcher struct {
	store *Store
	log   *slog.Logger

	mu       sync.Mutex
	watched  map[uuid.UUID]map[*subscription]struct{}
	revision map[uuid.UUID]int64 // as last polled
	feed     map[*subscription]struct{}
	position int64 // of the last change of users, as last polled
}

type subscription struct{ changed chan struct{} }

// NewWatcher makes a Watcher; it notices nothing before Run.
func NewWatcher(store *Store, log *slog.Logger) *Watcher {
	return &Watcher{store: store, log: log,
		watched: map[uuid.UUID]map[*subscription]struct{}{}, revision: map[uuid.UUID]int64{}, feed: map[*subscription]struct{}{}}
}

// WatchChanges announces changes of users from now on, as Watch does those of an
// import. stop must be called.
func (w *Watcher) WatchChanges() (changed <-chan struct{}, stop func()) {
	this := &subscription{changed: make(chan struct{}, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.feed[this] = struct{}{}
	return this.changed, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.feed, this)
	}
}

// Watch announces changes of an import from now on: changed receives after
// each, several at once being one. Read the import after Watch and again after
// every receive. stop must be called.
func (w *Watcher) Watch(id uuid.UUID) (changed <-chan struct{}, stop func()) {
	this := &subscription{changed: make(chan struct{}, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched[id] == nil {
		w.watched[id] = map[*subscription]struct{}{}
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
	listener := pq.NewListener(w.store.listenDSN, 100*time.Millisecond, 5*time.Second, func(event pq.ListenerEventType, err error) {
		if err != nil {
			w.log.Warn("change listener interrupted", "event", int(event), "error", err)
		}
	})
	defer listener.Close()
	listening := make(chan error, 1)
	go func() { // waits for the first connection
		listening <- errors.Join(listener.Listen(importsChannel), listener.Listen(changesChannel))
	}()
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
			if n.Channel == changesChannel {
				w.notifyFeed()
			} else if id, err := uuid.Parse(n.Extra); err == nil {
				w.notify(id)
			}
		case <-poll.C:
			w.poll(ctx)
		}
	}
}

func (w *Watcher) notify(id uuid.UUID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tell(w.watched[id])
}

func (w *Watcher) notifyFeed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	tell(w.feed)
}

func tell(subscriptions map[*subscription]struct{}) {
	for each := range subscriptions {
		select {
		case each.changed <- struct{}{}:
		default: // it has not yet taken the last one, which will do for both
		}
	}
}

// poll looks for what was not notified.
func (w *Watcher) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*watchPoll)
	defer cancel()
	if err := errors.Join(w.pollImports(ctx), w.pollFeed(ctx)); err != nil && ctx.Err() == nil {
		w.log.Warn("failed to poll for changes", "error", err)
	}
}

// pollFeed reads the position of the last change, if someone waits for one.
func (w *Watcher) pollFeed(ctx context.Context) error {
	w.mu.Lock()
	waited := len(w.feed) > 0
	w.mu.Unlock()
	if !waited {
		return nil
	}
	var position int64
	if err := w.store.db.GetContext(ctx, &position, `SELECT COALESCE(max(position), 0) FROM user_changes`); err != nil {
		return err
	}
	w.mu.Lock()
	changed := position != w.position
	w.position = position
	w.mu.Unlock()
	if changed {
		w.notifyFeed()
	}
	return nil
}

// pollImports reads the revisions of all watched imports at once.
func (w *Watcher) pollImports(ctx context.Context) error {
	w.mu.Lock()
	ids := make([]string, 0, len(w.watched))
	for id := range w.watched {
		ids = append(ids, id.String())
	}
	w.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	var rows []struct {
		ID       uuid.UUID `db:"id"`
		Revision int64     `db:"revision"`
	}
	if err := w.store.db.SelectContext(ctx, &rows, `SELECT id, revision FROM imports WHERE id = ANY($1::uuid[])`, textArray(ids)); err != nil {
		return err
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
			w.notify(r.ID)
		}
	}
	return nil
}
