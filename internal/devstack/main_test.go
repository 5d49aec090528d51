//go:build unix

package devstack_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq"
	"go.uber.org/goleak"

	"rollcall/internal/devstack"
)

// childVariable makes the test binary start the PostgreSQL of a directory,
// report it, and stop it at SIGINT: a process that can be killed, or run as
// another user.
const childVariable = "ROLLCALL_DEVSTACK_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		os.Exit(runChild(dir))
	}
	goleak.VerifyTestMain(m)
}

// hello is a child's report once its start has succeeded or failed.
type hello struct {
	URL   string
	Error string
	InUse int // process id in an InUseError
}

func runChild(dir string) int {
	interrupted, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT)
	defer cancel()
	ctx := context.Background()
	pg, err := devstack.StartPostgres(ctx, devstack.PostgresConfig{Dir: dir, Ephemeral: true})
	say := hello{}
	if err != nil {
		say.Error = err.Error()
		if inUse, ok := errors.AsType[*devstack.InUseError](err); ok {
			say.InUse = inUse.PID
		}
	} else {
		say.URL = pg.URL()
	}
	if json.NewEncoder(os.Stdout).Encode(say) != nil || err != nil {
		return 1
	}
	<-interrupted.Done()
	// The interrupt must not have reached the server: it works until we stop
	// it.
	if err := ask(ctx, pg.URL(), "SELECT pg_sleep(0.2)"); err != nil {
		fmt.Fprintln(os.Stderr, "after the interrupt:", err)
		return 2
	}
	if err := pg.Stop(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "stopping:", err)
		return 3
	}
	return 0
}

func ask(ctx context.Context, url, query string) error {
	db, err := sql.Open("postgres", url)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, query)
	return err
}

// spawn starts a child, in a process group of its own, on dir.
func spawn(t *testing.T, dir string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // for a test that failed midway
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd, bufio.NewReader(out)
}

func listen(t *testing.T, out *bufio.Reader) hello {
	t.Helper()
	line, err := out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the child said nothing: %v", err)
	}
	var h hello
	if err := json.Unmarshal(line, &h); err != nil {
		t.Fatalf("the child said %q: %v", line, err)
	}
	return h
}

// newDir returns a directory that does not exist yet, in one that the server's
// user can pass through, which t.TempDir is not for root.
func newDir(t *testing.T) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "devstack-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(parent, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, "data")
}

func start(t *testing.T, dir string) *devstack.Postgres {
	t.Helper()
	pg, err := devstack.StartPostgres(t.Context(), devstack.PostgresConfig{Dir: dir, Ephemeral: true, Log: t.Output()})
	if err != nil {
		t.Fatalf("StartPostgres: %v", err)
	}
	t.Cleanup(func() { stop(t, pg) })
	return pg
}

func stop(t *testing.T, pg *devstack.Postgres) {
	t.Helper()
	if err := pg.Stop(context.Background()); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func exec1(t *testing.T, pg *devstack.Postgres, query string) {
	t.Helper()
	if err := ask(t.Context(), pg.URL(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func get(t *testing.T, pg *devstack.Postgres, query string) (value string) {
	t.Helper()
	db, err := sql.Open("postgres", pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func postmasterPID(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// awaitGone fails the test unless the process ends within ten seconds.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// checkNothingLeft expects dir to contain only the data and the lock file,
// which stays.
func checkNothingLeft(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "postgres" && e.Name() != "postgres.lock" {
			t.Errorf("%s is left in the directory", e.Name())
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "postgres", "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("postmaster.pid is left (%v)", err)
	}
}
