package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"rollcall/storage"
)

// The sweeper's periods, each one tick over all workers.
const (
	sweepEvery  = 2 * time.Second
	purgeEvery  = time.Minute
	ringOverdue = 3 * time.Second // a task not taken up in this time may be lost
	sweepMost   = 1000            // imports rung in one sweep
)

// sweeper sets going again what got stuck, and clears away what is over.
type sweeper struct {
	store     *storage.Store
	bell      *Bell
	log       *slog.Logger
	meter     *Metrics
	retention time.Duration
}

func (s *sweeper) run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		s.once(ctx, "imports", sweepEvery, s.ringOverdue)
		s.once(ctx, "purge", purgeEvery, s.purge)
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
	overdue, err := s.store.OverdueImports(ctx, ringOverdue, sweepMost)
	if err != nil {
		return err
	}
	for _, o := range overdue {
		waiting, err := s.bell.waiting(o)
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

// purge takes what is older than retention, in steps too small to be in anyone's
// way, until nothing is left or the time is up.
func (s *sweeper) purge(ctx context.Context) error {
	for ctx.Err() == nil {
		done, err := s.store.PurgeImport(ctx, s.retention)
		if err != nil {
			return err
		}
		if done {
			return s.store.ForgetSessions(ctx)
		}
		s.meter.sweeps.WithLabelValues("purge").Inc()
	}
	return nil
}
