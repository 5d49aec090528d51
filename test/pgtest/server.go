//go:build unix

package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"rollcall/internal/devstack"
)

// dirPrefix begins the names of the private servers' directories; the process
// ID of the test binary and a random part follow.
const dirPrefix = "rollcall-pgtest-"

// Server is a private PostgreSQL in a temporary directory, without a port and
// without fsync.
type Server struct {
	dir      string
	postgres *devstack.Postgres
}

// StartServer starts a server and returns when it answers. [New] does so by
// itself; call StartServer to share one between several test binaries.
func StartServer(ctx context.Context) (*Server, error) {
	removeStale()
	dir := filepath.Join(home(), fmt.Sprintf("%s%d-%s", dirPrefix, os.Getpid(), strings.ToLower(rand.Text()[:8])))
	postgres, err := devstack.StartPostgres(ctx, devstack.PostgresConfig{
		Dir:       dir,
		Ephemeral: true,
		Settings: map[string]string{
			"max_connections": "400", // parallel tests of parallel packages, a pool each
			"autovacuum":      "off", // databases that live for a second don't need it
			"max_wal_size":    "256MB",
		},
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &Server{dir: dir, postgres: postgres}, nil
}

// URL returns the server's URL. Its user may do anything.
func (s *Server) URL() string { return s.postgres.URL() }

// Stop stops the server and removes its directory.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	return errors.Join(s.postgres.Stop(ctx), os.RemoveAll(s.dir))
}

// removeStale removes the directories of test binaries that were killed or
// timed out. Their servers ended with them.
func removeStale() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*")) // fails only on a bad pattern
	inMemory, _ := filepath.Glob(filepath.Join(memory, dirPrefix+"*"))
	for _, dir := range append(dirs, inMemory...) {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		n, err := strconv.Atoi(pid)
		if err == nil && n > 0 && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // another user's stays
		}
	}
}

const (
	// memory is a file system without a disk, on Linux.
	memory = "/dev/shm"
	// plenty is how many bytes must be free in it and in the machine's memory.
	plenty = 6 << 30
)

// home returns where private servers are created: in memory, if there is plenty
// of it. Each test has a database of some three hundred files, and ext4 takes a
// millisecond to create a file while others have just been removed: a third of
// the total test time.
func home() string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err != nil || uint64(fs.Bavail)*uint64(fs.Bsize) < plenty || available() < plenty {
		return os.TempDir()
	}
	return memory
}

// available returns how much memory programs may still use, in bytes; 0:
// unknown.
func available() (bytes uint64) {
	told, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(told)) {
		if n, err := fmt.Sscanf(line, "MemAvailable: %d kB", &bytes); err == nil && n == 1 {
			return bytes << 10
		}
	}
	return 0
}
