//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const byHand = "psql: \\copy and INSERT … SELECT"

// measureImport times an import with all guarantees on, from POST to completed,
// against an administrator's script with the same file.
func measureImport(ctx context.Context, l *env) ([]Line, error) {
	rows := l.scaled(100_000)
	path, err := l.file(ctx, fileOf{rows: rows})
	if err != nil {
		return nil, err
	}
	line := Line{What: fmt.Sprintf("import of %s rows", thousands(rows)), Unit: "rows/s", Against: byHand, Wanted: atLeastTimes(1.5)}
	err = l.rounds(5, func(int) error {
		took, _, err := l.timeImport(ctx, path, rows)
		if err != nil {
			return err
		}
		script, err := l.timeScript(ctx, path, rows)
		line.Ours = append(line.Ours, float64(rows)/took.Seconds())
		line.Theirs = append(line.Theirs, float64(rows)/script.Seconds())
		return err
	})
	return []Line{line}, err
}

// measureLargeImport does the same with ten times the rows, and compares the
// speed and the worker's memory with those for fewer rows.
func measureLargeImport(ctx context.Context, l *env) ([]Line, error) {
	many, few := l.scaled(1_000_000), l.scaled(100_000)
	large, err := l.file(ctx, fileOf{rows: many})
	if err != nil {
		return nil, err
	}
	small, err := l.file(ctx, fileOf{rows: few})
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("import of %s rows", thousands(many))
	speed := Line{What: what, Unit: "rows/s", Against: byHand, Wanted: atLeastTimes(2)}
	steady := Line{What: what, Unit: "rows/s", Against: thousands(few) + " rows", Wanted: atLeastTimes(0.85)}
	peak := Line{What: "worker's memory, " + thousands(many) + " rows", Unit: "MB", Wanted: atMost(96)}
	flat := Line{What: peak.What, Unit: "MB", Against: thousands(few) + " rows", Wanted: within(40)}
	err = l.rounds(3, func(int) error {
		took, memory, err := l.timeImport(ctx, large, many)
		if err != nil {
			return err
		}
		script, err := l.timeScript(ctx, large, many)
		if err != nil {
			return err
		}
		short, little, err := l.timeImport(ctx, small, few)
		if err != nil {
			return err
		}
		rate := float64(many) / took.Seconds()
		speed.Ours, speed.Theirs = append(speed.Ours, rate), append(speed.Theirs, float64(many)/script.Seconds())
		steady.Ours, steady.Theirs = append(steady.Ours, rate), append(steady.Theirs, float64(few)/short.Seconds())
		peak.Ours = append(peak.Ours, memory)
		flat.Ours, flat.Theirs = append(flat.Ours, memory), append(flat.Theirs, little)
		return nil
	})
	return []Line{speed, steady, peak, flat}, err
}

// measureChangeFeed compares the first import with the same one in a database that
// does not record which users change.
func measureChangeFeed(ctx context.Context, l *env) ([]Line, error) {
	rows := l.scaled(100_000)
	path, err := l.file(ctx, fileOf{rows: rows})
	if err != nil {
		return nil, err
	}
	line := Line{What: fmt.Sprintf("import of %s rows, feed of changes", thousands(rows)), Unit: "rows/s", Against: "without the feed", Wanted: atLeastTimes(0.85)}
	rate := func(before string) (float64, error) {
		h, err := l.open(ctx, settings{})
		if err != nil {
			return 0, err
		}
		_, err = h.db.ExecContext(ctx, before)
		var took time.Duration
		if err == nil {
			took, err = h.timeImport(ctx, path, rows)
		}
		return float64(rows) / took.Seconds(), errors.Join(err, h.close())
	}
	err = l.rounds(5, func(n int) error {
		with, without := &line.Ours, &line.Theirs
		runs := []func() error{
			func() error { return add(with)(rate(``)) },
			func() error { return add(without)(rate(`ALTER TABLE users DISABLE TRIGGER USER`)) },
		}
		// Which comes first alternates: the second finds warmer caches.
		return errors.Join(runs[n%2](), runs[1-n%2]())
	})
	return []Line{line}, err
}

// add returns a function that appends a measured value, or passes on the error.
func add(to *[]float64) func(value float64, err error) error {
	return func(value float64, err error) error {
		if err == nil {
			*to = append(*to, value)
		}
		return err
	}
}

// timeImport imports a file of valid rows into an empty installation. There is
// no mail server: the invitations are created and wait. peak is the most memory
// that the worker used, in MB.
func (l *env) timeImport(ctx context.Context, path string, rows int) (took time.Duration, peak float64, err error) {
	h, err := l.open(ctx, settings{})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	took, err = h.timeImport(ctx, path, rows)
	return took, h.workers[0].peak(), err
}

// timeImport imports a file whose rows are all valid.
func (h *installation) timeImport(ctx context.Context, path string, rows int) (took time.Duration, err error) {
	i, took, err := h.run(ctx, path)
	if err == nil && (i.Status != "completed" || i.Imported != int64(rows) || i.Invitations.Pending != int64(rows)) {
		err = fmt.Errorf("%d rows ended as %+v", rows, i)
	}
	return took, err
}

// thousands formats a number with its digits grouped.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
