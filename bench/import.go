//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// measureImport times an import with all guarantees on, from POST to completed,
// against the script of an administrator over the same file.
func measureImport(rows, rounds int, wanted float64) func(context.Context, *lab) ([]Line, error) {
	return func(ctx context.Context, l *lab) ([]Line, error) {
		rows := l.scaled(rows)
		path, err := l.file(ctx, fileOf{rows: rows})
		if err != nil {
			return nil, err
		}
		line := Line{
			What: fmt.Sprintf("import of %s rows", thousands(rows)), Unit: "rows/s",
			Against: "psql: \\copy and INSERT … SELECT", Wanted: atLeastTimes(wanted),
		}
		err = l.rounds(rounds, func(int) error {
			ours, peak, err := l.timeImport(ctx, path, rows)
			if err != nil {
				return err
			}
			theirs, err := l.timeScript(ctx, path, rows)
			if err != nil {
				return err
			}
			line.Note = fmt.Sprintf("the worker took at most %.0f MB of memory", peak)
			line.Ours = append(line.Ours, float64(rows)/ours.Seconds())
			line.Theirs = append(line.Theirs, float64(rows)/theirs.Seconds())
			return nil
		})
		return []Line{line}, err
	}
}

// timeImport imports a file of good rows into an empty house. There is no mail
// server: the invitations are created and wait. peak is the most memory that the
// worker took, in MB.
func (l *lab) timeImport(ctx context.Context, path string, rows int) (took time.Duration, peak float64, err error) {
	h, err := l.open(ctx, settings{})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	i, took, err := h.run(ctx, path)
	if err == nil && (i.Status != "completed" || i.Imported != int64(rows) || i.Invitations.Pending != int64(rows)) {
		err = fmt.Errorf("%d rows ended as %+v", rows, i)
	}
	return took, h.workers[0].peak(), err
}

// thousands writes a number as people do.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
