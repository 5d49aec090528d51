package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tracing"
)

// ImporterConfig bounds the work on one import. Zero values take the default.
type ImporterConfig struct {
	MaxRows   int64         // rows an import may have; default 1,000,000
	BatchRows int           // rows a transaction; default 5,000
	Writers   int           // batches committed at once while no other import is worked on; default 2
	Slice     time.Duration // a run hands its place back after this; default 2 s
	Lease     time.Duration // a claim is good for this after each commit; default 12 s
	Timeout   time.Duration // one transaction at most; default 10 s, below Lease
	// AdminScopes are the scopes with which a token may bring in
	// administrators; nil: those of storage.AdminScopes.
	AdminScopes []string
	Tracer      trace.Tracer // of slices and batches; default: none
}

func (c *ImporterConfig) fill() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Slice, 2*time.Second)
	def(&c.Lease, 12*time.Second)
	def(&c.Timeout, 10*time.Second)
	if c.MaxRows == 0 {
		c.MaxRows = 1_000_000
	}
	if c.BatchRows == 0 {
		c.BatchRows = 5_000
	}
	if c.AdminScopes == nil {
		c.AdminScopes = storage.AdminScopes()
	}
	if c.Tracer == nil {
		c.Tracer = tracing.Off()
	}
	if c.Writers == 0 {
		c.Writers = 2
	}
}

// Importer checks and imports files. Any number of them, in any number of
// processes, may be told to run the same import: one at a time does.
type Importer struct {
	store *storage.Store
	log   *slog.Logger
	cfg   ImporterConfig
	meter *Metrics
	// fault is called before each row is judged or imported; tests make it
	// panic, stall or fail to see that nothing is lost.
	fault func(pass roster.Status, row int64)
	// room is where imports are worked on: by many, or by one that has crashed
	// repeatedly and must not take others with it.
	room sync.RWMutex
}

// NewImporter makes an Importer.
func NewImporter(store *storage.Store, log *slog.Logger, meter *Metrics, cfg ImporterConfig) *Importer {
	cfg.fill()
	return &Importer{store: store, log: log, cfg: cfg, meter: meter, fault: planted()}
}

// Rest says what remains after a run.
type Rest struct {
	More     bool  // the slice is over but the import is not: ring Dispatch
	Dispatch int64 // number of the task to ring
	Invited  bool  // invitations are due
}

// errSlice ends a pass whose slice is over, or whose worker is to stop.
var errSlice = errors.New("slice over")

// Run takes the import in hand if nobody has it, and works on it for a slice.
// Between batches it stops when ctx ends; the batch under way commits first. An
// import that is another's or ended is no error.
func (im *Importer) Run(ctx context.Context, id uuid.UUID) (rest Rest, err error) {
	claim, leave, err := im.enter(ctx, id)
	defer leave()
	if errors.Is(err, storage.ErrNotClaimable) {
		return Rest{}, nil
	}
	if err != nil {
		return Rest{}, err
	}
	log := im.log.With("import_id", id, "fence", claim.Fence)
	ctx, span := im.cfg.Tracer.Start(tracing.Under(ctx, claim.TraceParent), "import slice", trace.WithAttributes(
		attribute.String("rollcall.import_id", id.String()), attribute.Int64("rollcall.fence", claim.Fence)))
	defer func() {
		span.SetAttributes(attribute.String("rollcall.import_status", string(claim.Import.Status)))
		endSpan(span, err)
	}()
	w := &work{Importer: im, claim: claim, log: log, until: time.Now().Add(im.cfg.Slice)}
	err = w.passes(ctx)
	rest.Invited = w.invited
	switch {
	case err == nil:
		log.Info("import ended", "status", claim.Import.Status)
		return rest, nil
	case errors.Is(err, errSlice), ctx.Err() != nil && storage.Interrupted(err): // reading was cut short
		rest.Dispatch, err = im.handBack(ctx, claim)
		rest.More = err == nil
		if errors.Is(err, storage.ErrClaimLost) {
			w.lost()
			return rest, nil
		}
		return rest, err
	case errors.Is(err, storage.ErrClaimLost):
		w.lost()
		return rest, nil
	}
	im.abandon(ctx, claim, err)
	return rest, err
}

// lost says that nothing more of this work can be written.
func (w *work) lost() {
	w.meter.claimsLost.Inc()
	w.log.Info("claim lost: another worker has the import, or it was canceled")
}

