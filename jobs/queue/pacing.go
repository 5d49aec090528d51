package queue

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const (
	// refusedPause is how long a worker waits after Redis refused to give it a task.
	refusedPause = time.Second
	// emptyWait is how long it waits for a task at most before it asks again. The
	// lease that asynq asked for with the previous request runs meanwhile.
	emptyWait = 4 * time.Second
	// pollPause is how long it waits if Redis cannot make it wait.
	pollPause = 10 * time.Millisecond
)

// TaskCheckInterval is asynq's own wait after an empty answer, in addition to
// ours.
const TaskCheckInterval = time.Millisecond

// Paced returns options for the asynq server of one queue, until stop ends.
// asynq polls, and asks for the next task again at once after an error. Here its
// request for a task returns only when there is one to ask for, some seconds
// have passed, or, after an error, a second has.
func Paced(stop context.Context, options asynq.RedisConnOpt, queue string) asynq.RedisConnOpt {
	return pacedOptions{stop, options, queue}
}

type pacedOptions struct {
	stop    context.Context
	options asynq.RedisConnOpt
	queue   string
}

// MakeRedisClient implements [asynq.RedisConnOpt].
func (o pacedOptions) MakeRedisClient() any {
	made := o.options.MakeRedisClient()
	if client, ok := made.(redis.UniversalClient); ok {
		client.AddHook(&pacing{redis: client, stop: o.stop, queue: o.queue})
	}
	return made
}

// pacing is a hook of the Redis client that delays the answer to asynq's request
// for a task. asynq makes one such request at a time.
type pacing struct {
	redis redis.UniversalClient
	stop  context.Context
	queue string
	woken bool // the last wait ended because there was a task
}

// DialHook implements [redis.Hook].
func (p *pacing) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return next(ctx, network, address)
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (p *pacing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, all []redis.Cmder) error { return next(ctx, all) }
}

// ProcessHook implements [redis.Hook].
func (p *pacing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		switch {
		case !p.asksForTask(cmd) || redis.HasErrorPrefix(err, "NOSCRIPT"):
		case err == nil:
			p.woken = false
		case errors.Is(err, redis.Nil):
			p.awaitTask(ctx)
		default:
			p.pause(refusedPause)
		}
		return err
	}
}

// awaitTask returns when the queue has a task. BLMOVE from the end of the list
// to the same end waits for one and changes nothing; Redis wakes all who wait.
func (p *pacing) awaitTask(ctx context.Context) {
	if p.woken { // another worker was faster, or the queue is paused
		p.woken = false
		p.pause(pollPause)
		return
	}
	list := pendingKey(p.queue)
	result := make(chan error, 1)
	// Run in a goroutine because the client does not stop waiting for an answer.
	// At a stop, asynq closes the client, and so ends it.
	go func() { result <- p.redis.BLMove(ctx, list, list, "RIGHT", "RIGHT", emptyWait).Err() }()
	select {
	case err := <-result:
		if p.woken = err == nil; err != nil && !errors.Is(err, redis.Nil) {
			p.pause(pollPause) // no permission, or older than Redis 6.2
		}
	case <-p.stop.Done():
	}
}

// asksForTask recognizes asynq's script that takes a task from its queue, by
// its keys: EVALSHA hash 4 pending paused active lease.
func (p *pacing) asksForTask(cmd redis.Cmder) bool {
	args := cmd.Args()
	return len(args) > 6 && args[2] == any(4) && args[3] == any(pendingKey(p.queue)) && args[4] == any(pausedKey(p.queue))
}

func (p *pacing) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.stop.Done():
	}
}
