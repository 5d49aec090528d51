package importer

import (
	"context"
	"errors"
	"time"

	"rollcall/storage"
)

// commitPipeline commits several batches of one import concurrently, each in
// its own transaction, in file order. Rows of different batches are
// independent, so PostgreSQL inserts them in parallel; only the final step,
// advancing the cursor, waits for the previous batch.
type commitPipeline struct {
	run          *importRun
	most         int
	orderTimeout time.Duration    // how long a batch keeps its rows locked while it waits for the previous one
	pending      []*pendingCommit // in file order
	last         *pendingCommit   // started last; nil: none yet
}

// pendingCommit is one batch being committed.
type pendingCommit struct {
	batch   storage.Batch
	began   time.Time
	done    chan struct{} // closed when applied and err are final
	applied storage.Applied
	late    bool // the previous batch took too long
	err     error
}

var (
	// errPredecessorFailed: the previous batch was not committed.
	errPredecessorFailed = errors.New("previous batch not committed")
	// errOrderTimeout: the previous batch took too long. It may be waiting for rows
	// that this one holds.
	errOrderTimeout = errors.New("previous batch took too long")
)

// start starts committing a batch, after all batches started before it.
func (p *commitPipeline) start(ctx context.Context, b storage.Batch) {
	now := &pendingCommit{batch: b, began: time.Now(), done: make(chan struct{})}
	before := p.last
	p.pending, p.last = append(p.pending, now), now
	go func() {
		defer close(now.done)
		defer func() {
			if cause := recover(); cause != nil {
				now.err = p.run.panicked(cause)
			}
		}()
		now.applied, now.late, now.err = p.commit(ctx, b, before)
	}()
}

// commit commits a batch. If the previous batch takes too long, it rolls back,
// waits without holding locks, and starts over.
func (p *commitPipeline) commit(ctx context.Context, b storage.Batch, before *pendingCommit) (applied storage.Applied, late bool, err error) {
	if before == nil {
		applied, err = p.run.applyBatch(ctx, b)
		return applied, false, err
	}
	b.WaitForPrevious = func(ctx context.Context) error { return before.waitCommitted(ctx, p.orderTimeout) }
	if applied, err = p.run.applyBatch(ctx, b); !errors.Is(err, errOrderTimeout) {
		return applied, false, err
	}
	b.WaitForPrevious = nil
	<-before.done // it has a timeout of its own
	if before.err != nil {
		return applied, true, errPredecessorFailed
	}
	applied, err = p.run.applyBatch(ctx, b)
	return applied, true, err
}

// waitCommitted waits until the batch is committed; it returns an error if the
// batch failed or takes too long.
func (f *pendingCommit) waitCommitted(ctx context.Context, orderTimeout time.Duration) error {
	late := time.NewTimer(orderTimeout)
	defer late.Stop()
	select {
	case <-f.done:
	case <-late.C:
		return errOrderTimeout
	case <-ctx.Done():
		return ctx.Err()
	}
	if f.err != nil {
		return errPredecessorFailed
	}
	return nil
}

// waitOldest waits for the first pending batch, and returns it if it was
// committed. After a late batch, the following ones are committed one by one,
// because the conflict it waited for is likely to continue.
func (p *commitPipeline) waitOldest() (*pendingCommit, error) {
	first := p.pending[0]
	<-first.done
	p.pending = p.pending[1:]
	if first.late {
		p.run.importer.metrics.orderTimeouts.Inc()
		p.most = 1
	}
	return first, first.err
}

// wait returns when no batch is pending.
func (p *commitPipeline) wait() {
	for _, one := range p.pending {
		<-one.done
	}
}
