//go:build unix

package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rollcall/internal/child"
)

// orphanPatience is how long a left-over server may take to obey each signal.
const orphanPatience = 10 * time.Second

// clearOrphan deals with what a crash left in dataDir, on which the caller
// holds the lock: a postmaster that still runs is stopped, and a
// postmaster.pid that would keep the next one from starting is disarmed.
func clearOrphan(ctx context.Context, dataDir string) error {
	// As root we work in a directory of another user: os.Root follows no link out of it.
	root, err := os.OpenRoot(dataDir)
	if err != nil {
		return fmt.Errorf("opening the data directory: %w", err)
	}
	defer root.Close()
	pid, err := postmasterPID(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading postmaster.pid: %w", err)
	}
	if isPostmasterOf(pid, dataDir) {
		if err := stopOrphan(ctx, pid, dataDir); err != nil {
			return err
		}
	}
	return disarm(root, pid)
}

// postmasterPID returns the first line of postmaster.pid, 0 if it holds no number.
func postmasterPID(root *os.Root) (int, error) {
	b, err := root.ReadFile("postmaster.pid")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0, nil
	}
	return max(pid, -pid), nil // a single-user server writes it negative
}

// isPostmasterOf tells a living postmaster from a stranger who got its process
// id since, say after a reboot. StartPostgres always passes -D and the directory.
func isPostmasterOf(pid int, dataDir string) bool {
	if pid <= 0 {
		return false
	}
	args, err := child.CommandLine(pid)
	if err != nil || len(args) == 0 || filepath.Base(args[0]) != "postgres" {
		return false
	}
	if slices.Contains(args, dataDir) {
		return true
	}
	// Where arguments come cut at white space, so is a path that has some.
	return strings.Contains(strings.Join(args, " "), " -D "+dataDir+" ")
}

// stopOrphan stops a postmaster that is not our child: nobody tells us of its
// end, so it is asked for.
func stopOrphan(ctx context.Context, pid int, dataDir string) error {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} { // fast, immediate
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stopping process %d, left over from an earlier run: %w", pid, err)
		}
		gone, err := awaitEnd(ctx, pid, dataDir)
		if gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("process %d, a PostgreSQL left over from an earlier run in %s, does not stop", pid, dataDir)
}

func awaitEnd(ctx context.Context, pid int, dataDir string) (gone bool, err error) {
	patience := time.NewTimer(orphanPatience)
	defer patience.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for isPostmasterOf(pid, dataDir) {
		select {
		case <-tick.C:
		case <-patience.C:
			return false, nil
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
	return true, nil
}

// disarm makes a left-over postmaster.pid harmless. PostgreSQL refuses to start
// while the process named there is alive, be it a zombie or a stranger. Removing
// the file would be rash: it also names the shared memory by which a server
// learns that backends of a killed one are still at work on the files. So only
// the process id is replaced, by our own: PostgreSQL takes its parent's for a
// leftover and goes on to look at the shared memory (CreateLockFile in
// src/backend/utils/init/miscinit.c).
func disarm(root *os.Root, pid int) error {
	if pid == 0 { // the write itself was cut short
		return root.Remove("postmaster.pid")
	}
	file, err := root.OpenFile("postmaster.pid", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening postmaster.pid: %w", err)
	}
	defer file.Close()
	old, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("reading postmaster.pid: %w", err)
	}
	_, rest, _ := strings.Cut(string(old), "\n")
	if err := file.Truncate(0); err != nil {
		return fmt.Errorf("emptying postmaster.pid: %w", err)
	}
	if _, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"+rest), 0); err != nil {
		return fmt.Errorf("writing postmaster.pid: %w", err)
	}
	return file.Close()
}
