//go:build unix

package main

import "context"

// measurement is one thing to be measured; see the documentation of the package
// for how to add one.
type measurement struct {
	name    string // what BENCH selects by
	measure func(ctx context.Context, l *lab) ([]Line, error)
}

// measurements are all of them, in the order in which they are made.
var measurements = []measurement{
	{"import-100k", measureImport},
	{"import-1m", measureLargeImport},
	{"import-full-table", measureFullTable},
	{"check", measureCheck},
	{"upload-memory", measureUploadMemory},
	{"latency", measureLatency},
	{"mail", measureMail},
	{"redis-memory", measureRedisMemory},
	{"workers", measureWorkers},
	{"error-report", measureErrorReport},
	{"panel", measurePanel},
	{"import-100k", measureImport(100_000, 5, 1.5)},
	{"import-1m", measureImport(1_000_000, 3, 2)},
	{"watching", measureWatching},
}
