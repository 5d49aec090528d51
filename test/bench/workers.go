//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// workload are the sizes of imports that are started together, the smallest last.
var workload = []int{200_000, 100_000, 50_000, 20_000, 10_000, 5_000, 1_000, 10}

// measureWorkers times eight imports at once with four workers and with one,
// and how long the smallest of them takes.
func measureWorkers(ctx context.Context, l *env) ([]Line, error) {
	var paths []string
	for k, rows := range workload {
		path, err := l.file(ctx, fileOf{rows: l.scaled(rows), domain: fmt.Sprintf("mixed%d.example.com", k)})
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	total := Line{What: "8 imports at once, 4 workers", Unit: "s", Against: "1 worker", Wanted: atMostTimes(1.15)}
	fair := Line{What: "the smallest of them, start to end", Unit: "s", Against: "1 worker", Wanted: atMost(2)}
	err := l.rounds(4, func(round int) error {
		// The first one to run is slower by a twentieth, even for the same
		// work: take turns.
		workers := [2]int{4, 1}
		if round%2 == 1 {
			workers = [2]int{1, 4}
		}
		took := map[int][3]float64{}
		for _, n := range workers {
			all, small, posted, err := l.timeMixed(ctx, paths, n)
			if err != nil {
				return err
			}
			took[n] = [3]float64{all, small, posted}
		}
		four, small, posted := took[4][0], took[4][1], took[4][2]
		one, small1, posted1 := took[1][0], took[1][1], took[1][2]
		total.Ours, total.Theirs = append(total.Ours, four), append(total.Theirs, one)
		fair.Ours, fair.Theirs = append(fair.Ours, small), append(fair.Theirs, small1)
		fair.Note = fmt.Sprintf("from its upload: %.1f s with four, %.1f s with one", posted, posted1)
		return nil
	})
	return []Line{total, fair}, err
}

// timeMixed returns, in seconds, how long all imports took, and how long the
// last one took from its start and from its upload.
func (l *env) timeMixed(ctx context.Context, paths []string, workers int) (all, small, posted float64, err error) {
	h, err := l.open(ctx, settings{workers: workers})
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	began := time.Now()
	var imports []imported
	for _, path := range paths {
		i, err := h.post(ctx, path, 0)
		if err != nil {
			return 0, 0, 0, err
		}
		imports = append(imports, i)
	}
	for k, i := range imports {
		if imports[k], err = h.until(ctx, i, atRest); err != nil {
			return 0, 0, 0, err
		}
	}
	all = time.Since(began).Seconds()
	last := imports[len(imports)-1]
	return all, last.FinishedAt.Sub(last.StartedAt).Seconds(), last.FinishedAt.Sub(last.CreatedAt).Seconds(), nil
}
