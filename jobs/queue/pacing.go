package queue

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// refusedPause is how long a worker waits after Redis refused to give it a task.
const refusedPause = time.Second

// Paced returns options for the asynq server of one queue, until stop ends.
// asynq asks for the next task again at once after an error, which would keep a
// core and a Redis busy that refuses everything; here it waits.
func Paced(stop context.Context, options asynq.RedisConnOpt, queue string) asynq.RedisConnOpt {
	return pacedOptions{options, pacing{stop: stop, queue: queue}}
}

type pacedOptions struct {
	options asynq.RedisConnOpt
	pacing  pacing
}

// MakeRedisClient implements [asynq.RedisConnOpt].
func (o pacedOptions) MakeRedisClient() any {
	made := o.options.MakeRedisClient()
	if client, ok := made.(redis.UniversalClient); ok {
		client.AddHook(o.pacing)
	}
	return made
}

// pacing is a hook of the Redis client that delays the answer to asynq's request
// for a task.
type pacing struct {
	stop  context.Context
	queue string
}

// DialHook implements [redis.Hook].
func (p pacing) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return next(ctx, network, address)
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (p pacing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, all []redis.Cmder) error { return next(ctx, all) }
}

// ProcessHook implements [redis.Hook].
func (p pacing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil || !p.asksForTask(cmd) || redis.HasErrorPrefix(err, "NOSCRIPT") {
			return err
		}
		if !errors.Is(err, redis.Nil) {
			p.pause(refusedPause)
		}
		return err
	}
}

// asksForTask recognizes asynq's script that takes a task from its queue, by
// its keys: EVALSHA hash 4 pending paused active lease.
func (p pacing) asksForTask(cmd redis.Cmder) bool {
	args := cmd.Args()
	return len(args) > 6 && args[2] == any(4) && args[3] == any(pendingKey(p.queue)) && args[4] == any(pausedKey(p.queue))
}

func (p pacing) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.stop.Done():
	}
}
