//go:build unix

package devstack

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	// socketPort is part of the socket's file name and nothing else: no port is opened.
	socketPort = "5432"
	// maxSocketPath is the shortest limit on a socket's path among the systems
	// we run on: sun_path has 104 bytes on macOS, 108 on Linux, a NUL included.
	maxSocketPath = 103
)

// makeSocketDir makes the directory of mode 0700 that holds the server's socket
// and decides who may connect. Its name follows from the cluster's, so that a
// crash leaves at most one behind, which the next start takes over.
func makeSocketDir(c cluster, ephemeral bool) (string, error) {
	dir := filepath.Join(c.parent, "socket")
	if !ephemeral || len(filepath.Join(dir, ".s.PGSQL."+socketPort)) > maxSocketPath {
		// Not os.TempDir, which is too long on macOS, and not beside the data,
		// which may lie on a file system that has no sockets.
		dir = fmt.Sprintf("/tmp/rollcall-%x", sha256.Sum256([]byte(c.dataDir)))[:len("/tmp/rollcall-")+16]
	}
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		dir, err = adoptSocketDir(dir, c.account)
	}
	if err != nil {
		return "", fmt.Errorf("making a directory for the socket: %w", err)
	}
	if c.account.switched {
		if err := os.Chown(dir, c.account.uid, c.account.gid); err != nil {
			return "", fmt.Errorf("giving the socket's directory to user %s: %w", c.account.name, err)
		}
	}
	return dir, nil
}

// adoptSocketDir takes over what a crash left. /tmp is open to all: what is not
// ours, or not closed to others, is left alone and a fresh name is taken.
func adoptSocketDir(dir string, as account) (string, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	owner, exists, err := ownerOf(dir)
	ours := err == nil && exists && (owner.uid == as.uid || owner.uid == os.Geteuid())
	if !ours || !info.IsDir() || info.Mode().Perm() != 0o700 {
		return os.MkdirTemp("/tmp", "rollcall-")
	}
	return dir, nil
}
