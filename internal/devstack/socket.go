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
	// socketPort is only part of the socket's file name: no port is opened.
	socketPort = "5432"
	// maxSocketPath is the shortest limit on a socket's path among the systems
	// we run on: sun_path has 104 bytes on macOS, 108 on Linux, a NUL included.
	maxSocketPath = 103
)

// makeSocketDir creates the directory of mode 0700 that contains the server's
// socket and controls who may connect. Its name is derived from the cluster's,
// so that a crash leaves at most one behind, which the next start takes over.
func makeSocketDir(c cluster, ephemeral bool) (string, error) {
	dir := filepath.Join(c.parent, "socket")
	if !ephemeral || len(filepath.Join(dir, ".s.PGSQL."+socketPort)) > maxSocketPath {
		// Not os.TempDir, which is too long on macOS, and not next to the data,
		// whose file system may not support sockets.
		dir = fmt.Sprintf("/tmp/rollcall-%x", sha256.Sum256([]byte(c.dataDir)))[:len("/tmp/rollcall-")+16]
	}
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		dir, err = adoptSocketDir(dir, c.account)
	}
	if err != nil {
		return "", fmt.Errorf("create socket directory: %w", err)
	}
	if c.account.switched {
		if err := os.Chown(dir, c.account.uid, c.account.gid); err != nil {
			return "", fmt.Errorf("change owner of the socket directory to %s: %w", c.account.name, err)
		}
	}
	return dir, nil
}

// adoptSocketDir takes over what a crash left. /tmp is open to all users: a
// directory that is not ours, or is open to others, is left alone and a fresh
// name is used.
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
