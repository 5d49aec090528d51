package app_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/app"
	"rollcall/app/api"
	"rollcall/app/worker"
	"rollcall/config"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(stuck) == "1" {
		os.Exit(hang())
	}
	goleak.VerifyTestMain(pgtest.Around(m))
}

// stuck has the test binary be a program whose drain never ends.
const stuck = "ROLLCALL_TEST_STUCK"

const drain = 500 * time.Millisecond

// hang is that program.
func hang() int {
	return app.ProcessWithin(
		func([]string) (config.Config, error) { return config.Config{}, nil },
		func(_ context.Context, _ config.Config, log *slog.Logger) error { log.Info("runs"); select {} },
		drain)
}

// TestDrainEndsInAnyCase: a program that hangs in its drain is ended, says so,
// and does not look like one that drained.
func TestDrainEndsInAnyCase(t *testing.T) {
	t.Parallel()
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), stuck+"=1")
	stderr, err := program.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	defer program.Process.Kill()
	lines := bufio.NewScanner(stderr)
	if !lines.Scan() || !strings.Contains(lines.Text(), "runs") {
		t.Fatalf("said %q", lines.Text())
	}
	told := time.Now()
	if err := program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var last string
	for lines.Scan() {
		last = lines.Text()
	}
	exit, failed := errors.AsType[*exec.ExitError](program.Wait())
	if took := time.Since(told); !failed || exit.ExitCode() != 1 || took < drain {
		t.Errorf("ended with %v after %s; want exit code 1 after %s", exit, took, drain)
	}
	if !strings.Contains(last, "drain timed out") {
		t.Errorf("its last words are %q", last)
	}
}

// TestRefusedAtOnce: a database that does not let a program in is not waited for.
func TestRefusedAtOnce(t *testing.T) {
	t.Parallel()
	database, err := url.Parse(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	database.Path = "/nobody_made_this"
	cfg, err := config.LoadWorker([]string{
		"DATABASE_URL=" + database.String(), "REDIS_URL=redis://127.0.0.1:1", "ROLLCALL_SECRET=" + strings.Repeat("s", 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func(context.Context, config.Config, *slog.Logger) error{"api": api.Run, "worker": worker.Run} {
		began := time.Now()
		if err := run(t.Context(), cfg, slog.New(slog.DiscardHandler)); !errors.Is(err, storage.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: named after %s", name, took)
		}
	}
}
