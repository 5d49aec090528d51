//go:build unix

package devstack_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/devstack"
)

func TestServerDiesWithItsKilledParent(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	parent, out := spawn(t, dir)
	h := listen(t, out)
	if err := ask(t.Context(), h.URL, "CREATE TABLE kept AS SELECT 'kept' AS v"); err != nil {
		t.Fatalf("%v (%+v)", err, h)
	}
	pid := postmasterPID(t, dir)
	kill(t, parent)
	awaitGone(t, pid)
	if got := get(t, start(t, dir), "SELECT v FROM kept"); got != "kept" {
		t.Errorf("kept = %q", got)
	}
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed"
}

func TestRestartAtOnceAfterKill(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	parent, out := spawn(t, dir)
	if h := listen(t, out); h.Error != "" {
		t.Fatal(h.Error)
	}
	kill(t, parent) // and the server is still on its way down:
	exec1(t, start(t, dir), "SELECT 1")
}

func TestKilledServer(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	// Durable: an ephemeral server may lose what it has just committed.
	pg, err := devstack.StartPostgres(t.Context(), devstack.PostgresConfig{Dir: dir, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, pg)
	exec1(t, pg, "CREATE TABLE kept AS SELECT 'kept' AS v")
	if err := syscall.Kill(postmasterPID(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-pg.Done()
	stop(t, pg)
	if got := get(t, start(t, dir), "SELECT v FROM kept"); got != "kept" {
		t.Errorf("kept = %q", got)
	}
}

// asOwnerOf makes cmd run as the owner of the cluster in dir.
func asOwnerOf(t *testing.T, dir string, cmd *exec.Cmd) {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); int(owner.Uid) != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	cmd.Dir = "/"
}

func TestOrphanIsStopped(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	pg := start(t, dir)
	stop(t, pg)
	bin, err := devstack.FindPostgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := os.MkdirTemp("/tmp", "orphan-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(sockets)
	if err := os.Chmod(sockets, 0o777); err != nil {
		t.Fatal(err)
	}
	orphan := exec.Command(filepath.Join(bin.Dir, "postgres"), "-D", filepath.Join(dir, "postgres"),
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+sockets)
	asOwnerOf(t, dir, orphan)
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	defer orphan.Wait()
	orphanURL := "postgres://rollcall@/rollcall?sslmode=disable&host=" + sockets
	awaitAnswer(t, orphanURL)

	// No process waits for the orphan before the deferred Wait: it stays a
	// zombie, as in a container without an init, and its process ID looks
	// alive.
	exec1(t, start(t, dir), "SELECT 1")
	if err := ask(t.Context(), orphanURL, "SELECT 1"); err == nil {
		t.Error("the orphan still answers")
	}
}

func awaitAnswer(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx, url, "SELECT 1")
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

func TestLeftoverPIDFile(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	stop(t, start(t, dir))
	stranger := exec.Command("sleep", "600")
	asOwnerOf(t, dir, stranger)
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	dataDir := filepath.Join(dir, "postgres")
	for name, content := range map[string]string{
		"names a stranger":  fmt.Sprintf("%d\n%s\n1700000000\n5432\n/tmp\n\n  0 0\nready   \n", stranger.Process.Pid, dataDir),
		"names nobody":      fmt.Sprintf("999999999\n%s\n1700000000\n5432\n/tmp\n\n  0 0\nready   \n", dataDir),
		"was cut short":     "",
		"holds no number":   "what\n",
		"names process one": "1\n" + dataDir + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			write := exec.Command("tee", filepath.Join(dataDir, "postmaster.pid"))
			asOwnerOf(t, dir, write)
			write.Stdin = strings.NewReader(content)
			if err := write.Run(); err != nil {
				t.Fatal(err)
			}
			stop(t, start(t, dir))
			checkNothingLeft(t, dir)
		})
	}
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the stranger was harmed: %v", err)
	}
}

func TestKilledInTheMiddleOfInitdb(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	parent, _ := spawn(t, dir)
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		half, _ := filepath.Glob(filepath.Join(dir, "postgres.new-*", "base"))
		if len(half) > 0 {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("initdb never began")
		}
	}
	kill(t, parent)
	if _, err := os.Stat(filepath.Join(dir, "postgres")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the kill came too late to be a test (%v)", err)
	}
	pg := start(t, dir)
	exec1(t, pg, "SELECT 1")
	stop(t, pg)
	checkNothingLeft(t, dir)
}

func TestRefusedDataDirectories(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"older major version": {map[string]string{"PG_VERSION": "9\n", "base/1": "x"}, []string{"was created by PostgreSQL 9", "only PostgreSQL"}},
		"newer major version": {map[string]string{"PG_VERSION": "99\n", "base/1": "x"}, []string{"was created by PostgreSQL 99", "install PostgreSQL 99"}},
		"unreadable version":  {map[string]string{"PG_VERSION": "?\n"}, []string{"unreadable PG_VERSION"}},
		"something else":      {map[string]string{"holiday.jpg": "x"}, []string{"not a PostgreSQL data directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newDir(t)
			for file, content := range c.files {
				path := filepath.Join(dir, "postgres", file)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o711), os.WriteFile(path, []byte(content), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			if os.Geteuid() == 0 { // like a cluster, it belongs to another user
				if err := os.Chown(filepath.Join(dir, "postgres"), 65534, 65534); err != nil {
					t.Fatal(err)
				}
			}
			before := listing(t, dir)
			_, err := devstack.StartPostgres(t.Context(), devstack.PostgresConfig{Dir: dir})
			if err == nil {
				t.Fatal("started")
			}
			for _, want := range append(c.want, filepath.Join(dir, "postgres")) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v, want %q in it", err, want)
				}
			}
			if after := listing(t, dir); after != before {
				t.Errorf("the directory was touched:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// listing names the files below dir with their modes, owners, times and sizes.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(filepath.Join(dir, "postgres"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		uid := strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid))
		fmt.Fprintln(&b, path, info.Mode(), uid, info.ModTime(), info.Size())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
