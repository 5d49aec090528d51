package worker

import (
	"os"
	"runtime/debug"
)

// While imports run, garbage is collected when it amounts to less than half of
// the live memory. Most of that is the set of addresses seen in a check, which
// the collector does not need to scan, so collecting is cheap and the worker's
// memory stays close to what a large file needs.
//
// Otherwise little memory is live, and collecting at the same rate would happen
// every few hundred mails and take a sixth of the time spent on them. The limit
// is for the case that more is live than expected.
const (
	garbageImporting = 40       // percent of the live memory
	garbageOtherwise = 500      // the same
	limitOtherwise   = 96 << 20 // bytes above which it is collected more often
)

// gcTuner adjusts the garbage collector to the current work, unless GOGC is
// set.
type gcTuner struct {
	off   bool
	limit int64 // GOMEMLIMIT; math.MaxInt64 without
}

func newGCTuner() gcTuner {
	t := gcTuner{off: os.Getenv("GOGC") != "", limit: debug.SetMemoryLimit(-1)}
	t.importing(false)
	return t
}

// importing is called when imports start and when they end.
func (t gcTuner) importing(yes bool) {
	switch {
	case t.off:
	case yes:
		debug.SetMemoryLimit(t.limit)
		debug.SetGCPercent(garbageImporting)
	default:
		debug.SetMemoryLimit(min(t.limit, limitOtherwise))
		debug.SetGCPercent(garbageOtherwise)
	}
}
