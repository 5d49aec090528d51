//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// settledNights is how many nights the tables have to get the room that they need for
// good; manyNights is how many they are watched. Each renames others, so there
// are at most as many as changedEvery.
const (
	settledNights = 10
	manyNights    = changedEvery - 1
)

// measureBloat imports a full roster night after night, in which every night one in
// a hundred has another name, and one in two hundred leaves or comes back. Room that
// old versions of rows took is used again, so the tables stop growing, but for the
// history of imports and changes, which retention ends.
func measureBloat(ctx context.Context, l *env) (_ []Line, err error) {
	people, nights := max(2*goneEvery, l.scaled(20_000)), manyNights
	if l.scale < 0.01 {
		nights = settledNights + 2 // the smoke test
	}
	h, err := l.open(ctx, settings{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if _, err := h.night(ctx, rosterFile{people: people}, imported{Imported: int64(people)}, "send_invitations", "false"); err != nil {
		return nil, err
	}
	tables := []string{"users", "invitations", "external_ids"}
	var lines []Line
	for _, table := range tables {
		lines = append(lines, Line{What: fmt.Sprintf("%s after %d nights with %s people", table, nights, thousands(people)), Unit: "MB",
			Against: fmt.Sprintf("after %d", settledNights), Wanted: atMostTimes(1.5)})
	}
	for n := 1; n <= nights; n++ {
		changed, gone := int64((people-n)/changedEvery+1), int64(people/goneEvery)
		wanted := imported{Updated: changed + gone, Unchanged: int64(people) - changed - gone} // those who left are back
		file := rosterFile{people: people, night: n, gone: n%2 == 1}
		if file.gone {
			wanted = imported{Updated: changed, Unchanged: int64(people) - changed - gone, Disabled: gone}
		}
		if _, err := h.night(ctx, file, wanted, "on_duplicate", "update", "missing", "disable"); err != nil {
			return nil, err
		}
		if n != settledNights && n != nights {
			continue
		}
		if err := sleep(ctx, min(5*time.Second, time.Duration(float64(5*time.Second)*l.scale))); err != nil { // for autovacuum
			return nil, err
		}
		for i, table := range tables {
			var size float64
			if err := h.db.QueryRowContext(ctx, `SELECT pg_total_relation_size($1::regclass)`, table).Scan(&size); err != nil {
				return nil, err
			}
			if n == settledNights {
				lines[i].Theirs = []float64{size / 1e6}
			} else {
				lines[i].Ours = []float64{size / 1e6}
			}
		}
	}
	return lines, nil
}
