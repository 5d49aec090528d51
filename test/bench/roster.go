//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// Of the people in a file that comes every night, one in changedEvery has another
// name, and one in goneEvery has left.
const (
	changedEvery = 100
	goneEvery    = 200
)

// measureRoster imports a file of people with keys, and then what comes the nights
// after: the same people, few of them changed, few of them gone.
func measureRoster(ctx context.Context, l *env) ([]Line, error) {
	return l.measureNights(ctx, l.scaled(200_000), 5, nil)
}

// measureLargeRoster does the same with a million, and compares the worker's memory
// with that for fewer people.
func measureLargeRoster(ctx context.Context, l *env) ([]Line, error) {
	many, few := l.scaled(1_000_000), l.scaled(100_000)
	what := fmt.Sprintf("worker's memory, %s known people", thousands(many))
	peak := Line{What: what, Unit: "MB", Wanted: atMost(112)}
	flat := Line{What: what, Unit: "MB", Against: thousands(few) + " known people", Wanted: within(48)}
	lines, err := l.measureNights(ctx, many, 3, func(memory float64) error {
		small, err := l.nights(ctx, few, false)
		peak.Ours = append(peak.Ours, memory)
		flat.Ours, flat.Theirs = append(flat.Ours, memory), append(flat.Theirs, small.memory)
		return err
	})
	return append(lines, peak, flat), err
}

// measureNights compares the nights with the first import, and those of a full
// roster with those that keep who is gone. also is called each round with the
// worker's memory.
func (l *env) measureNights(ctx context.Context, people, rounds int, also func(memory float64) error) ([]Line, error) {
	what := thousands(people) + " known people, 1 % changed"
	speed := Line{What: what, Unit: "rows/s", Against: "their first import", Wanted: atLeastTimes(2)}
	// Those changed are spread over most pages, each of which PostgreSQL writes in
	// full once after a checkpoint.
	wal := Line{What: what + ": WAL", Unit: "MB", Against: "of their first import", Wanted: atMostTimes(0.2)}
	still := Line{What: thousands(people) + " known people, none changed: WAL", Unit: "MB", Against: "of their first import", Wanted: atMostTimes(0.01)}
	full := Line{What: what + ", 0.5 % gone: missing=disable", Unit: "rows/s", Against: "missing=keep", Wanted: atLeastTimes(0.8)}
	err := l.rounds(rounds, func(n int) error {
		t, err := l.nights(ctx, people, n%2 == 1)
		if err != nil {
			return err
		}
		speed.Ours, speed.Theirs = append(speed.Ours, t.changed.rate), append(speed.Theirs, t.first.rate)
		wal.Ours, wal.Theirs = append(wal.Ours, t.changed.wal), append(wal.Theirs, t.first.wal)
		still.Ours, still.Theirs = append(still.Ours, t.unchanged.wal), append(still.Theirs, t.first.wal)
		full.Ours, full.Theirs = append(full.Ours, t.disable.rate), append(full.Theirs, t.keep.rate)
		if also == nil {
			return nil
		}
		return also(t.memory)
	})
	return []Line{speed, wal, still, full}, err
}

// night is one import of the file.
type night struct {
	rate float64 // rows per second, from POST to completed
	wal  float64 // MB written from the response to the upload on: the file itself is not among them
}

// nights are the imports of one installation.
type nights struct {
	first, unchanged, changed, keep, disable night
	memory                                   float64 // the most that the worker of all but the first used, in MB
}

