// Package disttest_test checks the release files and the systemd units: they are
// built, unpacked, installed and judged by the real tools.
package disttest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rollcall/test/programtest"
)

const (
	root    = "../.."
	version = "v9.8.7-2-g1234567"
)

// programs is a directory with rollcall of that version, and a small program in place of
// api and worker, which would take as long again to link and to compress twice.
var programs string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "rollcall-dist-")
	if err == nil {
		programs = dir
		err = build(dir)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "disttest: build the programs:", err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func build(dir string) error {
	if err := programtest.Build(dir, []string{"-ldflags=-s -w -X rollcall/app.Version=" + version}, "rollcall"); err != nil {
		return err
	}
	for _, name := range []string{"api", "worker"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), "rollcall/examples/gen").CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	return nil
}

// tool skips the test without this program of Debian.
func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip("needs ", name)
	}
}

// run runs a command and returns its output. It fails the test if the command does.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
