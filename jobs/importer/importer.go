// Package importer checks and imports files: two passes over the rows, in
// slices of a few seconds, each batch of rows in one transaction. Any number of
// workers may be told to run the same import; only one at a time does.
package importer

import (
	"cmp"
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

	"rollcall/internal/backoff"
	"rollcall/internal/tracing"
	"rollcall/roster"
	"rollcall/storage"
)

// Config bounds the work on one import. Zero values take the default.
type Config struct {
	MaxRows   int64         // rows per import; default 1,000,000
	BatchRows int           // rows per transaction; default 5,000
	Writers   int           // batches committed at once while no other import is running; default 2
	Slice     time.Duration // a run hands the import back after this; default 2 s
	Lease     time.Duration // a claim is valid for this long after each commit; default 12 s
	Timeout   time.Duration // one transaction at most; default 10 s, below Lease
	// ConvertTimeout is how long reading a workbook may take; default 4 min, less than
	// the limit of a task.
	ConvertTimeout time.Duration
	// MaxSheetBytes is the most bytes of values in a workbook's sheet; default 256 MiB.
	MaxSheetBytes int64
	// AdminScopes are the scopes with which a token may create administrators;
	// nil: those of storage.AdminScopes.
	AdminScopes []string
	// MaxDisable is how many users a full roster disables without approval: a
	// number, or a percentage of the source's; default roster.DefaultMaxDisable.
	MaxDisable string
	Tracer     trace.Tracer // of slices and batches; default: none
}

func (c *Config) setDefaults() {
	c.Slice = cmp.Or(c.Slice, 2*time.Second)
	c.Lease = cmp.Or(c.Lease, 12*time.Second)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.ConvertTimeout = cmp.Or(c.ConvertTimeout, 4*time.Minute)
	c.MaxSheetBytes = cmp.Or(c.MaxSheetBytes, 256<<20)
	c.MaxRows = cmp.Or(c.MaxRows, 1_000_000)
	c.BatchRows = cmp.Or(c.BatchRows, 5_000)
	if c.AdminScopes == nil {
		c.AdminScopes = storage.AdminScopes()
	}
	if c.Tracer == nil {
		c.Tracer = tracing.Off()
	}
	c.Writers = cmp.Or(c.Writers, 2)
	c.MaxDisable = cmp.Or(c.MaxDisable, roster.DefaultMaxDisable)
}

// Importer checks and imports files. Any number of importers, in any number of
// processes, may be told to run the same import; only one at a time does.
type Importer struct {
	store   *storage.Store
	log     *slog.Logger
	cfg     Config
	metrics *Metrics
	onRow   func(pass roster.Status, row int64)
	// isolation is held shared by imports that run side by side, and
	// exclusively by an import that has crashed repeatedly and must not take
	// others down with it.
	isolation sync.RWMutex
	// converting is held by the run that reads a workbook.
	converting chan struct{}
}

// New makes an Importer.
func New(store *storage.Store, log *slog.Logger, metrics *Metrics, cfg Config) *Importer {
	cfg.setDefaults()
	return &Importer{store: store, log: log, cfg: cfg, metrics: metrics, onRow: faultInjector(), converting: make(chan struct{}, 1)}
}

// OnRow sets a function that is called before each row is checked or imported.
// Tests make it panic, stall or fail to see that nothing is lost.
func (im *Importer) OnRow(f func(pass roster.Status, row int64)) { im.onRow = f }

// Result says what remains after a run.
type Result struct {
	More     bool  // the slice is over but the import is not: enqueue Dispatch
	Dispatch int64 // number of the task to enqueue
	Invited  bool  // invitations are due
}

// errSlice ends a pass whose slice is over, or whose worker is to stop.
var errSlice = errors.New("slice over")

// Run claims the import if no worker has it, and works on it for one slice. It
// stops between batches when ctx ends; the current batch commits first. It
// returns no error for an import that ended or that another worker has.
func (im *Importer) Run(ctx context.Context, id uuid.UUID) (result Result, err error) {
	claim, leave, err := im.acquire(ctx, id)
	defer leave()
	if errors.Is(err, storage.ErrNotClaimable) {
		return Result{}, nil
	}
	if err != nil {
		return Result{}, err
	}
	log := im.log.With("import_id", id, "fence", claim.Fence)
	ctx, span := im.cfg.Tracer.Start(tracing.Under(ctx, claim.TraceParent), "import slice", trace.WithAttributes(
		attribute.String("rollcall.import_id", id.String()), attribute.Int64("rollcall.fence", claim.Fence)))
	defer func() {
		span.SetAttributes(attribute.String("rollcall.import_status", string(claim.Import.Status)))
		endSpan(span, err)
	}()
	w := &importRun{importer: im, claim: claim, log: log, until: time.Now().Add(im.cfg.Slice)}
	err = w.run(ctx)
	result.Invited = w.invited
	switch {
	case err == nil:
		log.Info("import ended", "status", claim.Import.Status)
		return result, nil
	case errors.Is(err, errSlice), ctx.Err() != nil && storage.Interrupted(err): // reading was cut short
		result.Dispatch, err = im.release(ctx, claim)
		result.More = err == nil
		if errors.Is(err, storage.ErrClaimLost) {
			w.lost()
			return result, nil
		}
		return result, err
	case errors.Is(err, storage.ErrClaimLost):
		w.lost()
		return result, nil
	}
	im.releaseFailed(ctx, claim, err)
	return result, err
}

