// Package queue enqueues tasks in Redis, through asynq. A task carries only IDs
// and tells a worker to look into PostgreSQL, where all state lives: losing a task
// delays work, repeating one has no effect.
package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/jobs/invitations"
	"rollcall/storage"
)

// Kinds of tasks. No kind is a prefix of another: asynq's mux matches prefixes.
const (
	KindImport     = "import:run"
	KindInvitation = "invitation:send"
)

// Queues, each with its own workers: a slow mail server never holds up an import.
const (
	Imports = "imports"
	Mail    = "mail"
)

// taskTimeout is when asynq gives up on a handler. Our own limits are shorter,
// except that recording outcomes may take some seconds more while the database
// is unavailable.
const taskTimeout = 5 * time.Minute

// Payload is all that Redis stores: a task's subject and its dispatch number.
type Payload struct {
	ID       uuid.UUID `json:"id"`
	Dispatch int64     `json:"dispatch"`
	Reminder bool      `json:"reminder,omitempty"` // ID is that of a reminder
	More     []Payload `json:"more,omitempty"`     // invitations that go with the first
}

// Queue enqueues tasks. It is safe for concurrent use.
//
// It reports failures itself, one line for each episode: see [Queue.Run].
// Callers need not log the errors they get.
type Queue struct {
	redis  redis.UniversalClient
	client *asynq.Client
	health *health
}

// New makes a Queue; it connects lazily. log gets what [Queue.Run] has to report.
func New(options asynq.RedisConnOpt, log *slog.Logger) *Queue {
	client, ok := options.MakeRedisClient().(redis.UniversalClient)
	if !ok {
		panic(fmt.Sprintf("queue: %T makes no Redis client", options))
	}
	return &Queue{client, asynq.NewClientFromRedisClient(client), newHealth(client, log)}
}

// Close closes the connections.
func (q *Queue) Close() error { return q.redis.Close() }

// EnqueueImport asks a worker to look at an import. dispatch numbers the task:
// enqueueing the same number twice makes one task. A failure only delays the
// import: the sweeper enqueues it again.
func (q *Queue) EnqueueImport(ctx context.Context, id uuid.UUID, dispatch int64) error {
	return q.enqueue(ctx, KindImport, Imports, Payload{ID: id, Dispatch: dispatch})
}

// EnqueueInvitations asks a worker to send invitations and reminders, at most
// [invitations.MaxPerTask].
func (q *Queue) EnqueueInvitations(ctx context.Context, due []storage.DueInvitation) error {
	all := make([]Payload, len(due))
	for i, d := range due {
		all[i] = Payload{ID: d.UserID, Dispatch: int64(d.Dispatch)}
		if d.ReminderID != uuid.Nil {
			all[i].ID, all[i].Reminder = d.ReminderID, true
		}
	}
	first := all[0]
	first.More = all[1:]
	return q.enqueue(ctx, KindInvitation, Mail, first)
}

// Invitations returns the invitations that a task names.
func (p Payload) Invitations() []storage.DueInvitation {
	due := make([]storage.DueInvitation, 0, 1+len(p.More))
	for _, one := range append([]Payload{p}, p.More...) {
		d := storage.DueInvitation{UserID: one.ID, Dispatch: int32(one.Dispatch)}
		if one.Reminder {
			d.UserID, d.ReminderID = uuid.Nil, one.ID
		}
		due = append(due, d)
	}
	return due
}

// enqueue enqueues a task under an ID of its own. The dispatch number in it is why
// neither Retention nor Unique is needed: an archived or leaked ID is never used
// again. PostgreSQL decides about retries, so asynq makes none.
func (q *Queue) enqueue(ctx context.Context, kind, queue string, p Payload) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := q.health.unavailable(); err != nil {
		return err
	}
	_, err = q.client.EnqueueContext(ctx, asynq.NewTask(kind, body),
		asynq.TaskID(taskID(kind, p)), asynq.Queue(queue), asynq.MaxRetry(0), asynq.Timeout(taskTimeout))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		q.Report(err)
		return fmt.Errorf("enqueue %s: %w", kind, err)
	}
	return nil
}

func taskID(kind string, p Payload) string {
	return fmt.Sprintf("%s:%s:%d", kind, p.ID, p.Dispatch)
}

// ImportPending reports whether the import's last task still waits for a worker.
func (q *Queue) ImportPending(ctx context.Context, o storage.StalledImport) (bool, error) {
	if err := q.health.unavailable(); err != nil {
		return false, err
	}
	state, err := q.redis.HGet(ctx, taskKey(Imports, taskID(KindImport, Payload{ID: o.ID, Dispatch: o.Dispatch})), "state").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		q.Report(err)
		return false, fmt.Errorf("look for task: %w", err)
	}
	return state == asynq.TaskStatePending.String(), nil
}

// InvitationBacklog returns how many invitations wait in Redis at most. Those
// that a worker has taken do not count: they are few, and asynq keeps those of
// a killed worker for more than a minute.
func (q *Queue) InvitationBacklog(ctx context.Context) (int, error) {
	if err := q.health.unavailable(); err != nil {
		return 0, err
	}
	n, err := q.redis.LLen(ctx, pendingKey(Mail)).Result()
	if err != nil {
		q.Report(err)
		return 0, fmt.Errorf("look at mail queue: %w", err)
	}
	return int(n) * invitations.MaxPerTask, nil
}

// taskKey, pendingKey and pausedKey say where asynq keeps a task, its list of
// pending tasks, and the mark of a queue that is paused. Its Inspector could, but
// only for queues in a set that a client writes once in its life: after a FLUSHALL
// it would report a full queue as missing.
func taskKey(queue, id string) string { return "asynq:{" + queue + "}:t:" + id }
func pendingKey(queue string) string  { return "asynq:{" + queue + "}:pending" }
func pausedKey(queue string) string   { return "asynq:{" + queue + "}:paused" }
