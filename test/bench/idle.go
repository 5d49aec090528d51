//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
		share := func(from, to time.Duration) float64 { return 100 * float64(to-from) / float64(time.Since(began)) }
		cpu.Ours = append(cpu.Ours, share(before.all(), after.all()))
		cpu.Note = fmt.Sprintf("API %.1f, worker %.1f, PostgreSQL %.1f, Redis %.1f", share(before.api, after.api),
			share(before.worker, after.worker), share(before.postgres, after.postgres), share(before.redis, after.redis))
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

// cpuTimes are the CPU times of an installation's processes so far; 0 if the
// system does not report them.
type cpuTimes struct{ api, worker, postgres, redis time.Duration }

func (c cpuTimes) all() time.Duration { return c.api + c.worker + c.postgres + c.redis }

func (h *installation) cpu(ctx context.Context) (c cpuTimes, err error) {
	var backend int
	if err := h.db.QueryRowContext(ctx, `SELECT pg_backend_pid()`).Scan(&backend); err != nil {
		return c, err
	}
	c.api = processOf(h.api.PID()).used
	for _, worker := range h.workers {
		c.worker += processOf(worker.PID()).used
	}
	if h.redisPID != 0 {
		c.redis = processOf(h.redisPID).used
	}
	// The server process knows the times of its processes that have ended.
	server := processOf(backend).parent
	c.postgres = processOf(server).used + processOf(server).ended
	all, _ := filepath.Glob("/proc/[0-9]*") // fails only on a bad pattern
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if p := processOf(pid); err == nil && server > 1 && p.parent == server {
			c.postgres += p.used
		}
	}
	return c, nil
}

// process is what /proc says of one process.
type process struct {
	parent int
	used   time.Duration // by itself
	ended  time.Duration // by children that have ended
}

// tick is the unit of /proc on every Linux.
const tick = 10 * time.Millisecond

func processOf(pid int) (p process) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}
	}
	// The name, in brackets, may have spaces: fields count from behind it.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	number := func(n int) int { v, _ := strconv.Atoi(fields[n]); return v }
	return process{
		parent: number(1),
		used:   time.Duration(number(11)+number(12)) * tick,
		ended:  time.Duration(number(13)+number(14)) * tick,
	}
}
