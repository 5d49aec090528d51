//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// measureLatency times how long the sender of ten rows waits, from POST to the
// 200: on an idle installation, and while a large import runs. For comparison
// it times one empty round trip each to PostgreSQL and Redis.
func measureLatency(ctx context.Context, l *env) ([]Line, error) {
	rows := l.scaled(1_000_000)
	large, err := l.file(ctx, fileOf{rows: rows})
	if err != nil {
		return nil, err
	}
	const against = "a round trip to PostgreSQL and one to Redis"
	idle := Line{What: "10 rows, POST to the 200, p50", Unit: "ms", Against: against, Wanted: atMost(40)}
	busy := Line{What: fmt.Sprintf("10 rows while %s are imported, p99", thousands(rows)), Unit: "ms", Against: against, Wanted: atMost(300)}
	err = l.rounds(3, func(int) error {
		h, err := l.open(ctx, settings{})
		if err != nil {
			return err
		}
		defer h.close()
		trip, err := h.roundTrips(ctx)
		if err != nil {
			return err
		}
		var alone, beside []float64
		for len(alone) < l.scaled(100) {
			took, err := h.postTen(ctx)
			if err != nil {
				return err
			}
			alone = append(alone, took)
		}
		i, err := h.post(ctx, large, 0)
		if err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() {
			_, err := h.until(ctx, i, atRest)
			ended <- err
		}()
		for going := true; going || len(beside) == 0; {
			took, err := h.postTen(ctx)
			if err != nil {
				return err
			}
			beside = append(beside, took)
			select {
			case err := <-ended:
				if err != nil {
					return err
				}
				going = false
			default:
			}
		}
		idle.Ours, idle.Theirs = append(idle.Ours, percentile(alone, 0.5)), append(idle.Theirs, trip)
		busy.Ours, busy.Theirs = append(busy.Ours, percentile(beside, 0.99)), append(busy.Theirs, trip)
		idle.Note = fmt.Sprintf("p99 %.0f ms", percentile(alone, 0.99))
		busy.Note = fmt.Sprintf("%d posts, p50 %.0f ms", len(beside), percentile(beside, 0.5))
		return nil
	})
	return []Line{idle, busy}, err
}

// postTen imports ten new people and returns how long it took, in ms.
func (h *installation) postTen(ctx context.Context) (float64, error) {
	h.posts++
	file := "email,name\n"
	for n := range 10 {
		file += fmt.Sprintf("ten.%d.%d@example.com,Somebody\n", h.posts, n)
	}
	path := filepath.Join(h.dir, "ten.csv")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		return 0, err
	}
	i, took, err := h.run(ctx, path)
	if err == nil && i.Imported != 10 {
		err = errors.New("ten rows did not go in")
	}
	return float64(took.Microseconds()) / 1000, err
}

// roundTrips returns the median of an empty round trip to PostgreSQL and one to
// Redis, together, in ms.
func (h *installation) roundTrips(ctx context.Context) (float64, error) {
	client := h.redis()
	defer client.Close()
	var all []float64
	for range 100 {
		began := time.Now()
		if _, err := h.db.ExecContext(ctx, `SELECT 1`); err != nil {
			return 0, err
		}
		if err := client.Ping(ctx).Err(); err != nil {
			return 0, err
		}
		all = append(all, float64(time.Since(began).Microseconds())/1000)
	}
	return median(all), nil
}
