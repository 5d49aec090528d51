//go:build unix

// Command bench measures how fast Rollcall is, and against what:
//
//	make bench                      # everything, at full size: some 25 minutes
//	make bench BENCH=import         # the measurements whose name matches
//	make bench SCALE=0.01           # a hundredth of the rows: does it still run?
//
// It builds the programs themselves, starts a PostgreSQL of its own with the
// durability it has by default, a redis-server and a mail server that takes
// everything, and runs the measurements one after the other. Each plays its two
// sides in turn, several rounds of them, so that a machine that gets slower
// meanwhile is slower for both. It prints a table of medians, spreads and
// ratios with what is wanted, and writes all numbers to bench.json.
//
// # Adding a measurement
//
// A measurement is a function in a file of its own and an entry in the list in
// measurements.go:
//
//	func measurePolling(ctx context.Context, l *lab) ([]Line, error) {
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
// [lab] has what all share: the servers, the built programs, and files of any
// number of rows ([lab.file]). Sizes go through [lab.scaled], so that SCALE
// makes them small and the test of this package runs all of them in seconds.
// [house] is one installation, spoken to over HTTP. A [Line] is a row of the
// table; [goal] has the kinds of things that can be wanted of it.
//
// Nothing here fails because something was slow: the table says so.
package main
