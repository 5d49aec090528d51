//go:build unix

package main_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// build builds the program itself: its exit code and what it leaves behind are
// tested.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "testrun")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// command prepares a run of the program with its own temporary directory, which
// the database server's user can enter.
func command(t *testing.T, program string, environ []string, args ...string) (*exec.Cmd, string) {
	t.Helper()
	tmp, err := os.MkdirTemp("", "testrun-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	if err := os.Chmod(tmp, 0o711); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(append(os.Environ(), "TMPDIR="+tmp, "ROLLCALL_TEST_DATABASE_URL="), environ...)
	return cmd, tmp
}

func checkEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	program := build(t)
	const reportURL = `echo "$ROLLCALL_TEST_DATABASE_URL"`
	for name, c := range map[string]struct {
		environ []string
		args    []string
		code    int
		want    string // the output's start
	}{
		"starts a server":      {nil, []string{"sh", "-c", reportURL}, 0, "postgres://rollcall@/rollcall?"},
		"keeps a given server": {[]string{"ROLLCALL_TEST_DATABASE_URL=postgres://given"}, []string{"sh", "-c", reportURL}, 0, "postgres://given\n"},
		"passes the code on":   {nil, []string{"sh", "-c", "exit 7"}, 7, ""},
		"tells of a signal":    {nil, []string{"sh", "-c", "kill -TERM $$"}, 128 + 15, ""},
		"no such program":      {nil, []string{"/nonexistent"}, 1, ""},
		"nothing to run":       {nil, nil, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, tmp := command(t, program, c.environ, c.args...)
			out, err := cmd.Output()
			exit, failed := errors.AsType[*exec.ExitError](err)
			if err != nil && !failed {
				t.Fatal(err)
			}
			code := 0
			if failed {
				code = exit.ExitCode()
			}
			if code != c.code || !strings.HasPrefix(string(out), c.want) {
				t.Errorf("exit code %d, output %q; want %d, %q", code, out, c.code, c.want)
			}
			checkEmpty(t, tmp)
		})
	}
}

func TestSignalReachesTheCommand(t *testing.T) {
	t.Parallel()
	program := build(t)
	// The grandchild plays a test binary below the go command.
	cmd, tmp := command(t, program, nil, "sh", "-c",
		`trap 'echo parent' INT; sh -c 'trap "echo child; exit" INT; echo ready; while :; do sleep 0.05; done'; exit 3`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("the command says %q", lines.Text())
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	heard := map[string]bool{}
	for lines.Scan() {
		heard[lines.Text()] = true
	}
	if !heard["parent"] || !heard["child"] {
		t.Errorf("heard of the interrupt: %v", heard)
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 3 {
		t.Errorf("the end: %v, want exit code 3", err)
	}
	checkEmpty(t, tmp)
}

// TestSkippedTestFails: with ROLLCALL_REQUIRE_ALL a skipped test is a failure
// in the events and in the exit code, but a package without tests is not.
func TestSkippedTestFails(t *testing.T) {
	t.Parallel()
	program := build(t)
	const events = `{"Action":"pass","Package":"p","Test":"TestOne"}
{"Action":"skip","Package":"empty"}
{"Action":"skip","Package":"p","Test":"TestTwo","Elapsed":0.5}
not an event: "Action":"skip"
the end`
	for require, want := range map[string]struct {
		code int
		out  string
	}{
		"":  {0, events},
		"1": {1, strings.Replace(events, `"skip","Package":"p","Test":"TestTwo","Elapsed":0.5`, `"fail","Elapsed":0.5,"Package":"p","Test":"TestTwo"`, 1)},
	} {
		cmd, _ := command(t, program, []string{"ROLLCALL_REQUIRE_ALL=" + require, "ROLLCALL_TEST_DATABASE_URL=postgres://localhost/none", "EVENTS=" + events},
			"sh", "-c", `printf %s "$EVENTS"`)
		out, err := cmd.Output()
		exit, _ := errors.AsType[*exec.ExitError](err)
		code := 0
		if exit != nil {
			code = exit.ExitCode()
		}
		if code != want.code || string(out) != want.out {
			t.Errorf("ROLLCALL_REQUIRE_ALL=%q: exit code %d, output\n%s\nwant %d\n%s", require, code, out, want.code, want.out)
		}
	}
}
