package chaos_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// mountSmall mounts a file system of its own on dir until the test ends, and
// reports whether it may.
func mountSmall(t *testing.T, dir string, bytes int) bool {
	t.Helper()
	if os.Getenv("ROLLCALL_CHAOS_MOUNT") == "no" { // to see the other way
		return false
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", bytes)); err != nil {
		t.Logf("no file system of our own: %v", err)
		return false
	}
	t.Cleanup(func() { unmount(dir) })
	return true
}

func unmount(dir string) { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }

// chownLike gives a directory to the owner of another.
func (h *house) chownLike(dir, other string) {
	h.Helper()
	info, err := os.Stat(other)
	if err != nil {
		h.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
		h.Fatal(err)
	}
}
