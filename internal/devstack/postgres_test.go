//go:build unix

package devstack_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"rollcall/internal/devstack"
)

func TestLifecycle(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	// Durable, like dev: this is the one test of the full shutdown.
	config := devstack.PostgresConfig{Dir: dir, Log: t.Output(), Settings: map[string]string{
		"work_mem":         "5MB",
		"listen_addresses": "*", // must not win
	}}
	pg, err := devstack.StartPostgres(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, pg)
	for query, want := range map[string]string{
		"SHOW listen_addresses":    "",
		"SHOW work_mem":            "5MB",
		"SHOW fsync":               "on",
		"SHOW server_encoding":     "UTF8",
		"SHOW server_version":      pg.Version(),
		"SELECT lower('É')":        "é",
		"SELECT ('a' > 'B')::text": "true", // by code point
		"SELECT count(*)::text FROM pg_hba_file_rules WHERE type <> 'local' AND auth_method <> 'reject'": "0",
	} {
		if got := get(t, pg, query); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s = %q, want %q", query, got, want)
		}
	}
	socketDir := socketDirOf(t, pg)
	if info, err := os.Stat(socketDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory: %v, %v; want mode 0700", info, err)
	}
	exec1(t, pg, "CREATE TABLE kept AS SELECT 'kept' AS v")
	pid := postmasterPID(t, dir)
	stop(t, pg)
	awaitGone(t, pid)
	checkNothingLeft(t, dir)
	if _, err := os.Stat(socketDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's directory is left (%v)", err)
	}
	select {
	case <-pg.Done():
	default:
		t.Error("Done is not closed after Stop")
	}

	if again := start(t, dir); get(t, again, "SELECT v FROM kept") != "kept" {
		t.Error("the second start lost the data")
	}
}

func socketDirOf(t *testing.T, pg *devstack.Postgres) string {
	t.Helper()
	u, err := url.Parse(pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("host")
}

func TestDeepDirectory(t *testing.T) {
	t.Parallel()
	pg := start(t, filepath.Join(newDir(t), strings.Repeat("deep [dir]*/", 12)))
	exec1(t, pg, "SELECT 1")
	if n := len(filepath.Join(socketDirOf(t, pg), ".s.PGSQL.5432")); n > 103 {
		t.Errorf("the socket's path has %d bytes", n)
	}
}

func TestOneOfManyStartsWins(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	const contenders = 6
	servers := make([]*devstack.Postgres, contenders)
	errs := make([]error, contenders)
	var wg sync.WaitGroup
	for i := range contenders {
		wg.Go(func() {
			servers[i], errs[i] = devstack.StartPostgres(t.Context(), devstack.PostgresConfig{Dir: dir, Ephemeral: true})
		})
	}
	wg.Wait()
	var winners int
	for i, pg := range servers {
		if errs[i] == nil {
			winners++
			exec1(t, pg, "SELECT 1")
			defer stop(t, pg)
			continue
		}
		if inUse, ok := errors.AsType[*devstack.InUseError](errs[i]); !ok || inUse.PID != os.Getpid() || inUse.Dir != dir {
			t.Errorf("a loser got %v, want an InUseError that names process %d and %s", errs[i], os.Getpid(), dir)
		}
	}
	if winners != 1 {
		t.Errorf("%d starts succeeded on one directory", winners)
	}
}

func TestOtherProcessIsNamed(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	first, out := spawn(t, dir)
	if h := listen(t, out); h.Error != "" {
		t.Fatal(h.Error)
	}
	second, out2 := spawn(t, dir)
	if h := listen(t, out2); h.InUse != first.Process.Pid || !strings.Contains(h.Error, dir) {
		t.Errorf("the second process got %+v, want one that names process %d", h, first.Process.Pid)
	}
	if err := second.Wait(); err == nil {
		t.Error("the second process ended well")
	}
	interruptGroup(t, first)
	checkNothingLeft(t, dir)
}

// interruptGroup sends SIGINT like Ctrl-C and expects the child to exit
// cleanly.
func interruptGroup(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the interrupted child: %v", err)
	}
}

func TestStartFailureShowsTheLog(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	_, err := devstack.StartPostgres(t.Context(), devstack.PostgresConfig{
		Dir: dir, Ephemeral: true, Settings: map[string]string{"shared_buffers": "plenty"},
	})
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers"`) {
		t.Errorf("error = %v, want the server's own words", err)
	}
	checkNothingLeft(t, dir)
	start(t, dir)
}

func TestCanceledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The first log line means that the server is starting.
	_, err := devstack.StartPostgres(ctx, devstack.PostgresConfig{Dir: dir, Ephemeral: true, Log: cancelWriter(cancel)})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error = %v, want context.Canceled", err)
	}
	checkNothingLeft(t, dir)
	start(t, dir)
}

type cancelWriter context.CancelFunc

func (cancel cancelWriter) Write(b []byte) (int, error) { cancel(); return len(b), nil }

func TestServerThatEndsByItself(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	pg := start(t, dir)
	if err := syscall.Kill(postmasterPID(t, dir), syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	<-pg.Done()
	stop(t, pg)
	start(t, dir)
}
