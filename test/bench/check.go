//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// measureCheck times a dry run, with its look-ups in PostgreSQL, against
// encoding/csv reading the same bytes and doing nothing with them.
func measureCheck(ctx context.Context, l *env) ([]Line, error) {
	rows := l.scaled(1_000_000)
	path, err := l.file(ctx, fileOf{rows: rows})
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	line := Line{
		What: fmt.Sprintf("check of %s rows (dry run)", thousands(rows)), Unit: "s",
		Against: "encoding/csv alone, in memory", Wanted: atMostTimes(8),
	}
	err = l.rounds(3, func(int) error {
		checked, err := l.timeCheck(ctx, path, rows)
		if err != nil {
			return err
		}
		parsed, err := timeParse(content, rows)
		line.Ours, line.Theirs = append(line.Ours, checked.Seconds()), append(line.Theirs, parsed.Seconds())
		return err
	})
	return []Line{line}, err
}

// timeCheck times a dry run from the response to the upload until it is ready.
func (l *env) timeCheck(ctx context.Context, path string, rows int) (took time.Duration, err error) {
	h, err := l.open(ctx, settings{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	i, err := h.post(ctx, path, 0, "dry_run", "true")
	if err != nil {
		return 0, err
	}
	began := time.Now()
	i, err = h.until(ctx, i, atRest)
	took = time.Since(began)
	if err == nil && (i.Status != "ready" || i.Valid != int64(rows)) {
		err = fmt.Errorf("%d rows were checked as %+v", rows, i)
	}
	return took, err
}

func timeParse(content []byte, rows int) (time.Duration, error) {
	began := time.Now()
	in := csv.NewReader(bytes.NewReader(content))
	in.ReuseRecord = true
	for n := -1; ; n++ { // the header is not a row
		if _, err := in.Read(); errors.Is(err, io.EOF) {
			if n != rows {
				return 0, fmt.Errorf("encoding/csv read %d of %d rows", n, rows)
			}
			return time.Since(began), nil
		} else if err != nil {
			return 0, err
		}
	}
}
