package subprocess

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// runBound runs cmd to its end; started receives whether it could be started.
// If this process dies, even by SIGKILL, the kernel sends the child SIGINT,
// which makes PostgreSQL shut down fast and initdb clean up.
func runBound(cmd *exec.Cmd, started chan<- error) error {
	// The signal is tied to the thread that forked, not to the process
	// (PR_SET_PDEATHSIG(2const)), so the thread must live as long as the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
	if err := cmd.Start(); err != nil {
		started <- err
		return err
	}
	started <- nil
	return cmd.Wait()
}

// CommandLine returns the arguments of a running process. A zombie has none.
func CommandLine(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00"), nil
}
