// Package upload brings a file from the body of a request into storage: part by
// part, in pieces of 1 MiB, with no temporary file and no database connection
// held for a small file that comes slowly.
package upload

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"rollcall/httpapi/problem"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tracing"
)

// Limits bound what one request may ask of the server. Zero values take the
// default, where there is one.
type Limits struct {
	FileBytes int64 // largest file, in bytes; must be positive
	// Patience is how long one MiB of a body may take to arrive. Default 60 s.
	Patience time.Duration
	// Large is how many files of more than a MiB may arrive at once: each
	// holds a connection to the database while it does. Default 8.
	Large int
	// LargeWait is how long such a file waits for its turn. Default 10 s.
	LargeWait time.Duration
	// Store is how long the database may take for one chunk. Default 10 s.
	Store time.Duration
}

func (l *Limits) fill() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&l.Patience, time.Minute)
	def(&l.LargeWait, 10*time.Second)
	def(&l.Store, 10*time.Second)
	if l.Large == 0 {
		l.Large = 8
	}
}

// Receiver receives uploads. It is safe for concurrent use.
type Receiver struct {
	store  *storage.Store
	limits Limits
	large  chan struct{} // one token for each large file under way

	mu       sync.Mutex
	arriving map[arrival]struct{}
}

// arrival is an upload with an Idempotency-Key on its way in.
type arrival struct{ caller, key string }

// NewReceiver makes a Receiver.
func NewReceiver(store *storage.Store, l Limits) *Receiver {
	l.fill()
	return &Receiver{store: store, limits: l, large: make(chan struct{}, l.Large), arriving: map[arrival]struct{}{}}
}

// Webhooks says what webhook_url may be. The zero value takes none.
type Webhooks struct {
	CheckURL   func(url string) error // its error's text is for the client
	SealSecret storage.Sealing        // makes the secret of one that the caller does not have yet
}

// errStalled is why a context ended whose transaction stood still.
var errStalled = errors.New("the database took too long")

// Receive reads the request's body and commits the file and its import. The
// error is a [*problem.Problem] where the request is at fault; otherwise it
// comes from storage.
func (rc *Receiver) Receive(w http.ResponseWriter, r *http.Request, by storage.Entry, hooks Webhooks) (storage.Received, error) {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return storage.Received{}, err
	}
	arrived, err := rc.arrive(by.Actor.Key(), key)
	if err != nil {
		return storage.Received{}, err
	}
	defer arrived()
	f, err := openForm(w, r, rc.limits.FileBytes, rc.limits.Patience, hooks)
	if err != nil {
		return storage.Received{}, err
	}
	whole, err := f.begin()
	if err != nil {
		return storage.Received{}, err
	}
	if !whole {
		if err := rc.acquire(r.Context()); err != nil {
			return storage.Received{}, err
		}
		defer func() { <-rc.large }()
	}
	received, err := rc.receive(r.Context(), f, by, key, hooks.SealSecret)
	if err != nil {
		return storage.Received{}, err
	}
	// What is waited for now is not the client: an old deadline would pass for
	// its leaving.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return received, nil
}

// arrive holds an Idempotency-Key in this process while its upload arrives.
// Storage does so for all processes, but only from the end of the first MiB on:
// no connection is held for a small file that comes slowly.
func (rc *Receiver) arrive(caller, key string) (arrived func(), err error) {
	if key == "" {
		return func() {}, nil
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	a := arrival{caller, key}
	if _, ok := rc.arriving[a]; ok {
		return nil, storage.ErrKeyArriving
	}
	rc.arriving[a] = struct{}{}
	return func() {
		rc.mu.Lock()
		defer rc.mu.Unlock()
		delete(rc.arriving, a)
	}, nil
}

// acquire waits for a large file's turn.
func (rc *Receiver) acquire(ctx context.Context) error {
	turn := time.NewTimer(rc.limits.LargeWait)
	defer turn.Stop()
	select {
	case rc.large <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-turn.C:
		return problem.New(problem.Busy, "As many large files are arriving as this server takes at once. Try again shortly.").RetryAfter(10 * time.Second)
	}
}

// receive hands the form to storage and watches that the database keeps up. The
// client's slowness is the form's business, so the watch stands still while a
// chunk is being read.
func (rc *Receiver) receive(ctx context.Context, f *form, by storage.Entry, key string, seal storage.Sealing) (storage.Received, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(rc.limits.Store, func() { cancel(errStalled) })
	defer watch.Stop()
	received, err := rc.store.ReceiveImport(ctx, storage.Upload{
		By:             by,
		IdempotencyKey: key,
		SealSecret:     seal,
		TraceParent:    tracing.Parent(ctx),
		Next: func() ([]byte, error) {
			watch.Stop()
			defer watch.Reset(rc.limits.Store)
			return f.next()
		},
		Finish: func() (string, roster.Options, error) {
			watch.Stop()
			defer watch.Reset(rc.limits.Store)
			return f.finish()
		},
	})
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return received, errors.Join(storage.ErrUnavailable, errStalled, err)
	}
	return received, err
}
