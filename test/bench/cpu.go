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

// cpuTimes are the CPU times of an installation's processes so far; 0 if the
// system does not report them.
type cpuTimes struct{ api, worker, postgres, redis time.Duration }

// since is what has been used since an earlier time.
func (c cpuTimes) since(before cpuTimes) cpuTimes {
	return cpuTimes{c.api - before.api, c.worker - before.worker, c.postgres - before.postgres, c.redis - before.redis}
}

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
