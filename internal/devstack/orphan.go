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
	"time"

	"rollcall/internal/subprocess"
)

// orphanPatience is how long a left-over server may take to react to each
// signal.
const orphanPatience = 10 * time.Second

// clearOrphan cleans up what a crash left in dataDir, whose lock the caller
// holds: it stops a postmaster that still runs, and disarms a postmaster.pid
// that would keep the next one from starting.
func clearOrphan(ctx context.Context, c cluster) error {
	// As root we work in a directory of another user: os.Root follows no link out of it.
	root, err := os.OpenRoot(c.dataDir)
	if err != nil {
		return fmt.Errorf("open data directory: %w", err)
	}
	defer root.Close()
	pid, err := postmasterPID(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read postmaster.pid: %w", err)
	}
	if isPostmasterOf(pid, c.dataDir) {
		if err := c.stopOrphan(ctx); err != nil {
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

// isPostmasterOf distinguishes a running postmaster from another process that
// got its process ID since, for example after a reboot; pg_ctl does not, and
// would stop that process. StartPostgres always passes -D and the directory.
func isPostmasterOf(pid int, dataDir string) bool {
	if pid <= 0 {
		return false
	}
	args, err := subprocess.CommandLine(pid)
	if err != nil || len(args) == 0 || filepath.Base(args[0]) != "postgres" {
		return false
	}
	if slices.Contains(args, dataDir) {
		return true
	}
	// If arguments are split at white space, so is a path that contains some.
	return strings.Contains(strings.Join(args, " "), " -D "+dataDir+" ")
}

// stopOrphan stops the postmaster of a data directory that is not our child:
// fast, and at once if that takes too long.
func (c cluster) stopOrphan(ctx context.Context) error {
	var errs []error
	for _, mode := range []string{"fast", "immediate"} {
		stop, err := subprocess.Start(subprocess.Command{
			Path: c.bin.path("pg_ctl"),
			Args: []string{"stop", "-D", c.dataDir, "-m", mode, "-t", strconv.Itoa(int(orphanPatience.Seconds()))},
			As:   c.account.credential(),
		})
		if err != nil {
			return err
		}
		if err = stop.Wait(ctx); err == nil {
			return nil
		}
		if _, gone := os.Stat(filepath.Join(c.dataDir, "postmaster.pid")); errors.Is(gone, os.ErrNotExist) {
			return nil // it ended by itself meanwhile
		}
		errs = append(errs, fmt.Errorf("%w\n%s", err, stop.Tail()))
	}
	return fmt.Errorf("stop the PostgreSQL left over from an earlier run in %s: %w", c.dataDir, errors.Join(errs...))
}

// disarm makes a left-over postmaster.pid harmless. PostgreSQL refuses to start
// while the process named there is alive, even if it is a zombie or an
// unrelated process. Removing the file would be unsafe: it also names the
// shared memory by which a server learns that backends of a killed one are
// still working on the files. So only the process ID is replaced, by our own:
// PostgreSQL treats its parent's as stale and still checks the shared memory
// (CreateLockFile in src/backend/utils/init/miscinit.c).
func disarm(root *os.Root, pid int) error {
	if pid == 0 { // the write itself was cut short
		return root.Remove("postmaster.pid")
	}
	file, err := root.OpenFile("postmaster.pid", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open postmaster.pid: %w", err)
	}
	defer file.Close()
	old, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("read postmaster.pid: %w", err)
	}
	_, rest, _ := strings.Cut(string(old), "\n")
	if err := file.Truncate(0); err != nil {
		return fmt.Errorf("truncate postmaster.pid: %w", err)
	}
	if _, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"+rest), 0); err != nil {
		return fmt.Errorf("write postmaster.pid: %w", err)
	}
	return file.Close()
}
