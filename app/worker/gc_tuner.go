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
// every few hundred mails and take a sixth of the time spent on them. The
// ballast raises the live size; nothing is ever written to it, so it takes no
// physical memory.
const (
	garbageImporting = 40  // percent of the live memory
	garbageOtherwise = 150 // the same
	ballastBytes     = 16 << 20
)

// gcTuner adjusts the garbage collector to the current work, unless GOGC is
// set.
type gcTuner struct{ ballast []byte }

func newGCTuner() *gcTuner {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	t := &gcTuner{make([]byte, ballastBytes)}
	t.importing(false)
	return t
}

// importing is called when imports start and when they end.
func (t *gcTuner) importing(yes bool) {
	switch {
	case t == nil:
	case yes:
		debug.SetGCPercent(garbageImporting)
	default:
		debug.SetGCPercent(garbageOtherwise)
	}
}
