//go:build unix

package devstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rollcall/internal/subprocess"
)

// cluster is a data directory together with the server that fits it.
type cluster struct {
	parent  string // PostgresConfig.Dir, absolute, links resolved
	dataDir string
	bin     Binaries
	account account
}

// initTimeout bounds initdb, which takes half a second on a good disk.
const initTimeout = 2 * time.Minute

// openCluster finds the cluster in parent, or makes it. The caller holds the lock.
func openCluster(ctx context.Context, parent string, cfg PostgresConfig, found []Binaries) (cluster, error) {
	c := cluster{parent: parent, dataDir: filepath.Join(parent, "postgres")}
	var err error
	if c.account, err = accountFor(c.dataDir); err != nil {
		return cluster{}, err
	}
	if err := c.removeUnfinished(ctx); err != nil {
		return cluster{}, err
	}
	major, err := c.major()
	switch {
	case err != nil:
		return cluster{}, err
	case major == 0:
		c.bin = found[0]
	default:
		if c.bin, err = fitting(found, major); err != nil {
			return cluster{}, fmt.Errorf("%s was created by %w", c.dataDir, err)
		}
	}
	if err := c.account.canEnter(parent, c.bin); err != nil {
		return cluster{}, err
	}
	if major != 0 {
		return c, nil
	}
	return c, c.init(ctx, cfg)
}

// major returns the major version that created the data directory, 0 if there
// is none. Anything else in its place is an error: it is not ours to remove.
func (c cluster) major() (int, error) {
	entries, err := os.ReadDir(c.dataDir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read data directory: %w", err)
	case len(entries) == 0:
		return 0, os.Remove(c.dataDir)
	}
	b, err := os.ReadFile(filepath.Join(c.dataDir, "PG_VERSION"))
	if err != nil {
		return 0, fmt.Errorf("%s is not empty and not a PostgreSQL data directory: move it away, or set ROLLCALL_DATA_DIR to another directory (%w)", c.dataDir, err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s has an unreadable PG_VERSION: %w", c.dataDir, err)
	}
	return major, nil
}

// fitting returns the newest server of the given major version: only that one
// can read the files.
func fitting(found []Binaries, major int) (Binaries, error) {
	for _, b := range found {
		if b.Major == major {
			return b, nil
		}
	}
	return Binaries{}, fmt.Errorf("PostgreSQL %d, but this machine has only %s: install PostgreSQL %[1]d, or set ROLLCALL_DATA_DIR to another directory to start with an empty database (nothing was changed)", major, found[0])
}

// unfinished is the name prefix of a cluster until it is complete.
const unfinished = "postgres.new-"

// init creates the cluster in a directory next to its final one and moves it
// there when it is complete, so that a kill at any moment leaves either all of
// it or nothing.
func (c cluster) init(ctx context.Context, cfg PostgresConfig) error {
	ctx, cancel := context.WithTimeoutCause(ctx, initTimeout, fmt.Errorf("initdb took longer than %s", initTimeout))
	defer cancel()
	made, err := os.MkdirTemp(c.parent, unfinished)
	if err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	defer os.RemoveAll(made) // does nothing after the move
	if c.account.switched {
		if err := os.Chown(made, c.account.uid, c.account.gid); err != nil {
			return fmt.Errorf("change owner of the data directory to %s: %w", c.account.name, err)
		}
	}
	if err := c.initdb(ctx, made, cfg); err != nil {
		return err
	}
	if err := os.Rename(made, c.dataDir); err != nil {
		return fmt.Errorf("move the new data directory into place: %w", err)
	}
	return syncDir(c.parent)
}

// initdb tries the locales from best to plainest. All of them sort by code
// point; they differ in whether lower('É') is known, and before PostgreSQL 17
// brought its own, not every system had C.UTF-8.
func (c cluster) initdb(ctx context.Context, dir string, cfg PostgresConfig) error {
	locales := [][]string{
		{"--locale=C", "--lc-ctype=C.UTF-8"},
		{"--locale=C"},
	}
	if c.bin.Major >= 17 {
		locales = [][]string{{"--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"}}
	}
	args := []string{
		"--pgdata=" + dir,
		"--username=" + databaseUser,
		"--encoding=UTF8",
		"--auth-local=trust", // who can reach the socket is decided by its directory, mode 0700
		"--auth-host=reject",
	}
	if cfg.Ephemeral {
		args = append(args, "--no-sync")
	}
	var err error
	for _, locale := range locales {
		var p *subprocess.Process
		p, err = subprocess.Start(subprocess.Command{
			Path: c.bin.path("initdb"),
			Args: slices.Concat(args, locale),
			As:   c.account.credential(),
		})
		if err != nil {
			return err
		}
		if err = p.Wait(ctx); err == nil {
			return nil
		}
		err = fmt.Errorf("create a PostgreSQL data directory in %s with %s: %w\n%s", c.parent, c.bin.path("initdb"), err, p.Tail())
		if ctx.Err() != nil {
			break
		}
	}
	return err
}

// removeUnfinished removes what killed runs of initdb left behind.
func (c cluster) removeUnfinished(ctx context.Context) error {
	left, _ := filepath.Glob(filepath.Join(escapeGlob(c.parent), unfinished+"*")) // fails only on a bad pattern
	for _, dir := range left {
		if err := removeWhileWritten(ctx, dir); err != nil {
			return fmt.Errorf("remove an unfinished data directory: %w", err)
		}
	}
	return nil
}

// removeWhileWritten removes dir although an initdb whose parent was just
// killed may still be working in it: it was told to end (see package
// subprocess), but may add files until it does.
func removeWhileWritten(ctx context.Context, dir string) error {
	patience := time.NewTimer(orphanPatience)
	defer patience.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := os.RemoveAll(dir)
		if !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, os.ErrExist) {
			return err
		}
		select {
		case <-again.C:
		case <-patience.C:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// syncDir makes a rename in dir survive a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
