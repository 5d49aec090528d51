// Package upload stores the file in a request's body: part by part, in chunks
// of 1 MiB, without temporary files and without holding a database connection
// for a small file that arrives slowly.
package upload

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"rollcall/httpapi/problem"
	"rollcall/internal/tracing"
	"rollcall/roster"
	"rollcall/storage"
)

// Limits bounds the resources of one request. Zero values take the default, if
// there is one.
type Limits struct {
	FileBytes int64 // largest file, in bytes; must be positive
	// DailyBytes is how many bytes of files one caller may upload on a day (UTC).
	// 0: any number.
	DailyBytes int64
	// ReadTimeoutPerMiB is how long one MiB of a body may take to arrive. Default 60 s.
	ReadTimeoutPerMiB time.Duration
	// Rate is how many bytes a second must arrive at the least, over the whole
	// body, after the time of ReadTimeoutPerMiB. Default 32 KiB.
	Rate int64
	// Places is how many files of more than 32 KiB may arrive at once: each takes
	// up to a MiB of memory. PlacesEach is how many of them may be one caller's.
	// Default 24 and 8.
	Places, PlacesEach int
	// Large is how many files of more than a MiB may arrive at once, and LargeEach
	// how many of them may be one caller's: they may take minutes. Default 8 and 2.
	Large, LargeEach int
	// Wait is how long a file waits for such a place. Default 10 s.
	Wait time.Duration
	// Store is how long the database may take for one chunk. Default 10 s.
	Store time.Duration
}

func (l *Limits) setDefaults() {
	l.ReadTimeoutPerMiB = cmp.Or(l.ReadTimeoutPerMiB, time.Minute)
	l.Rate = cmp.Or(l.Rate, 32<<10)
	l.Places = cmp.Or(l.Places, 24)
	l.PlacesEach = cmp.Or(l.PlacesEach, 8)
	l.Large = cmp.Or(l.Large, 8)
	l.LargeEach = cmp.Or(l.LargeEach, 2)
	l.Wait = cmp.Or(l.Wait, 10*time.Second)
	l.Store = cmp.Or(l.Store, 10*time.Second)
}

// Receiver receives uploads. It is safe for concurrent use.
type Receiver struct {
	store  *storage.Store
	limits Limits
	places *places // of files of more than firstBuffer
	large  *places // of files of more than a chunk

	mu   sync.Mutex
	held map[heldKey]struct{}
}

// heldKey is an upload with an Idempotency-Key that is still arriving.
type heldKey struct{ caller, key string }

// NewReceiver makes a Receiver.
func NewReceiver(store *storage.Store, l Limits) *Receiver {
	l.setDefaults()
	return &Receiver{store: store, limits: l, places: newPlaces(l.Places, l.PlacesEach), large: newPlaces(l.Large, l.LargeEach), held: map[heldKey]struct{}{}}
}

// Webhooks says which webhook_url is accepted. The zero value accepts none.
type Webhooks struct {
	CheckURL   func(url string) error  // its error text is shown to the client
	SealSecret storage.NewSealedSecret // makes the secret if the caller has no webhook with this URL yet
}

// Rights says what the options of a caller may be. The zero value is a caller
// without webhooks whose source is the default one.
type Rights struct {
	Webhooks Webhooks
	// Source is the caller's own; "" is roster.DefaultSource. AnySource lets the
	// caller name another.
	Source    string
	AnySource bool
	// Attributes are the declared attributes.
	Attributes []string
	// Paste accepts a part with pasted text in the place of a file.
	Paste bool
	// Profile finds the options of an import profile, in the form of their parts;
	// [storage.ErrNotFound] if there is none of that name. nil: there are no
	// profiles.
	Profile func(name string) (map[string]string, error)
}

// errStalled is why a context ended whose transaction stood still.
var errStalled = errors.New("the database took too long")

// Receive reads the request's body and commits the file and its import. The
// error is a [*problem.Problem] where the request is at fault; otherwise it
// comes from storage.
func (rc *Receiver) Receive(w http.ResponseWriter, r *http.Request, by storage.AuditEntry, rights Rights) (storage.UploadResult, error) {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return storage.UploadResult{}, err
	}
	arrived, err := rc.holdKey(by.Actor.Key(), key)
	if err != nil {
		return storage.UploadResult{}, err
	}
	defer arrived()
	left, err := rc.budget(w.Header(), r, by.Actor)
	if err != nil {
		return storage.UploadResult{}, err
	}
	f, err := openForm(w, r, rc.limits.FileBytes, pace{rc.limits.ReadTimeoutPerMiB, rc.limits.Rate}, rights)
	if err != nil {
		return storage.UploadResult{}, err
	}
	caller := by.Actor.Key()
	release := func() {}
	defer func() { release() }()
	f.room = func() (err error) {
		release, err = rc.place(r.Context(), rc.places, caller, f.body)
		return err
	}
	whole, err := f.readFirstChunk()
	if err != nil {
		return storage.UploadResult{}, err
	}
	if !whole {
		done, err := rc.place(r.Context(), rc.large, caller, f.body)
		if err != nil {
			return storage.UploadResult{}, err
		}
		defer done()
	}
	received, err := rc.receive(r.Context(), f, by, key, rights.Webhooks.SealSecret)
	if errors.Is(err, storage.ErrBudget) {
		return storage.UploadResult{}, overBudget(left)
	}
	if err != nil {
		return storage.UploadResult{}, err
	}
	// From here on nothing is read from the client: an expired deadline would
	// look as if it left.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return received, nil
}

// holdKey reserves an Idempotency-Key in this process while its upload arrives.
// Storage does so for all processes, but only from the end of the first MiB on,
// because no connection is held for a small file that arrives slowly.
func (rc *Receiver) holdKey(caller, key string) (arrived func(), err error) {
	if key == "" {
		return func() {}, nil
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	a := heldKey{caller, key}
	if _, ok := rc.held[a]; ok {
		return nil, storage.ErrKeyArriving
	}
	rc.held[a] = struct{}{}
	return func() {
		rc.mu.Lock()
		defer rc.mu.Unlock()
		delete(rc.held, a)
	}, nil
}

// place waits for a place. The time is not the client's.
func (rc *Receiver) place(ctx context.Context, of *places, caller string, body *deadlineReader) (release func(), err error) {
	began := time.Now()
	waiting, cancel := context.WithTimeout(ctx, rc.limits.Wait)
	defer cancel()
	release, err = of.take(waiting, caller)
	switch {
	case err == nil:
		body.waited(time.Since(began))
		return release, nil
	case ctx.Err() != nil:
		return func() {}, ctx.Err()
	}
	return func() {}, problem.New(problem.Busy, "Too many uploads in progress. Try again shortly.").RetryAfter(10 * time.Second)
}

// receive passes the form to storage and cancels if the database stalls. The
// form has its own deadlines for slow clients, so the timer is stopped while a
// chunk is being read.
func (rc *Receiver) receive(ctx context.Context, f *form, by storage.AuditEntry, key string, seal storage.NewSealedSecret) (storage.UploadResult, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(rc.limits.Store, func() { cancel(errStalled) })
	defer watch.Stop()
	received, err := rc.store.ReceiveImport(ctx, storage.Upload{
		By:             by,
		IdempotencyKey: key,
		DailyBytes:     rc.limits.DailyBytes,
		SealSecret:     seal,
		TraceParent:    tracing.Parent(ctx),
		Next: func() ([]byte, error) {
			watch.Stop()
			defer watch.Reset(rc.limits.Store)
			return f.next()
		},
		Warnings: f.warnings,
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
