//go:build unix

// Command bench measures how fast Rollcall is, and compared with what:
//
//	make bench                      # everything, at full size: some 25 minutes
//	make bench BENCH=import         # the measurements whose name matches
//	make bench SCALE=0.01           # a hundredth of the rows: does it still run?
//
// It builds the programs themselves, starts its own PostgreSQL with default
// durability, a redis-server and a mail server that accepts everything, and runs
// the measurements one after the other. Each runs its two sides in turn, for
// several rounds, so that a machine that gets slower meanwhile is slower for
// both. It prints a table of medians, spreads and ratios with their goals, and
// writes all numbers to bench.json.
//
// # Adding a measurement
//
// A measurement is a function in a file of its own and an entry in the list in
// measurements.go:
//
//	func measurePolling(ctx context.Context, l *env) ([]Line, error) {
//		h, err := l.open(ctx, settings{})   // a fresh, migrated database and a running api and worker
//		if err != nil {
//			return nil, err
//		}
//		defer h.close()
//		…
//		var one, many []float64
//		err = l.rounds(3, func(int) error { one = append(one, …); many = append(many, …); return nil })
//		return []Line{{What: "…", Unit: "rows/s", Ours: one, Against: "…", Theirs: many, Wanted: atLeastTimes(1.5)}}, err
//	}
//
// [env] is what all share: the servers, the built programs, and files of any
// number of rows ([env.file]). Scale sizes with [env.scaled], so that SCALE makes
// them small and the test of this package runs all of them in seconds.
// [installation] is one installation, used over HTTP. A [Line] is a row of the
// table; [goal] has the kinds of goals.
//
// A slow result is no failure: the table shows it.
package main
