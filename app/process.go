// Package app holds what the API server (app/api) and the worker (app/worker)
// share: the process with its signals and its drain, the database connection,
// listeners and metrics. It does not import an HTTP framework.
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

// Process is the body of a program's main function: it reads the environment,
// runs until a signal and returns the exit code.
func Process(load func(environ []string) (config.Config, error), run func(context.Context, config.Config, *slog.Logger) error) int {
	return process(load, run, drainTimeout)
}

func process(load func(environ []string) (config.Config, error), run func(context.Context, config.Config, *slog.Logger) error, most time.Duration) int {
	cfg, err := load(os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	log := cfg.Logger(os.Stderr, IsTerminal(os.Stderr))
	SetRedisLogger(log)
	cfg.WarnInsecureLinks(log)
	ctx, stop := Signals(context.Background())
	defer stop()
	defer context.AfterFunc(ctx, func() {
		time.Sleep(most)
		log.Error("drain timed out; leases will expire")
		os.Exit(1)
	})()
	if err := run(ctx, cfg, log); err != nil && !errors.Is(err, context.Canceled) {
		log.Error("stopped", "error", err)
		return 1
	}
	return 0
}

// SetRedisLogger sends the messages of the Redis client to the debug log: the
// code that needs Redis reports once that it is unavailable.
func SetRedisLogger(log *slog.Logger) { redis.SetLogger(redisLog{log}) }

type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis client", "message", fmt.Sprintf(format, v...))
}

// drainTimeout is how long a process may take to stop before it exits anyway. A
// database that stops responding without closing its connections can hold up a
// drain; the work in progress there is protected by its fence.
const drainTimeout = 28 * time.Second

// sameSignal is how close together signals count as one: a terminal, a shell
// and a supervisor may each forward the same Ctrl-C.
const sameSignal = 250 * time.Millisecond

// Signals returns a context that ends at the first SIGINT or SIGTERM, which
// starts the drain. The second signal exits at once.
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
