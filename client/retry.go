package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	firstWait = 250 * time.Millisecond
	mostWait  = 10 * time.Second
)

// persist repeats try while it fails for a reason that may pass, with a growing
// wait in between, until it has failed for as long as the client has patience.
// A server never met is not waited for: its address is more likely wrong than
// its absence short.
func (c *Client) persist(ctx context.Context, met bool, try func() error) error {
	var failingSince time.Time
	for wait := firstWait; ; wait = min(2*wait, mostWait) {
		err := try()
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause := wait/2 + rand.N(wait/2) // so that many clients do not return at once
		if problem, ok := errors.AsType[*Problem](err); ok {
			if !problem.temporary() {
				return err
			}
			met, pause = true, max(pause, problem.RetryAfter)
		} else if silence, ok := errors.AsType[*Unanswered](err); ok {
			if met = met || silence.Reached; !met {
				return err
			}
		} else {
			return err
		}
		if failingSince.IsZero() {
			failingSince = time.Now()
		}
		if time.Since(failingSince)+pause > c.patience {
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
