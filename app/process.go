// Package app wires the packages into the two programs, the API and the worker,
// and gives them their life: start, serve, drain, stop. A private instance runs
// the same two functions with a Config of its own.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/term"

	"rollcall/config"
)

// Process is what the main function of a program does: it reads the
// environment, runs until a signal and returns the exit code.
func Process(load func(environ []string) (config.Config, error), run func(context.Context, config.Config, *slog.Logger) error) int {
	return process(load, run, drainMost)
}

func process(load func(environ []string) (config.Config, error), run func(context.Context, config.Config, *slog.Logger) error, most time.Duration) int {
	cfg, err := load(os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	log := cfg.Logger(os.Stderr, IsTerminal(os.Stderr))
	QuietRedis(log)
	cfg.WarnExposed(log)
	ctx, stop := Signals(context.Background())
	defer stop()
	defer context.AfterFunc(ctx, func() {
		time.Sleep(most)
		log.Error("the drain took too long: stopped where it was, leases will run out")
		os.Exit(1)
	})()
	if err := run(ctx, cfg, log); err != nil && !errors.Is(err, context.Canceled) {
		log.Error("stopped", "error", err)
		return 1
	}
	return 0
}

// QuietRedis has the Redis client say what it has to say to the log, where a
// server that is away is told once by whoever needed it.
func QuietRedis(log *slog.Logger) { redis.SetLogger(redisLog{log}) }

type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis client", "said", fmt.Sprintf(format, v...))
}

// drainMost is when a process that was told to stop stops in any case. A
// database that has fallen silent without closing its connections can hold a
// drain up; what was under way there is safe under its fence.
const drainMost = 28 * time.Second

// sameSignal is how close together signals count as one: a terminal, a shell and
// a supervisor may each pass the same Ctrl-C on.
const sameSignal = 250 * time.Millisecond

// Signals returns a context that ends at the first SIGINT or SIGTERM: drain. At
// the second the process exits at once.
func Signals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel()
		case <-done:
			return
		}
		for first := time.Now(); ; {
			select {
			case <-signals:
				if time.Since(first) > sameSignal {
					os.Exit(1)
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// IsTerminal reports whether a person is watching w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
