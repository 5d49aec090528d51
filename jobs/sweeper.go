package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"rollcall/jobs/queue"
	"rollcall/storage"
)

const (
	maxRequeues      = 1000            // imports enqueued in one sweep
	maxUndoTime      = 5 * time.Second // spent on continuing undos in one sweep
	handoffRetention = 24 * time.Hour  // of hand-off marks that were never cleared
	mailWorkerLook   = 2 * time.Second // between looks for heartbeats of mail workers
	searchLook       = 5 * time.Second // between looks for users to make searchable
	searchSettled    = 2 * time.Minute // how old an id must be: until then, transactions may still add users with older ids
)

// sweeper restarts stalled work and deletes expired data. Each period ticks
// once across all workers.
type sweeper struct {
	store     *storage.Store
	queue     *queue.Queue
	log       *slog.Logger
	metrics   *Metrics
	every     time.Duration // between sweeps
	overdue   time.Duration // a task not taken up in this time may be lost
	purges    time.Duration // between purges
	retention time.Duration
	reminders Reminders
}

// run returns when ctx has ended. A long purge or undo does not delay sweeps.
func (s *sweeper) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { s.repeatIfAny(ctx, "imports", s.every, s.anyStalled, s.requeueStalled) })
	all.Go(func() { s.repeatIfAny(ctx, "undo", s.every, s.anyUndo, s.undo) })
	all.Go(func() { s.repeat(ctx, "purge", s.purges, s.purge) })
	all.Go(func() { s.repeat(ctx, "uploads", s.purges, s.purgeUploads) })
	all.Go(func() { s.repeat(ctx, "deliveries", s.purges, s.purgeDeliveries) })
	all.Go(func() { s.repeat(ctx, "changes", s.purges, s.purgeChanges) })
	all.Go(func() {
		s.repeat(ctx, "marks", s.purges, func(ctx context.Context) error { return s.store.PurgeHandoffs(ctx, handoffRetention) })
	})
	all.Go(func() { s.repeat(ctx, "mail counts", s.purges, s.store.PurgeReplaced) })
	all.Go(func() { s.repeat(ctx, "mail workers", mailWorkerLook, s.removeDeadMailWorkers) })
	all.Go(func() { s.repeat(ctx, "mail refusals", s.purges, s.store.PurgeRefusals) })
	all.Go(func() { s.repeatIfAny(ctx, "search", searchLook, s.searchBehind, s.updateSearch) })
	all.Go(func() { s.remind(ctx) })
	all.Go(func() { s.repeat(ctx, "missed imports", s.purges, s.noticeMissedImports) })
	all.Wait()
}

func (s *sweeper) repeat(ctx context.Context, name string, period time.Duration, do func(context.Context) error) {
	every(ctx, period, func() { s.once(ctx, name, period, do) })
}

// repeatIfAny is repeat for what is looked for often: while there is nothing to do,
// no worker claims the period, which would write.
func (s *sweeper) repeatIfAny(ctx context.Context, name string, period time.Duration, any func(context.Context) (bool, error), do func(context.Context) error) {
	every(ctx, period, func() {
		if found, err := any(ctx); found || err != nil { // once logs that the database is unavailable
			s.once(ctx, name, period, do)
		}
	})
}

func (s *sweeper) anyStalled(ctx context.Context) (bool, error) {
	found, err := s.store.StalledImports(ctx, s.overdue, 1)
	return len(found) > 0, err
}

func (s *sweeper) anyUndo(ctx context.Context) (bool, error) {
	found, err := s.store.PendingUndos(ctx)
	return len(found) > 0, err
}

func (s *sweeper) searchBehind(ctx context.Context) (bool, error) {
	return s.store.UserSearchBehind(ctx, searchSettled)
}

// updateSearch makes users searchable, in small steps, until no more are left or an
// import needs the database.
func (s *sweeper) updateSearch(ctx context.Context) error {
	for behind := true; behind && ctx.Err() == nil; {
		done, err := s.store.UpdateUserSearch(ctx, searchSettled)
		if err != nil || done {
			return err
		}
		if behind, err = s.searchBehind(ctx); err != nil {
			return err
		}
	}
	return nil
}

// every calls do now and after each period until ctx ends.
func every(ctx context.Context, period time.Duration, do func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// once runs a maintenance task if this worker is the one to run it this period.
func (s *sweeper) once(ctx context.Context, name string, period time.Duration, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	mine, err := s.store.ClaimPeriod(ctx, name, period)
	if err == nil && mine {
		err = do(ctx)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("maintenance task failed; will retry", "upkeep", name, "error", err)
	}
}

// requeueStalled enqueues imports that have work, no worker, and no task
// waiting in Redis.
func (s *sweeper) requeueStalled(ctx context.Context) error {
	overdue, err := s.store.StalledImports(ctx, s.overdue, maxRequeues)
	if err != nil {
		return err
	}
	for _, o := range overdue {
		waiting, err := s.queue.ImportPending(ctx, o)
		if err != nil {
			return nil // the queue logs it; the next sweep finds the same imports
		}
		if waiting {
			continue
		}
		dispatch, err := s.store.NextDispatch(ctx, o)
		if errors.Is(err, storage.ErrNotClaimable) {
			continue
		}
		if err != nil {
			return err
		}
		if s.queue.EnqueueImport(ctx, o.ID, dispatch) != nil {
			return nil
		}
		s.metrics.requeued.Inc()
		s.log.Info("requeued stalled import", "import_id", o.ID)
	}
	return nil
}

// removeDeadMailWorkers frees the claims of workers that were killed.
func (s *sweeper) removeDeadMailWorkers(ctx context.Context) error {
	dead, err := s.store.RemoveDeadMailWorkers(ctx)
	if dead > 0 {
		s.log.Warn("workers ended without releasing their invitations; others send them", "workers", dead)
	}
	return err
}

// noticeMissedImports has administrators told that an import did not come.
func (s *sweeper) noticeMissedImports(ctx context.Context) error {
	n, err := s.store.NoticeMissedImports(ctx)
	if n > 0 {
		s.log.Warn("an expected import did not come; administrators are told", "tokens", n)
	}
	return err
}

// undo continues undos that their callers did not wait for, one import after
// the other.
func (s *sweeper) undo(ctx context.Context) error {
	ids, err := s.store.PendingUndos(ctx)
	if err != nil {
		return err
	}
	for end := time.Now().Add(maxUndoTime); len(ids) > 0 && time.Now().Before(end); {
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

// purge deletes what is older than retention, in steps too small to block other
// work, until nothing is left or time is up.
func (s *sweeper) purge(ctx context.Context) error {
	for ctx.Err() == nil {
		done, err := s.store.PurgeImport(ctx, s.retention)
		if err != nil {
			return err
		}
		if done {
			return errors.Join(s.store.PurgeSessions(ctx), s.store.PurgeEnrollments(ctx))
		}
		s.metrics.purgeSteps.Inc()
	}
	return nil
}

// purgeUploads takes what is left of uploads that ended with their process, and
// the counts of bytes of days that are over.
func (s *sweeper) purgeUploads(ctx context.Context) error {
	for ctx.Err() == nil {
		if done, err := s.store.PurgeUpload(ctx); err != nil || done {
			return errors.Join(err, s.store.PurgeUploadBudgets(ctx))
		}
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

// purgeChanges deletes changes of users that are past their own retention.
func (s *sweeper) purgeChanges(ctx context.Context) error {
	for ctx.Err() == nil {
		if done, err := s.store.PurgeChanges(ctx); err != nil || done {
			return err
		}
	}
	return nil
}
