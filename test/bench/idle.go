//go:build unix

package main

import (
	"context"
	"fmt"
	"time"
)

// measureIdle leaves an installation alone for a minute. It measures the CPU time
// of the API, the worker, PostgreSQL and Redis in it, and then how long the sender
// of ten rows waits.
func measureIdle(ctx context.Context, l *env) ([]Line, error) {
	rest := max(time.Second, time.Duration(float64(time.Minute)*min(1, l.scale)))
	cpu := Line{What: fmt.Sprintf("an idle installation, over %.0f s", rest.Seconds()), Unit: "% of a core", Wanted: atMost(1.5)}
	first := Line{What: "10 rows after that rest, POST to the 200", Unit: "ms", Wanted: atMost(60)}
	err := l.rounds(5, func(int) error {
		h, err := l.open(ctx, settings{mail: true})
		if err != nil {
			return err
		}
		defer h.close()
		if _, err := h.postTen(ctx); err != nil {
			return err
		}
		if err := sleep(ctx, min(rest, 10*time.Second)); err != nil { // what the start and the first import leave behind
			return err
		}
		before, err := h.cpu(ctx)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := sleep(ctx, rest); err != nil {
			return err
		}
		after, err := h.cpu(ctx)
		if err != nil {
			return err
		}
		used := after.since(before)
		share := func(d time.Duration) float64 { return 100 * float64(d) / float64(time.Since(began)) }
		cpu.Ours = append(cpu.Ours, share(used.all()))
		cpu.Note = fmt.Sprintf("API %.1f, worker %.1f, PostgreSQL %.1f, Redis %.1f", share(used.api), share(used.worker), share(used.postgres), share(used.redis))
		took, err := h.postTen(ctx)
		first.Ours = append(first.Ours, took)
		return err
	})
	return []Line{cpu, first}, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
