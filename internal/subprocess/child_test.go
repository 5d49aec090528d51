//go:build unix

package subprocess_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"rollcall/internal/subprocess"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shell(t *testing.T, log *bytes.Buffer, script string) *subprocess.Process {
	t.Helper()
	command := subprocess.Command{Path: "/bin/sh", Args: []string{"-c", script}}
	if log != nil {
		command.Log = log
	}
	p, err := subprocess.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNothingOfOursLeaksIn(t *testing.T) {
	t.Setenv("ROLLCALL_SECRET", "leaked")
	t.Setenv("PGOPTIONS", "leaked")
	var log bytes.Buffer
	if err := shell(t, &log, `pwd; env`).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.HasPrefix(got, "/\n") || strings.Contains(got, "leaked") {
		t.Errorf("directory and environment:\n%s", got)
	}
}

func TestSessionOfItsOwn(t *testing.T) {
	t.Parallel()
	p := shell(t, nil, `exec sleep 600`)
	defer p.Stop(t.Context(), syscall.SIGTERM)
	group, err := syscall.Getpgid(p.PID())
	if err != nil || group != p.PID() || group == syscall.Getpgrp() {
		t.Errorf("process %d is in group %d (%v), we in %d", p.PID(), group, err, syscall.Getpgrp())
	}
}

func TestHowItEnded(t *testing.T) {
	t.Parallel()
	p := shell(t, nil, `i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo "line $i"; done; exit 3`)
	exit, ok := errors.AsType[*exec.ExitError](p.Wait(t.Context()))
	if !ok || exit.ExitCode() != 3 || p.Err() != error(exit) {
		t.Errorf("Wait = %v, Err = %v; want exit code 3 of both", exit, p.Err())
	}
	lines := strings.Split(p.Tail(), "\n")
	if len(lines) != 20 || lines[0] != "line 4981" || lines[19] != "line 5000" {
		t.Errorf("the tail has %d lines: %q", len(lines), lines)
	}
}

func TestNoSuchProgram(t *testing.T) {
	t.Parallel()
	if _, err := subprocess.Start(subprocess.Command{Path: "/nonexistent"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v, want one that is os.ErrNotExist", err)
	}
}

// readyWriter closes itself at the first write.
type readyWriter chan struct{}

func (w readyWriter) Write(b []byte) (int, error) { close(w); return len(b), nil }

func TestStopGoesOnToTheNextSignal(t *testing.T) {
	t.Parallel()
	ready := make(readyWriter)
	p, err := subprocess.Start(subprocess.Command{
		Path: "/bin/sh",
		Args: []string{"-c", `trap "" INT; echo ready; while :; do sleep 0.02; done`},
		Log:  ready,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-ready
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	p.Stop(hurried, syscall.SIGINT, syscall.SIGTERM)
	exit, ok := errors.AsType[*exec.ExitError](p.Err())
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v, want SIGTERM", p.Err())
	}
}

func TestWaitStopsWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	p := shell(t, nil, `exec sleep 600`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v, want context.Canceled", err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("the process goes on")
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	args, err := subprocess.CommandLine(os.Getpid())
	if err != nil || args[0] != os.Args[0] {
		t.Errorf("CommandLine = %q, %v; want one that begins with %q", args, err, os.Args[0])
	}
}
