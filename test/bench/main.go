//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run runs the measurements that the command line asks for. If one fails, the
// others are still run.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	selected := flags.String("run", ".", "measurements whose name matches this `regexp`")
	scale := flags.Float64("scale", 1, "`factor` for all numbers of rows")
	rounds := flags.Int("rounds", 0, "`how many` rounds of each; 0: as many as each finds right")
	file := flags.String("out", "", "write all numbers to this `file`, as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*selected)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if *scale <= 0 {
		return errors.New("-scale must be above 0")
	}
	l, err := openEnv(ctx, *scale, *rounds, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()

	report := Report{At: time.Now().UTC(), Machine: l.machine(), Scale: *scale}
	var failed []error
	for _, m := range measurements {
		if !wanted.MatchString(m.name) {
			continue
		}
		began := time.Now()
		fmt.Fprintf(out, "%s …\n", m.name)
		lines, err := m.measure(ctx, l)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m.name, err))
			fmt.Fprintf(out, "  failed: %v\n", err)
		}
		for _, line := range lines {
			if len(line.Ours) == 0 || len(line.Theirs) == 0 && line.Wanted.compares() {
				continue // it failed before it had values to compare
			}
			line.Name = m.name
			line.judge()
			report.Lines = append(report.Lines, line)
			line.print(out)
		}
		fmt.Fprintf(out, "  (%.0f s)\n", time.Since(began).Seconds())
		if ctx.Err() != nil {
			break
		}
	}
	report.print(out)
	if *file != "" {
		failed = append(failed, report.write(*file))
	}
	return errors.Join(failed...)
}

// Report is the result of one run.
type Report struct {
	At      time.Time `json:"at"`
	Machine string    `json:"machine"`
	Scale   float64   `json:"scale"` // 1: full size
	Lines   []Line    `json:"lines"`
}

func (r Report) write(file string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}

// machine describes in one line what the numbers were measured on.
func (l *env) machine() string {
	return fmt.Sprintf("%d cores, %s/%s, %s, PostgreSQL %s, %s",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), l.postgres.Version(), l.redisIs)
}
