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
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

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
// bounds, which are shorter but where the database is away and outcomes wait to be
// recorded: they are given settleGrace more.
const taskTimeout = 5 * time.Minute

// payload is all that Redis ever learns.
type payload struct {
	ID       uuid.UUID `json:"id"`
	Dispatch int64     `json:"dispatch"`
	More     []payload `json:"more,omitempty"` // invitations that go with the first
}

// parcel is how many invitations one task names at most: asynq goes to
// Redis three times for a task, from the ringing to its end.
const parcel = 64

// Bell rings tasks into Redis.
type Bell struct {
	redis  redis.UniversalClient
	client *asynq.Client
}

// NewBell makes a Bell; it connects lazily.
func NewBell(options asynq.RedisConnOpt) *Bell {
	client, ok := options.MakeRedisClient().(redis.UniversalClient)
	if !ok {
		panic(fmt.Sprintf("jobs: %T makes no Redis client", options))
	}
	return &Bell{client, asynq.NewClientFromRedisClient(client)}
}

// Close closes the connections.
func (b *Bell) Close() error { return b.redis.Close() }

// Ping reports whether Redis answers.
func (b *Bell) Ping() error { return b.client.Ping() }

// RingImport asks a worker to look at an import. dispatch numbers the task:
// ringing the same number twice is one task. A failure only delays: the sweeper
// rings again.
func (b *Bell) RingImport(ctx context.Context, id uuid.UUID, dispatch int64) error {
	return b.ring(ctx, kindImport, QueueImports, payload{ID: id, Dispatch: dispatch})
}

// ringInvitations asks a worker to send invitations, a parcel at the most.
func (b *Bell) ringInvitations(ctx context.Context, due []storage.DueInvitation) error {
	all := make([]payload, len(due))
	for i, d := range due {
		all[i] = payload{ID: d.UserID, Dispatch: int64(d.Dispatch)}
	}
	first := all[0]
	first.More = all[1:]
	return b.ring(ctx, kindInvitation, QueueMail, first)
}

// invitations are those a task names.
func (p payload) invitations() []storage.DueInvitation {
	due := make([]storage.DueInvitation, 0, 1+len(p.More))
	for _, one := range append([]payload{p}, p.More...) {
		due = append(due, storage.DueInvitation{UserID: one.ID, Dispatch: int32(one.Dispatch)})
	}
	return due
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
func (b *Bell) waiting(ctx context.Context, o storage.Overdue) (bool, error) {
	state, err := b.redis.HGet(ctx, taskKey(QueueImports, taskID(kindImport, payload{ID: o.ID, Dispatch: o.Dispatch})), "state").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, fmt.Errorf("look for task: %w", err)
	}
	return state == asynq.TaskStatePending.String(), nil
}

// mailBacklog is how many invitations wait in Redis at the most. Those in hand do
// not count: they are few, and those of a killed worker stay in hand for a minute
// and more.
func (b *Bell) mailBacklog(ctx context.Context) (int, error) {
	n, err := b.redis.LLen(ctx, pendingKey(QueueMail)).Result()
	if err != nil {
		return 0, fmt.Errorf("look at mail queue: %w", err)
	}
	return int(n) * parcel, nil
}

// Where asynq keeps a task, and the list of those that wait. Its Inspector
// would tell, but only for queues it finds in a set that a client writes to
// once in its life: after a FLUSHALL it takes a full queue for none.
func taskKey(queue, id string) string { return "asynq:{" + queue + "}:t:" + id }
func pendingKey(queue string) string  { return "asynq:{" + queue + "}:pending" }
