package jobs

import (
	"context"
	"sync"
	"time"

	"rollcall/jobs/invitations"
	"rollcall/jobs/queue"
	"rollcall/storage"
)

// mailQueue is where the dispatcher puts what is due: into Redis or, if nothing
// has come out of it for a while, straight to this worker's sender.
type mailQueue struct {
	redis   *queue.Queue
	wakeups *wakeups
	silence time.Duration // without a task for this long, the sender gets them directly
	places  chan struct{} // one token for each task sent directly
	send    func(due []storage.DueInvitation)

	running  sync.WaitGroup // tasks on their way to the sender
	mu       sync.Mutex
	stuck    time.Time // since when Redis has failed or kept what it has; zero: it works
	refused  bool      // the last enqueuing failed
	bypassed int       // how many are running
	leftover bool      // Redis still keeps tasks
}

// InvitationBacklog returns how many invitations wait for a worker.
func (m *mailQueue) InvitationBacklog(ctx context.Context) (int, error) {
	n, err := m.redis.InvitationBacklog(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leftover = err == nil && n > 0
	if err != nil || n > 0 || m.refused {
		m.fails()
	} else {
		m.stuck = time.Time{}
	}
	if m.bypassing() {
		return m.bypassed * invitations.MaxPerTask, nil
	}
	return n, err
}

// EnqueueInvitations hands one task to a worker.
func (m *mailQueue) EnqueueInvitations(ctx context.Context, due []storage.DueInvitation) error {
	m.mu.Lock()
	bypass := m.bypassing()
	keeps := m.leftover
	m.mu.Unlock()
	var err error
	if !bypass || !keeps {
		err = m.redis.EnqueueInvitations(ctx, due)
		m.mu.Lock()
		if m.refused = err != nil; m.refused {
			m.fails()
		}
		m.mu.Unlock()
		if err == nil || !bypass {
			return err
		}
	}
	m.mu.Lock()
	m.bypassed++
	m.mu.Unlock()
	m.running.Go(func() {
		m.places <- struct{}{}
		defer func() {
			<-m.places
			m.mu.Lock()
			m.bypassed--
			m.mu.Unlock()
		}()
		m.send(due)
	})
	return nil
}

// fails notes when the trouble began: Redis is only asked when something is due.
// m.mu is held.
func (m *mailQueue) fails() {
	if m.stuck.IsZero() {
		m.stuck = time.Now().Add(-m.redis.UnavailableFor())
	}
}

// bypassing reports whether Redis has been of no use for long enough. m.mu is
// held.
func (m *mailQueue) bypassing() bool {
	return !m.stuck.IsZero() && time.Since(m.stuck) >= m.silence && m.wakeups.none(m.silence)
}

// sendWithoutTask is [mailQueue.send].
func (w *Worker) sendWithoutTask(ctx context.Context, due []storage.DueInvitation) {
	w.metrics.withoutTask.WithLabelValues("invitation").Inc()
	w.guard(queue.KindInvitation, func() error { return w.sendInvitations(ctx, due) })
}
