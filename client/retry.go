package client

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/backoff"
)

var retryWait = backoff.Policy{First: 250 * time.Millisecond, Max: 10 * time.Second}

// retry repeats try while it fails for a temporary reason, with a growing wait
// in between, until the failures have lasted for the configured time. It does
// not retry a server that was never reached, because its address is more likely
// wrong than the server briefly unavailable.
func (c *Client) retry(ctx context.Context, met bool, try func() error) error {
	var failingSince time.Time
	for failures := 1; ; failures++ {
		err := try()
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause := retryWait.Delay(failures)
		if problem, ok := errors.AsType[*Problem](err); ok {
			if !problem.temporary() {
				return err
			}
			met, pause = true, max(pause, problem.RetryAfter)
		} else if silence, ok := errors.AsType[*ConnectionError](err); ok {
			if met = met || silence.Reached; !met {
				return err
			}
		} else {
			return err
		}
		if failingSince.IsZero() {
			failingSince = time.Now()
		}
		if time.Since(failingSince)+pause > c.retryFor {
			return err
		}
		c.retrying(err, pause)
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// sleep waits, and reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
