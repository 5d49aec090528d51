//go:build unix

package devstack

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// InUseError says that another running process holds the data directory.
type InUseError struct {
	Dir string // the data directory's parent
	PID int    // of the other process; 0 when it could not be learned
}

func (e *InUseError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = "process " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("%s is in use by %s: stop that one first, or set ROLLCALL_DATA_DIR to another directory", e.Dir, who)
}

// dirLock is an advisory lock (flock(2)) on a file with our process id in it.
// The kernel drops it with the process, so it never outlives a crash; the file
// may, and means nothing then.
type dirLock struct{ file *os.File }

// lockFile takes the lock at path. The error is an *InUseError without its Dir
// when somebody else has it.
func lockFile(path string) (*dirLock, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("opening the lock: %w", err)
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			defer file.Close()
			return nil, &InUseError{PID: holder(path)}
		}
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		// The last holder may have removed the file between our open and our
		// lock; then we hold a lock nobody else will ever meet.
		if !stillAt(file, path) {
			file.Close()
			continue
		}
		lock := &dirLock{file: file}
		if err := lock.sign(); err != nil {
			lock.release()
			return nil, fmt.Errorf("writing %s: %w", path, err)
		}
		return lock, nil
	}
}

func stillAt(file *os.File, path string) bool {
	ours, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(ours, there)
}

func (l *dirLock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// release removes the file while the lock is still held, then lets go.
func (l *dirLock) release() error {
	return errors.Join(os.Remove(l.file.Name()), l.file.Close())
}

// holder reads the process id in a lock file. The holder writes it right after
// locking, so a file without one is given a moment.
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
