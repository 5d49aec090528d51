//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// processorTick is what /proc counts in: USER_HZ, which is 100 on all Linux.
const processorTick = 10 * time.Millisecond

// processStat is a part of /proc/PID/stat.
type processStat struct {
	parent    int
	own       time.Duration // user and system
	childrens time.Duration // of those that have ended
}

// readStat reads what the system says about a process; zero if it says nothing.
func readStat(pid int) (s processStat) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s
	}
	// The name, in parentheses, may contain anything.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 15 {
		return s
	}
	number := func(n int) int { v, _ := strconv.Atoi(string(fields[n])); return v }
	ticks := func(n int) time.Duration { return time.Duration(number(n)) * processorTick }
	return processStat{number(1), ticks(11) + ticks(12), ticks(13) + ticks(14)}
}

// processorTime returns what the programs and PostgreSQL have used so far.
func (h *installation) processorTime(ctx context.Context) (map[string]time.Duration, error) {
	used := map[string]time.Duration{"API": readStat(h.api.PID()).own}
	for _, w := range h.workers {
		used["workers"] += readStat(w.PID()).own
	}
	var backend int
	if err := h.db.QueryRowContext(ctx, `SELECT pg_backend_pid()`).Scan(&backend); err != nil {
		return nil, err
	}
	server := readStat(backend).parent
	total := readStat(server)
	used["PostgreSQL"] = total.own + total.childrens
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, process := range processes {
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			continue
		}
		if s := readStat(pid); s.parent == server && server != 0 {
			used["PostgreSQL"] += s.own
		}
	}
	return used, nil
}
