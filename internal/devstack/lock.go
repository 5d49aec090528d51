//go:build unix

package devstack

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// InUseError is returned when another running process uses the data directory.
type InUseError struct {
	Dir string // the data directory's parent
	PID int    // of the other process; 0 if unknown
}

func (e *InUseError) Error() string {
	other := "another process"
	if e.PID != 0 {
		other = "process " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("%s is in use by %s: stop that process first, or set ROLLCALL_DATA_DIR to another directory", e.Dir, other)
}

// lockFile takes the lock at path and writes our process ID into the file. The
// kernel releases the lock when the process ends; the file stays, and means
// nothing without the lock. The error is an *InUseError without its Dir if
// another process has the lock.
func lockFile(path string) (*flock.Flock, error) {
	lock := flock.New(path, flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !locked {
		return nil, &InUseError{PID: holder(path)}
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", path, err), lock.Close())
	}
	return lock, nil
}

// holder reads the process ID in a lock file. The holder writes it right after
// locking, so holder waits a moment if there is none.
func holder(path string) int {
	for range 20 {
		b, err := os.ReadFile(path)
		if err != nil {
			return 0
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			return pid
		}
		time.Sleep(5 * time.Millisecond)
	}
	return 0
}
