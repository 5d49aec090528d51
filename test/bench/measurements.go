//go:build unix

package main

import "context"

// measurement is one measurement; see the package documentation for how to add
// one.
type measurement struct {
	name    string // what BENCH selects by
	measure func(ctx context.Context, l *env) ([]Line, error)
}

// measurements lists all of them, in the order in which they run.
var measurements = []measurement{
	{"import-100k", measureImport},
	{"import-1m", measureLargeImport},
	{"import-full-table", measureFullTable},
	{"change-feed", measureChangeFeed},
	{"check", measureCheck},
	{"workbook", measureWorkbook},
	{"roster", measureRoster},
	{"roster-1m", measureLargeRoster},
	{"upload-memory", measureUploadMemory},
	{"row-pages", measureRowPages},
	{"row-edit", measureRowEdit},
	{"unfinished-uploads", measureUnfinishedUploads},
	{"error-disk", measureErrorDisk},
	{"latency", measureLatency},
	{"idle", measureIdle},
	{"mail", measureMail},
	{"redis-memory", measureRedisMemory},
	{"workers", measureWorkers},
	{"capacity", measureCapacity},
	{"error-report", measureErrorReport},
	{"panel", measurePanel},
	{"search", measureSearch},
	{"growth", measureGrowth},
	{"bloat", measureBloat},
	{"watching", measureWatching},
}
