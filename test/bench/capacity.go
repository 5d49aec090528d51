//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	capacityFiles = 4
	// distance is the time of a round trip between a worker and a PostgreSQL that is
	// not near.
	distance = 5 * time.Millisecond
)

// capacitySetup is what docs/capacity.md compares.
type capacitySetup struct {
	name    string
	workers int
	apart   time.Duration // between the workers and PostgreSQL, there and back
}

var capacitySetups = []capacitySetup{
	{"1 worker", 1, 0},
	{"2 workers", 2, 0},
	{"4 workers", 4, 0},
	{"1 worker, 5 ms from PostgreSQL", 1, distance},
}

// measureCapacity measures the rows and mails per second of several setups, what
// they take of the processor, and how often a worker waits for PostgreSQL.
func measureCapacity(ctx context.Context, l *env) ([]Line, error) {
	var paths []string
	for k := range capacityFiles {
		path, err := l.file(ctx, fileOf{rows: l.scaled(50_000), domain: fmt.Sprintf("capacity%d.example.com", k)})
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	rows, invited := capacityFiles*l.scaled(50_000), l.scaled(10_000)
	guests, err := l.file(ctx, fileOf{rows: invited, domain: "guests.example.com"})
	if err != nil {
		return nil, err
	}
	lines := make([]Line, 2*len(capacitySetups))
	for k, s := range capacitySetups {
		lines[2*k] = Line{What: fmt.Sprintf("%d imports of %s rows, %s", capacityFiles, thousands(rows/capacityFiles), s.name), Unit: "rows/s"}
		lines[2*k+1] = Line{What: fmt.Sprintf("%s invitations, %s", thousands(invited), s.name), Unit: "mails/s"}
	}
	err = l.rounds(3, func(int) error {
		for k, s := range capacitySetups {
			imports, mails, err := l.capacity(ctx, s, paths, guests)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			lines[2*k].add(imports, rows)
			lines[2*k+1].add(mails, invited)
		}
		return nil
	})
	return lines, err
}

// usage is what some work took.
type usage struct {
	took  time.Duration
	cpu   cpuTimes
	trips int64 // round trips to PostgreSQL; 0 if they were not counted
}

// add adds a round, in which n rows or mails took this.
func (l *Line) add(u usage, n int) {
	l.Ours = append(l.Ours, float64(n)/u.took.Seconds())
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
	l.Note = fmt.Sprintf("CPU time for each: workers %.0f µs, API %.0f µs, PostgreSQL %.0f µs", each(u.cpu.worker), each(u.cpu.api), each(u.cpu.postgres))
	if u.trips > 0 {
		l.Note += fmt.Sprintf("; %.1f round trips to PostgreSQL for 1,000", float64(u.trips)/float64(n)*1000)
	}
}

// capacity imports files at once, and then invites everyone in another.
func (l *env) capacity(ctx context.Context, s capacitySetup, paths []string, guests string) (imports, mails usage, err error) {
	h, line, err := l.openApart(ctx, s)
	if err != nil {
		return imports, mails, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	imports, err = h.using(ctx, line, func() error {
		_, err := h.importAll(ctx, paths)
		return err
	})
	if err != nil {
		return imports, mails, err
	}
	invited, err := h.importAll(ctx, []string{guests})
	if err != nil {
		return imports, mails, err
	}
	if _, err := h.db.ExecContext(ctx, `ANALYZE`); err != nil { // see timeInvitations
		return imports, mails, err
	}
	mails, err = h.using(ctx, line, func() error { return h.invite(ctx, invited[0]) })
	return imports, mails, err
}

// openApart opens an installation whose workers are as far from PostgreSQL as the
// setup says. line is nil if they are near.
func (l *env) openApart(ctx context.Context, s capacitySetup) (h *installation, line *longLine, err error) {
	if s.apart == 0 {
		h, err = l.open(ctx, settings{workers: s.workers, mail: true})
		return h, nil, err
	}
	if h, err = l.open(ctx, settings{noWorker: true, mail: true}); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	line, far, err := openLongLine(l.databaseURL(h.database), s.apart/2)
	if err != nil {
		return nil, nil, err
	}
	h.closers = append(h.closers, line.close)
	for range s.workers {
		worker, _, err := h.start("worker", append(h.programEnv, "DATABASE_URL="+far), `"msg":"(worker started)"`)
		if err != nil {
			return nil, nil, err
		}
		h.workers = append(h.workers, worker)
	}
	return h, line, l.settle(ctx)
}

// using measures what work takes.
func (h *installation) using(ctx context.Context, line *longLine, work func() error) (u usage, err error) {
	before, err := h.cpu(ctx)
	if err != nil {
		return u, err
	}
	trips, began := line.count(), time.Now()
	if err := work(); err != nil {
		return u, err
	}
	u.took, u.trips = time.Since(began), line.count()-trips
	after, err := h.cpu(ctx)
	u.cpu = after.since(before)
	return u, err
}

// importAll imports files at the same time, without inviting anyone.
func (h *installation) importAll(ctx context.Context, paths []string) (imports []imported, err error) {
	for _, path := range paths {
		i, err := h.post(ctx, path, 0, "send_invitations", "false")
		if err != nil {
			return nil, err
		}
		imports = append(imports, i)
	}
	for k, i := range imports {
		if imports[k], err = h.until(ctx, i, atRest); err != nil {
			return nil, err
		}
		if imports[k].Status != "completed" {
			return nil, fmt.Errorf("%+v", imports[k])
		}
	}
	return imports, nil
}

// invite invites everyone of an import, and waits until that is recorded.
func (h *installation) invite(ctx context.Context, i imported) error {
	if _, err := h.ask(ctx, http.MethodPost, "/api/admin/users/imports/"+i.ID+"/invitations/resend", nil, nil, http.StatusOK, http.StatusAccepted); err != nil {
		return err
	}
	for sent := int64(0); sent < i.Imported; time.Sleep(20 * time.Millisecond) { // each look costs both cores a little
		if err := h.db.QueryRowContext(ctx, `SELECT invites_sent FROM imports WHERE id = $1`, i.ID).Scan(&sent); err != nil {
			return err
		}
	}
	return nil
}
