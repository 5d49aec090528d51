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
	{"watching", measureWatching},
}
