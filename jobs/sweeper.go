package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"rollcall/storage"
)

const (
	sweepMost = 1000             // imports rung in one sweep
	undoMost  = 5 * time.Second  // going on with undos in one sweep
	foldEvery = 10 * time.Second // between foldings of the tallies
	marksAge  = 24 * time.Hour   // of marks that are left over
)

// sweeper sets going again what got stuck, and clears away what is over. Its
// periods are one tick each over all workers.
type sweeper struct {
	store     *storage.Store
	bell      *Bell
	log       *slog.Logger
	meter     *Metrics
	every     time.Duration // between sweeps
	overdue   time.Duration // a task not taken up in this time may be lost
	purges    time.Duration // between purges
	retention time.Duration
}

// run returns when ctx has ended. A long purge or undo is in no sweep's way.
func (s *sweeper) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { s.repeat(ctx, "imports", s.every, s.ringOverdue) })
	all.Go(func() { s.repeat(ctx, "undo", s.every, s.undo) })
	all.Go(func() { s.repeat(ctx, "purge", s.purges, s.purge) })
	all.Go(func() { s.repeat(ctx, "deliveries", s.purges, s.purgeDeliveries) })
	all.Go(func() {
		s.repeat(ctx, "marks", s.purges, func(ctx context.Context) error { return s.store.ForgetHandedOver(ctx, marksAge) })
	})
	all.Go(func() { s.repeat(ctx, "tallies", foldEvery, s.store.FoldTallies) })
	all.Wait()
}

func (s *sweeper) repeat(ctx context.Context, name string, period time.Duration, do func(context.Context) error) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		s.once(ctx, name, period, do)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// once does a piece of upkeep if this worker is the one to do it this period.
func (s *sweeper) once(ctx context.Context, name string, period time.Duration, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	mine, err := s.store.Tick(ctx, name, period)
	if err == nil && mine {
		err = do(ctx)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("upkeep failed, it will be tried again", "upkeep", name, "error", err)
	}
}

// ringOverdue rings for imports that have work, no worker, and no task waiting
// in Redis.
func (s *sweeper) ringOverdue(ctx context.Context) error {
	overdue, err := s.store.OverdueImports(ctx, s.overdue, sweepMost)
	if err != nil {
		return err
	}
	for _, o := range overdue {
		waiting, err := s.bell.waiting(ctx, o)
		if err != nil {
			return err // Redis is away: the next sweep will find the same
		}
		if waiting {
			continue
		}
		dispatch, err := s.store.RingAgain(ctx, o)
		if errors.Is(err, storage.ErrNotClaimable) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.bell.RingImport(ctx, o.ID, dispatch); err != nil {
			return err
		}
		s.meter.sweeps.WithLabelValues("import").Inc()
		s.log.Info("rang again for an import nobody had in hand", "import_id", o.ID)
	}
	return nil
}

// undo goes on with undos that whoever asked for them did not wait for, each
// import in its turn.
func (s *sweeper) undo(ctx context.Context) error {
	ids, err := s.store.Undoing(ctx)
	if err != nil {
		return err
	}
	for end := time.Now().Add(undoMost); len(ids) > 0 && time.Now().Before(end); {
		u, err := s.store.UndoStep(ctx, ids[0])
		if err != nil {
			return err
		}
		if u.FinishedAt == nil {
			ids = append(ids, ids[0])
		} else {
			s.log.Info("undo finished", "import_id", ids[0])
		}
		ids = ids[1:]
	}
	return nil
}

// purge takes what is older than retention, in steps too small to be in anyone's
// way, until nothing is left or the time is up.
func (s *sweeper) purge(ctx context.Context) error {
	for ctx.Err() == nil {
		done, err := s.store.PurgeImport(ctx, s.retention)
		if err != nil {
			return err
		}
		if done {
			return errors.Join(s.store.ForgetSessions(ctx), s.store.ForgetEnrolments(ctx))
		}
		s.meter.sweeps.WithLabelValues("purge").Inc()
	}
	return nil
}

// purgeDeliveries does the same to the log of webhooks.
func (s *sweeper) purgeDeliveries(ctx context.Context) error {
	for ctx.Err() == nil {
		if done, err := s.store.PurgeDeliveries(ctx, s.retention); err != nil || done {
			return err
		}
	}
	return nil
}
