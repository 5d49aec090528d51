//go:build unix

// Command testrun runs a command with one PostgreSQL for all its test binaries;
// otherwise each would start its own:
//
//	go run ./internal/testrun go test ./...
//
// A server named by ROLLCALL_TEST_DATABASE_URL is used instead. testrun exits
// with the command's exit code and passes SIGINT and SIGTERM on to it.
//
// With ROLLCALL_REQUIRE_ALL=1 a skipped test is a failure: if the command
// writes test events (go test -json), testrun changes skips to failures and
// exits with at least 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"rollcall/test/pgtest"
)

// requireVariable is "1" if everything that tests need is installed.
const requireVariable = "ROLLCALL_REQUIRE_ALL"

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		code = 1
	}
	os.Exit(code)
}

func run(command []string) (code int, err error) {
	if len(command) == 0 {
		return 0, errors.New("usage: testrun COMMAND [ARGUMENT...]")
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)

	environ := os.Environ()
	if os.Getenv(pgtest.URLVariable) == "" {
		server, err := pgtest.StartServer(context.Background())
		if err != nil {
			return 0, err
		}
		defer func() {
			if stopErr := server.Stop(); stopErr != nil {
				fmt.Fprintln(os.Stderr, "testrun:", stopErr)
				code = max(code, 1)
			}
		}()
		environ = append(environ, pgtest.URLVariable+"="+server.URL())
	}
	return runCommand(command, environ, signals)
}

// runCommand returns the command's exit code: like a shell, 128 plus the
// signal's number if a signal ended it.
func runCommand(command, environ []string, signals <-chan os.Signal) (code int, err error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if os.Getenv(requireVariable) == "1" {
		skips := &skipFailer{out: os.Stdout}
		cmd.Stdout = skips
		defer func() {
			if skips.close(); skips.failed {
				code = max(code, 1)
			}
		}()
	}
	cmd.Env = environ
	// In its own process group a Ctrl-C reaches it only once, through us,
	// together with the go command's test binaries.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			// ESRCH: it has just ended, which we are about to notice.
			_ = syscall.Kill(-cmd.Process.Pid, sig.(syscall.Signal))
		case err := <-ended:
			exit, failed := errors.AsType[*exec.ExitError](err)
			if err != nil && !failed {
				return 0, err
			}
			if !failed {
				return 0, nil
			}
			if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
				return 128 + int(status.Signal()), nil
			}
			return exit.ExitCode(), nil
		}
	}
}
