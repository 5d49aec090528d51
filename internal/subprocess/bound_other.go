//go:build unix && !linux

package subprocess

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// runBound runs cmd to its end; started receives whether it could be started.
// If this process dies, even by SIGKILL, a shell that waits at the other end of
// a pipe sends the child SIGINT, which makes PostgreSQL shut down fast and
// initdb clean up.
func runBound(cmd *exec.Cmd, started chan<- error) error {
	if err := cmd.Start(); err != nil {
		started <- err
		return err
	}
	release, err := watch(cmd.Process.Pid)
	if err != nil {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
		started <- err
		return err
	}
	started <- nil
	defer release()
	return cmd.Wait()
}

// watch starts the shell. Only we have the pipe's other end (close-on-exec), so
// the kernel closes it when we die, and the shell's read returns.
func watch(pid int) (release func(), err error) {
	shell := exec.Command("/bin/sh", "-c", `read -r _; kill -INT "$0"`, strconv.Itoa(pid))
	shell.Dir = "/"
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := shell.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := shell.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = shell.Process.Kill() // before the pipe closes: another process may have the pid by now
		_ = shell.Wait()
		_ = pipe.Close()
	}, nil
}

// CommandLine returns the arguments of a running process, cut at white space:
// ps does not say where one argument ends.
func CommandLine(pid int) ([]string, error) {
	out, err := exec.Command("ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(out)), nil
}