// nights imports people and the files of the nights after, each with other people
// changed. With disableFirst the full roster comes before the one that keeps who
// is gone, and the other way round without.
func (l *env) nights(ctx context.Context, people int, disableFirst bool) (t nights, err error) {
	h, err := l.open(ctx, settings{})
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if t.first, err = h.night(ctx, rosterFile{people: people}, imported{Imported: int64(people)}); err != nil {
		return t, err
	}
	// Like on any server that has run for a day.
	for _, table := range []string{"users", "invitations", "external_ids"} {
		if _, err := h.db.ExecContext(ctx, `VACUUM (ANALYZE) `+table); err != nil {
			return t, err
		}
	}
	if err := h.freshWorker(); err != nil {
		return t, err
	}
	update := []string{"on_duplicate", "update"}
	if t.unchanged, err = h.night(ctx, rosterFile{people: people}, imported{Unchanged: int64(people)}, update...); err != nil {
		return t, err
	}
	changed := func(night int) int64 { return int64((people-night)/changedEvery + 1) }
	if t.changed, err = h.night(ctx, rosterFile{people: people, night: 1}, imported{Updated: changed(1), Unchanged: int64(people) - changed(1)}, update...); err != nil {
		return t, err
	}
	gone := int64(people / goneEvery)
	rest := func(night int) imported {
		return imported{Updated: changed(night), Unchanged: int64(people) - gone - changed(night)}
	}
	keep := func(night int) (err error) {
		t.keep, err = h.night(ctx, rosterFile{people: people, night: night, gone: true}, rest(night), update...)
		return err
	}
	disable := func(night int) (err error) {
		wanted := rest(night)
		wanted.Disabled = gone
		t.disable, err = h.night(ctx, rosterFile{people: people, night: night, gone: true}, wanted, append(update, "missing", "disable")...)
		return err
	}
	order := []func(int) error{keep, disable}
	if disableFirst {
		order = []func(int) error{disable, keep}
	}
	for k, run := range order {
		if err := run(2 + k); err != nil {
			return t, err
		}
	}
	t.memory = h.workers[0].peak()
	return t, nil
}

// freshWorker replaces the worker by one that has used no memory yet.
func (h *installation) freshWorker() error {
	h.workers[0].Stop(context.Background(), syscall.SIGTERM)
	worker, _, err := h.start("worker", h.programEnv, `"msg":"(worker started)"`)
	h.workers[0] = worker
	return err
}

// night imports a file, which must end with the counts wanted.
func (h *installation) night(ctx context.Context, file rosterFile, wanted imported, options ...string) (n night, err error) {
	path, err := h.roster(ctx, file)
	if err != nil {
		return n, err
	}
	defer os.Remove(path)
	if err := h.settle(ctx); err != nil {
		return n, err
	}
	began := time.Now()
	i, err := h.post(ctx, path, 0, options...)
	if err != nil {
		return n, err
	}
	before, err := h.walPosition(ctx)
	if err != nil {
		return n, err
	}
	if i, err = h.until(ctx, i, atRest); err != nil {
		return n, err
	}
	n.rate = float64(i.Total) / time.Since(began).Seconds()
	after, err := h.walPosition(ctx)
	if n.wal = (after - before) / 1e6; err != nil {
		return n, err
	}
	if i.Status != "completed" || i.Imported != wanted.Imported || i.Updated != wanted.Updated || i.Unchanged != wanted.Unchanged || i.Disabled != wanted.Disabled {
		err = fmt.Errorf("%+v ended as %+v", file, i)
	}
	return n, err
}

func (h *installation) walPosition(ctx context.Context) (bytes float64, err error) {
	return bytes, h.db.QueryRowContext(ctx, `SELECT pg_current_wal_lsn() - '0/0'`).Scan(&bytes)
}

// rosterFile describes the file of one night.
type rosterFile struct {
	people int
	night  int  // each night changes others; 0: nobody is changed yet
	gone   bool // those who leave are not in it
}

// roster writes the file of one night.
func (l *env) roster(ctx context.Context, want rosterFile) (path string, err error) {
	base, err := l.file(ctx, fileOf{rows: want.people})
	if err != nil {
		return "", err
	}
	in, err := os.Open(base)
	if err != nil {
		return "", err
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	return l.write(func(out *bufio.Writer) error {
		for n := 0; lines.Scan(); n++ {
			if n == 0 {
				fmt.Fprintf(out, "external_id,%s\n", lines.Text())
				continue
			}
			if want.gone && n%goneEvery == 0 {
				continue
			}
			email, rest, _ := strings.Cut(lines.Text(), ",")
			name, rest, _ := strings.Cut(rest, ",")
			if k := n % changedEvery; 0 < k && k <= want.night {
				name += " Renamed"
			}
			fmt.Fprintf(out, "%08d,%s,%s,%s\n", n, email, name, rest)
		}
		return lines.Err()
	})
}
