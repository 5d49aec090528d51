package invitations

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"rollcall/storage"
)

// A worker whose heartbeat is missed at five looks, which are two seconds apart, is
// given up; see storage.RemoveDeadMailWorkers. It stops handing mails over well
// before that.
const (
	beatInterval = time.Second
	beatTimeout  = 3 * time.Second
	beatFreshFor = 6 * time.Second // less than four looks
	freshPoll    = 50 * time.Millisecond
)

// errGivenUp is why a mail is not sent: others have taken over.
var errGivenUp = errors.New("this worker was given up for dead, and its claims are free")

// heartbeat ties the claims of this worker to its life: they are free soon after it
// was killed, however long an attempt may take.
type heartbeat struct {
	store *storage.Store
	log   *slog.Logger

	mu      sync.Mutex
	running bool
	now     *life
	changed chan struct{} // closed when there is another life
}

// life is one entry in the table of mail workers.
type life struct {
	id   uuid.UUID
	lost chan struct{} // closed when the entry is gone

	mu   sync.Mutex
	beat time.Time // when the last successful heartbeat began
}

func newHeartbeat(store *storage.Store, log *slog.Logger) *heartbeat {
	return &heartbeat{store: store, log: log, changed: make(chan struct{})}
}

// start makes claims wait until the worker has an entry.
func (h *heartbeat) start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running = true
}

// run beats until ctx ends and then removes the entry.
func (h *heartbeat) run(ctx context.Context) {
	h.start()
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	for {
		h.once(ctx)
		select {
		case <-ctx.Done():
			h.end(ctx)
			return
		case <-tick.C:
		}
	}
}

// once beats, or makes a new entry if there is none.
func (h *heartbeat) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	h.mu.Lock()
	l := h.now
	h.mu.Unlock()
	began := time.Now()
	if l == nil {
		l = &life{id: uuid.Must(uuid.NewV7()), lost: make(chan struct{}), beat: began}
		if err := h.store.AddMailWorker(ctx, l.id); err != nil {
			h.log.Warn("failed to register as a sender of invitations; will retry", "error", err)
			return
		}
		h.become(l)
		return
	}
	alive, err := h.store.BeatMailWorker(ctx, l.id)
	switch {
	case err != nil: // sending stops by itself when the last success is too old
	case alive:
		l.mu.Lock()
		l.beat = began
		l.mu.Unlock()
	default:
		h.log.Warn("given up for dead by other workers; the mails in progress are theirs now")
		close(l.lost)
		h.become(nil)
		h.once(ctx)
	}
}

func (h *heartbeat) become(l *life) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = l
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *heartbeat) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTimeout)
	defer cancel()
	h.mu.Lock()
	l := h.now
	h.mu.Unlock()
	if l == nil {
		return
	}
	if err := h.store.RemoveMailWorker(ctx, l.id); err != nil {
		h.log.Warn("failed to remove the entry of this sender of invitations; others will", "error", err)
	}
}

// current waits for a life to claim with. It returns nil if there is no heartbeat:
// claims then last for their lease.
func (h *heartbeat) current(ctx context.Context) (*life, error) {
	for {
		h.mu.Lock()
		l, running, changed := h.now, h.running, h.changed
		h.mu.Unlock()
		if l != nil || !running {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// worker is the id to claim with.
func (l *life) worker() uuid.UUID {
	if l == nil {
		return uuid.Nil
	}
	return l.id
}

// await waits until it is certain that no other worker has been given this one's
// claims. It fails if one may have been.
func (l *life) await(ctx context.Context) error {
	if l == nil {
		return nil
	}
	for {
		select {
		case <-l.lost:
			return errGivenUp
		default:
		}
		if l.fresh() {
			return nil
		}
		select {
		case <-l.lost:
		case <-time.After(freshPoll):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// fresh reports whether the last heartbeat is recent by both clocks: the monotonic
// one stands still while a machine is suspended, and the other one may be set.
func (l *life) fresh() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.beat) < beatFreshFor && time.Now().Round(0).Sub(l.beat.Round(0)) < beatFreshFor
}
