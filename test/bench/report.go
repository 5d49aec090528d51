//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// measureErrorReport downloads the error report of an import with only invalid
// rows: it measures when the first byte arrives, and the API's memory.
func measureErrorReport(ctx context.Context, l *env) (_ []Line, err error) {
	rows := l.scaled(1_000_000)
	path, err := l.file(ctx, fileOf{rows: rows, errors: 100})
	if err != nil {
		return nil, err
	}
	h, err := l.open(ctx, settings{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	i, _, err := h.run(ctx, path)
	if err != nil {
		return nil, err
	}
	if i.Failed < int64(rows)*9/10 {
		return nil, fmt.Errorf("a file of bad rows ended as %+v", i)
	}
	report := fmt.Sprintf("error report of %s bad rows", thousands(int(i.Failed)))
	first := Line{What: report + ", first byte", Unit: "ms", Wanted: atMost(200)}
	memory := Line{What: "API's memory after the " + report, Unit: "MB", Against: "before", Wanted: aboveBy(16)}
	err = l.rounds(3, func(int) error {
		before := h.api.peak()
		began, opened, lines, err := h.download(ctx, "/api/admin/users/imports/"+i.ID+"/errors.csv")
		if err != nil {
			return err
		}
		if lines < i.Failed {
			return fmt.Errorf("the report has %d lines for %d errors", lines, i.Failed)
		}
		first.Ours = append(first.Ours, float64(opened.Microseconds())/1000)
		first.Note = fmt.Sprintf("all of it in %.1f s", time.Since(began).Seconds())
		memory.Ours, memory.Theirs = append(memory.Ours, h.api.peak()), append(memory.Theirs, before)
		return nil
	})
	return []Line{first, memory}, err
}

// download reads a response to its end. It returns when it was requested, how
// long the first byte took, and how many lines came.
func (h *installation) download(ctx context.Context, path string) (began time.Time, opened time.Duration, lines int64, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+path, nil)
	if err != nil {
		return began, 0, 0, err
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	began = time.Now()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return began, 0, 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return began, 0, 0, errors.New(answer.Status)
	}
	in := bufio.NewReaderSize(answer.Body, 1<<20)
	if _, err := in.Peek(1); err != nil {
		return began, 0, 0, err
	}
	opened = time.Since(began)
	for {
		_, err := in.ReadSlice('\n')
		switch {
		case err == nil:
			lines++
		case errors.Is(err, io.EOF):
			return began, opened, lines, nil
		default:
			return began, opened, lines, err
		}
	}
}