// enter takes the import in hand. One that has crashed repeatedly is worked on
// with no other beside it in this process: should it end the process, no other
// gets a crash to its name, so what is counted is its own doing. While it waits
// for that it holds no claim that could be lost. Call leave in any case.
func (im *Importer) enter(ctx context.Context, id uuid.UUID) (claim *storage.Claim, leave func(), err error) {
	im.room.RLock()
	claim, err = im.claim(ctx, id)
	if err != nil || claim.Crashes < crashesBeforeAlone {
		return claim, im.room.RUnlock, err
	}
	err = im.giveUp(ctx, claim, 0, claim.Crashes)
	im.room.RUnlock()
	if err != nil {
		return nil, func() {}, err
	}
	im.room.Lock()
	claim, err = im.claim(ctx, id)
	return claim, im.room.Unlock, err
}

func (im *Importer) claim(ctx context.Context, id uuid.UUID) (*storage.Claim, error) {
	// Like a commit: a claim that was made and not heard of would have to run out.
	ctx, cancel := im.committing(ctx)
	defer cancel()
	return im.store.ClaimImport(ctx, id, im.cfg.Lease)
}

// committing is the context of a transaction: it outlives the end of ctx, since
// a batch that has begun is to commit, but not its own timeout.
func (im *Importer) committing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), im.cfg.Timeout)
}

func (im *Importer) handBack(ctx context.Context, c *storage.Claim) (int64, error) {
	ctx, cancel := im.committing(ctx)
	defer cancel()
	return im.store.HandBack(ctx, c)
}

// abandonWait is the pause after the first crash at one place; it doubles.
const (
	abandonWait = 100 * time.Millisecond
	abandonMost = 15 * time.Second
)

// abandon lets go of a claim after an error. If that fails too, the lease runs
// out. A database that is full or slow is no fault of any row, however long that
// lasts: batches get smaller for it, and no row is refused.
func (im *Importer) abandon(ctx context.Context, c *storage.Claim, cause error) {
	most := math.MaxInt32
	switch {
	case storage.Disconnected(cause):
		most = 1 // where many are cut, more batches would only be more to be cut
	case storage.Interrupted(cause):
		most = crashesBeforeRefusal / 2
	}
	wait := min(abandonWait<<min(c.Crashes, 10), abandonMost)
	if err := ignoreLost(im.giveUp(ctx, c, wait, most)); err != nil {
		im.log.Warn("claim could not be let go, its lease will run out", "import_id", c.Import.ID, "error", err)
	}
}

func (im *Importer) giveUp(ctx context.Context, c *storage.Claim, wait time.Duration, most int) error {
	ctx, cancel := im.committing(ctx)
	defer cancel()
	return im.store.Abandon(ctx, c, wait, most)
}

// endSpan ends a span. What the error says stays in the log: the words of a
// database may hold a cell.
func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// batchSpan begins the span of a batch that ends before a row. Where it begins is
// the cursor, which the batch before it may be moving just now.
func (w *work) batchSpan(ctx context.Context, name string, to, rows int64) (context.Context, trace.Span) {
	return w.cfg.Tracer.Start(ctx, name, trace.WithAttributes(
		attribute.Int64("rollcall.to_row", to), attribute.Int64("rollcall.rows", rows)))
}

func ignoreLost(err error) error {
	if errors.Is(err, storage.ErrClaimLost) {
		return nil
	}
	return err
}

// work is one slice of one import under one claim.
type work struct {
	*Importer
	claim   *storage.Claim
	log     *slog.Logger
	until   time.Time
	invited bool
}

// passes runs the pass the import is in, and the next. A panic is an error like
// any other: the row at fault is found by ever smaller batches.
func (w *work) passes(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = w.panicked(p)
		}
	}()
	if w.claim.Import.Status == roster.Checking {
		if err := w.check(ctx); err != nil {
			return err
		}
	}
	if w.claim.Import.Status == roster.Importing {
		return w.apply(ctx)
	}
	return nil
}

// panicked logs where, not what: the value may hold a cell.
func (w *work) panicked(p any) error {
	w.meter.panics.WithLabelValues(atImport).Inc()
	w.log.Error("panic while working on an import", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	return errors.New("panic while working on an import")
}

// over reports whether to stop before the next batch.
func (w *work) over(ctx context.Context) bool {
	return ctx.Err() != nil || !time.Now().Before(w.until)
}
