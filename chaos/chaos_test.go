//go:build unix

// Package chaos_test proves the promise of the house under fault: every row in
// exactly once, every mail at least once, whatever is killed, cut or filled up.
//
// The programs are built once and run as processes, each experiment with a
// PostgreSQL, a Redis, a mail server and a network line of its own, all on
// loopback. An experiment ends with the same three questions: are the users the
// expected set, are counts and reports what an undisturbed run makes of the
// same files, and did every invitation go out, with no more duplicates than
// kills can explain. It prints the figures.
//
// Two sizes: short within `make test`, and full, as docs/chaos.md describes it:
//
//	make chaos
//	make chaos RUN=Kill
package chaos_test

import (
	"context"
	"flag"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"rollcall/internal/programtest"
)

// full says that every experiment has the size that is promised; else it is cut
// down to what a test run has time for.
var full = os.Getenv("ROLLCALL_CHAOS") == "full"

// sized is a number of the experiment in its two sizes.
func sized(short, long int) int {
	if full {
		return long
	}
	return short
}

// binaries is where the programs are built.
var binaries string

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(programtest.Around(experiments{m}, &binaries))
}

// experiments begin and end with nothing left behind.
type experiments struct{ *testing.M }

func (e experiments) Run() int {
	if !full {
		// They mostly wait: for leases to run out, for servers to come back.
		flag.Set("test.parallel", "4")
	}
	redis.SetLogger(quiet{}) // it would tell of every server that is not up yet
	removeStale()
	defer os.RemoveAll(clusterDir("template"))
	return e.M.Run()
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// parallel has an experiment of the short size run beside others. In full size
// each has the machine to itself.
func parallel(t *testing.T) {
	t.Helper()
	if !full {
		t.Parallel()
	}
}
