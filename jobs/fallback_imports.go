package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall/jobs/queue"
	"rollcall/storage"
)

// maxFallbackImports is how many imports take turns at once.
const maxFallbackImports = 100

// fallbackImports works on imports whose tasks do not arrive, because Redis is away
// or does not pass them on. It does one import at a time, in the usual slices.
type fallbackImports struct {
	store   *storage.Store
	wakeups *wakeups
	silence time.Duration // without a task for this long, it looks into PostgreSQL
	every   time.Duration // between looks
	overdue time.Duration // an import that no worker has claimed in this time is stalled
	run     func(ctx context.Context, id uuid.UUID) (more bool)
}

// loop returns when ctx has ended.
func (f *fallbackImports) loop(ctx context.Context) {
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for unfinished := f.turn(ctx, nil); len(unfinished) > 0; {
			unfinished = f.turn(ctx, unfinished)
		}
	}
}

// turn gives each stalled import, and those unfinished, one slice. It returns
// which need more.
func (f *fallbackImports) turn(ctx context.Context, unfinished []uuid.UUID) (again []uuid.UUID) {
	if !f.wakeups.none(f.silence) {
		return nil
	}
	stalled, err := f.store.StalledImports(ctx, f.overdue, maxFallbackImports)
	if err != nil {
		return nil // the sweeper logs that the database is unavailable
	}
	for _, o := range stalled {
		unfinished = append(unfinished, o.ID)
	}
	for _, id := range unfinished {
		if ctx.Err() != nil || !f.wakeups.none(f.silence) {
			return nil // tasks come again; what is left gets one
		}
		if f.run(ctx, id) {
			again = append(again, id)
		}
	}
	return again
}

// importWithoutTask is [fallbackImports.run].
func (w *Worker) importWithoutTask(ctx context.Context, id uuid.UUID) (more bool) {
	w.metrics.withoutTask.WithLabelValues("import").Inc()
	w.guard(queue.KindImport, func() error {
		result, err := w.importSlice(ctx, id)
		more = result.More && err == nil && ctx.Err() == nil
		return err
	})
	return more
}
