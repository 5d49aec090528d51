//go:build unix

package devstack_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rollcall/internal/devstack"
)

const nobody = 65534

// TestOrdinaryUser runs the other tests once more as an ordinary user, when
// they run as root.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the tests run as an ordinary user already")
	}
	t.Parallel()
	home, err := os.MkdirTemp("", "devstack-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	// A copy: go test keeps its binaries where only we can reach them.
	binary := filepath.Join(home, "devstack.test")
	copyProgram(t, os.Args[0], binary)
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.run", "^Test(Lifecycle|Server|Orphan|Leftover|Other|Refused)", "-test.v")
	cmd.Dir = home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + home, "HOME=" + home}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestLifecycle") {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if closeErr := out.Close(); err != nil || closeErr != nil {
		t.Fatal(err, closeErr)
	}
}

func TestRootRunsTheServerAsSomebodyElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	t.Parallel()
	dir := newDir(t)
	start(t, dir)
	info, err := os.Stat(filepath.Join(dir, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Error("the data directory belongs to root")
	}
	for _, parent := range []string{dir, filepath.Dir(dir)} {
		info, err := os.Stat(parent)
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
			t.Errorf("%s was given to user %d", parent, uid)
		}
	}
}

func TestRootKeepsTheOwnerOfACluster(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	t.Parallel()
	dir := newDir(t)
	pg := start(t, dir)
	exec1(t, pg, "CREATE TABLE kept AS SELECT 'kept' AS v")
	exec1(t, pg, "CHECKPOINT") // an ephemeral server stops without
	stop(t, pg)
	// As an ordinary user's cluster would be, met by root.
	const somebody = 54321
	err := filepath.WalkDir(filepath.Join(dir, "postgres"), func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, somebody, somebody)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, start(t, dir), "SELECT v FROM kept"); got != "kept" {
		t.Errorf("kept = %q", got)
	}
}

func TestDirectoryTheServerCannotEnter(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root runs the server as another user")
	}
	t.Parallel()
	closed := filepath.Join(filepath.Dir(newDir(t)), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := devstack.StartPostgres(t.Context(), devstack.PostgresConfig{Dir: filepath.Join(closed, "repository", "data")})
	if err == nil || !strings.Contains(err.Error(), "who has no access to "+closed+":") {
		t.Errorf("error = %v, want one that names %s", err, closed)
	}
}

func TestRootOwnedDataDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	t.Parallel()
	dir := newDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "postgres", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := devstack.StartPostgres(t.Context(), devstack.PostgresConfig{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "belongs to root") {
		t.Errorf("error = %v, want one that says whose it is", err)
	}
}
