//go:build unix

// Package subprocess runs a server program as a child process that ends when
// this process ends, for whatever reason.
package subprocess

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command says what to run.
type Command struct {
	Path string // absolute
	Args []string
	Env  []string            // NAME=value, beside the three that every child gets
	As   *syscall.Credential // the account to run as; nil: our own
	Log  io.Writer           // receives the program's output; nil: discarded
}

// Process is a running child. It leads a session of its own, so that a Ctrl-C
// at the terminal reaches only us: we decide the order of shutdown.
type Process struct {
	cmd  *exec.Cmd
	tail *tail
	done chan struct{} // closed when the process is gone
	err  error         // how it ended; read after done
}

const (
	stopPatience = 10 * time.Second // for each signal of Stop
	killPatience = 3 * time.Second  // after the last of them
)

// Start starts the program in the directory /, because its account may not be
// able to enter ours, with only three variables and c.Env as its environment:
// nothing else of ours (PG*, secrets) leaks in. If this process dies, the child
// receives SIGINT.
func Start(c Command) (*Process, error) {
	p := &Process{tail: &tail{copyTo: c.Log}, done: make(chan struct{})}
	p.cmd = exec.Command(c.Path, c.Args...)
	p.cmd.Dir = "/"
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}, c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = p.tail, p.tail
	// Its own children may outlive it for a moment and hold its output open.
	p.cmd.WaitDelay = 2 * time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.As}

	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		p.err = runBound(p.cmd, started)
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, fmt.Errorf("starting %s: %w", c.Path, err)
	}
	return p, nil
}

// PID returns the process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process is gone.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err waits for the end of the process and returns how it ended: nil for exit
// code 0, else an *exec.ExitError.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Tail returns the last lines the process wrote, at most twenty.
func (p *Process) Tail() string { return p.tail.String() }

// Wait returns how the process ended. If ctx ends first, it stops the process
// with SIGINT.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		p.Stop(context.WithoutCancel(ctx), syscall.SIGINT)
		return context.Cause(ctx)
	}
}

// Stop sends the signals in turn, waiting ten seconds after each, less if ctx
// ends, and SIGKILL three seconds after the last. It returns when the process
// has ended.
func (p *Process) Stop(ctx context.Context, signals ...syscall.Signal) {
	for _, sig := range signals {
		_ = p.cmd.Process.Signal(sig) // fails only when the process is gone already
		patience := time.NewTimer(stopPatience)
		select {
		case <-p.done:
		case <-ctx.Done():
		case <-patience.C:
		}
		patience.Stop()
	}
	patience := time.NewTimer(killPatience)
	defer patience.Stop()
	select {
	case <-p.done:
	case <-patience.C:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// tail keeps the last lines of what is written to it.
type tail struct {
	mu     sync.Mutex
	copyTo io.Writer
	kept   []byte
}

const (
	tailBytes = 4 << 10
	tailLines = 20
)

// Write never fails: a log that can't be written must not stop the program.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if extra := len(t.kept) - tailBytes; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	if t.copyTo != nil {
		_, _ = t.copyTo.Write(b)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.kept)), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
