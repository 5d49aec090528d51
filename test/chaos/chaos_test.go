//go:build unix

// Package chaos_test tests the guarantees under faults: every row is imported
// exactly once and every mail is sent at least once, whatever is killed, cut or
// filled up.
//
// The programs are built once and run as processes, each experiment with its own
// PostgreSQL, Redis, mail server and proxy, all on loopback. Every experiment
// ends with the same three checks: the users are the expected set, counts and
// reports equal those of an undisturbed run of the same files, and every
// invitation was sent, with no more duplicates than kills can explain. It prints
// the figures.
//
// There are two sizes: short in `make test`, and full, as docs/chaos.md
// describes:
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

	"rollcall/test/programtest"
)

// full is set if every experiment has its documented size; otherwise it is cut
// down to what fits in a test run.
var full = os.Getenv("ROLLCALL_CHAOS") == "full"

// sized picks a number for the short or the full size.
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

// experiments fail if anything is left behind at the end.
type experiments struct{ *testing.M }

func (e experiments) Run() int {
	if !full {
		// They mostly wait: for leases to expire, for servers to come back.
		flag.Set("test.parallel", "4")
	}
	redis.SetLogger(quiet{}) // it would log every server that is not up yet
	removeStale()
	defer os.RemoveAll(clusterDir("template"))
	return e.M.Run()
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// parallel runs an experiment of the short size beside others. In full size
// each has the machine to itself.
func parallel(t *testing.T) {
	t.Helper()
	if !full {
		t.Parallel()
	}
}
