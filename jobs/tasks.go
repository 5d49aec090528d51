// Package jobs does the work behind the API: it checks and imports files, sends
// invitations and keeps house. PostgreSQL is the truth and Redis a doorbell: a
// task in Redis holds only an id and says "look there". Losing one delays,
// repeating one changes nothing.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"rollcall/storage"
)

// Kinds of tasks. No kind is a prefix of another: asynq's mux matches prefixes.
const (
	kindImport     = "import:run"
	kindInvitation = "invitation:send"
)

// Queues, each with its own workers: a slow mail server never holds up an import.
const (
	QueueImports = "imports"
	QueueMail    = "mail"
)

// taskTimeout is when asynq gives up on a handler. It is a net below our own
// bounds, which all are shorter.
const taskTimeout = 5 * time.Minute

// payload is all that Redis ever learns.
type payload struct {
	ID       uuid.UUID `json:"id"`
	Dispatch int64     `json:"dispatch"`
}

// Bell rings tasks into Redis.
type Bell struct {
	client    *asynq.Client
	inspector *asynq.Inspector
}

// NewBell makes a Bell; it connects lazily.
func NewBell(redis asynq.RedisConnOpt) *Bell {
	return &Bell{client: asynq.NewClient(redis), inspector: asynq.NewInspector(redis)}
}

// Close closes the connections.
func (b *Bell) Close() error { return errors.Join(b.client.Close(), b.inspector.Close()) }

// Ping reports whether Redis answers.
func (b *Bell) Ping() error { return b.client.Ping() }

// RingImport asks a worker to look at an import. dispatch numbers the task:
// ringing the same number twice is one task. A failure only delays: the sweeper
// rings again.
func (b *Bell) RingImport(ctx context.Context, id uuid.UUID, dispatch int64) error {
	return b.ring(ctx, kindImport, QueueImports, payload{id, dispatch})
}

// ringInvitation asks a worker to send one invitation.
func (b *Bell) ringInvitation(ctx context.Context, d storage.DueInvitation) error {
	return b.ring(ctx, kindInvitation, QueueMail, payload{d.UserID, int64(d.Dispatch)})
}

// ring enqueues a task under an id of its own. The number in it is why neither
// Retention nor Unique is needed: an archived or leaked id is never asked for
// again. Retries are the database's business, so asynq makes none.
func (b *Bell) ring(ctx context.Context, kind, queue string, p payload) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = b.client.EnqueueContext(ctx, asynq.NewTask(kind, body),
		asynq.TaskID(taskID(kind, p)), asynq.Queue(queue), asynq.MaxRetry(0), asynq.Timeout(taskTimeout))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("ring %s: %w", kind, err)
	}
	return nil
}

func taskID(kind string, p payload) string {
	return fmt.Sprintf("%s:%s:%d", kind, p.ID, p.Dispatch)
}

// waiting reports whether the import's last task still waits for a worker.
func (b *Bell) waiting(o storage.Overdue) (bool, error) {
	info, err := b.inspector.GetTaskInfo(QueueImports, taskID(kindImport, payload{o.ID, o.Dispatch}))
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for task: %w", err)
	}
	return info.State == asynq.TaskStatePending || info.State == asynq.TaskStateScheduled, nil
}

// mailBacklog is how many mail tasks are in Redis, waiting or running.
func (b *Bell) mailBacklog() (int, error) {
	queues, err := b.inspector.Queues()
	if err != nil {
		return 0, fmt.Errorf("list queues: %w", err)
	}
	if !slices.Contains(queues, QueueMail) {
		return 0, nil // nothing was ever in it, or Redis was emptied
	}
	info, err := b.inspector.GetQueueInfo(QueueMail)
	if err != nil {
		return 0, fmt.Errorf("look at mail queue: %w", err)
	}
	return info.Pending + info.Active, nil
}
