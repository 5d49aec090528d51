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

	"rollcall/devstack"
)

// dirPrefix begins the names of the private servers' directories; the process
// id of the test binary and something random follow.
const dirPrefix = "rollcall-pgtest-"

// Server is a private PostgreSQL in a temporary directory, without a port and
// without fsync.
type Server struct {
	dir      string
	postgres *devstack.Postgres
}

// StartServer starts a server and returns when it answers. [New] does so by
// itself; this is for whoever wants one for several test binaries.
func StartServer(ctx context.Context) (*Server, error) {
	removeStale()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-%s", dirPrefix, os.Getpid(), strings.ToLower(rand.Text()[:8])))
	postgres, err := devstack.StartPostgres(ctx, devstack.PostgresConfig{
		Dir:       dir,
		Ephemeral: true,
		Settings: map[string]string{
			"max_connections": "400", // parallel tests of parallel packages, a pool each
			"autovacuum":      "off", // databases that live for a second need none
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

// removeStale clears away the directories of test binaries that were killed or
// ran into their timeout. Their servers ended with them.
func removeStale() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*")) // fails only on a bad pattern
	for _, dir := range dirs {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		n, err := strconv.Atoi(pid)
		if err == nil && n > 0 && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // another user's stays
		}
	}
}
