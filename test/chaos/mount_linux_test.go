package chaos_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// mountSmall mounts a small file system on dir until the test ends, and reports
// whether it could.
func mountSmall(t *testing.T, dir string, bytes int) bool {
	t.Helper()
	if os.Getenv("ROLLCALL_CHAOS_MOUNT") == "no" { // to test the alternative
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

// chownLike makes the owner of other the owner of dir.
func (h *testEnv) chownLike(dir, other string) {
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