// lost records that the claim is lost, so nothing more of this work can be
// written.
func (w *importRun) lost() {
	w.importer.metrics.claimsLost.Inc()
	w.log.Info("claim lost: import taken over by another worker or canceled")
}

// acquire claims the import. One that has crashed repeatedly runs alone in this
// process: if it crashes the process, no other import is charged with the
// crash. While it waits for that it holds no claim, which could expire. The
// caller must call leave in any case.
func (im *Importer) acquire(ctx context.Context, id uuid.UUID) (claim *storage.Claim, leave func(), err error) {
	im.isolation.RLock()
	claim, err = im.claim(ctx, id)
	if err != nil || claim.Crashes < isolateAfter {
		return claim, im.isolation.RUnlock, err
	}
	err = im.failClaim(ctx, claim, 0, claim.Crashes)
	im.isolation.RUnlock()
	if err != nil {
		return nil, func() {}, err
	}
	im.isolation.Lock()
	claim, err = im.claim(ctx, id)
	return claim, im.isolation.Unlock, err
}

func (im *Importer) claim(ctx context.Context, id uuid.UUID) (*storage.Claim, error) {
	// Not ended by ctx, like a commit: a claim whose answer is lost blocks the
	// import until the lease expires.
	ctx, cancel := im.txContext(ctx)
	defer cancel()
	return im.store.ClaimImport(ctx, id, im.cfg.Lease)
}

// txContext returns the context of a transaction. It outlives ctx, because a
// batch that has begun should commit, but it has a timeout of its own.
func (im *Importer) txContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), im.cfg.Timeout)
}

func (im *Importer) release(ctx context.Context, c *storage.Claim) (int64, error) {
	ctx, cancel := im.txContext(ctx)
	defer cancel()
	return im.store.ReleaseClaim(ctx, c)
}

// abandonWait is the pause after crashes at one position.
var abandonWait = backoff.Policy{First: 100 * time.Millisecond, Max: 15 * time.Second}

// releaseFailed releases a claim after an error. If that fails too, the lease
// expires. A full or slow database is not the fault of a row, however long it
// lasts: batches get smaller, but no row fails.
func (im *Importer) releaseFailed(ctx context.Context, c *storage.Claim, cause error) {
	most := math.MaxInt32
	switch {
	case storage.Disconnected(cause):
		most = 1 // many batches at once would only be many to interrupt
	case storage.Interrupted(cause):
		most = quarantineAfter / 2
	}
	if err := ignoreLost(im.failClaim(ctx, c, abandonWait.Delay(c.Crashes+1), most)); err != nil {
		im.log.Warn("failed to release claim; lease will expire", "import_id", c.Import.ID, "error", err)
	}
}

func (im *Importer) failClaim(ctx context.Context, c *storage.Claim, wait time.Duration, most int) error {
	ctx, cancel := im.txContext(ctx)
	defer cancel()
	return im.store.FailClaim(ctx, c, wait, most)
}

// endSpan ends a span. The error text is only logged: a database error may
// contain a cell.
func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// batchSpan starts the span of a batch that ends before row to. It does not say
// where the batch starts: the previous batch may be moving the cursor right
// now.
func (w *importRun) batchSpan(ctx context.Context, name string, to, rows int64) (context.Context, trace.Span) {
	return w.importer.cfg.Tracer.Start(ctx, name, trace.WithAttributes(
		attribute.Int64("rollcall.to_row", to), attribute.Int64("rollcall.rows", rows)))
}

func ignoreLost(err error) error {
	if errors.Is(err, storage.ErrClaimLost) {
		return nil
	}
	return err
}

// importRun is one slice of one import under one claim.
type importRun struct {
	importer *Importer
	claim    *storage.Claim
	log      *slog.Logger
	until    time.Time
	valid    int64 // rows found valid under this claim
	waiting  int64 // rows deferred by the check, under earlier claims too
	invited  bool
	// adminsChange is by how many the rows checked so far change the number of
	// active administrators.
	adminsChange int
	spare        sync.Pool // of *[]rowResult: see spareResults
}

// run runs the pass the import is in, and the next. A panic is handled like any
// other error: smaller and smaller batches find the row at fault.
func (w *importRun) run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = w.panicked(p)
		}
	}()
	if w.claim.Import.Status == roster.Checking {
		if err := w.convert(ctx); err != nil {
			return err
		}
	}
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

// panicked logs the location, not the value: that may contain a cell.
func (w *importRun) panicked(p any) error {
	w.importer.metrics.panics.Inc()
	w.log.Error("panic while working on an import", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	return errors.New("panic while working on an import")
}

// shouldStop reports whether to stop before the next batch.
func (w *importRun) shouldStop(ctx context.Context) bool {
	return ctx.Err() != nil || !time.Now().Before(w.until)
}
