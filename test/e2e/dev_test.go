package e2e_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDev is a newcomer's first command: one process group with everything in
// it, a file imported, mails captured; and after Ctrl-C only the data is left,
// which is there again at the next start.
func TestDev(t *testing.T) {
	t.Parallel()
	dir := devDir(t)
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "users.csv")
	if err := os.WriteFile(file, []byte(people), 0o644); err != nil {
		t.Fatal(err)
	}
	first := runDev(t, data, file)
	for _, wanted := range []string{
		"Imported 3 of 5 rows of users.csv", "Error report: " + data, "Mailbox: 3 invitations captured", "/dev/mail",
		"Sign-in       admin@example.com  ", "API token     rc_", "curl -X POST http",
	} {
		if !strings.Contains(first.said, wanted) {
			t.Errorf("the first start did not say %q:\n%s", wanted, first.said)
		}
	}
	if first.mails != 3 {
		t.Errorf("%d mails, want 3", first.mails)
	}
	second := runDev(t, data, "")
	if second.mails != 3 || second.users != 4 {
		t.Errorf("the second start has %d mails and %d users, want 3 and 4", second.mails, second.users)
	}
	if a, b := credentials(first.said), credentials(second.said); a != b {
		t.Errorf("the credentials changed from %s to %s", a, b)
	}
	if _, err := exec.LookPath("pgrep"); err != nil && os.Getenv("ROLLCALL_REQUIRE_ALL") != "1" {
		return
	}
	left, err := exec.Command("pgrep", "-f", data).Output() // exit code 1: none
	if none, ok := errors.AsType[*exec.ExitError](err); !ok || none.ExitCode() != 1 || len(left) > 0 {
		t.Errorf("processes were left behind: %s (%v)", left, err)
	}
}

// devDir creates a directory for the data of dev, which the user that runs
// PostgreSQL can enter.
func devDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rollcall-dev-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func credentials(said string) string {
	return strings.Join(regexp.MustCompile(`(?:Sign-in|API token) .*`).FindAllString(said, -1), "\n")
}

// tried is what one run of dev showed.
type tried struct {
	said         string
	mails, users int
}

func runDev(t *testing.T, data, file string) tried {
	t.Helper()
	d := startDev(t, data, file)
	result := tried{said: d.said.String()}
	token := d.told(`API token +(\S+)`)
	result.mails = len(getJSON[[]any](t, d.url+"/dev/mail", token))
	result.users = len(getJSON[struct{ Items []any }](t, d.url+"/api/admin/users", token).Items)
	d.stop()
	return result
}

// dev is a running private instance.
type dev struct {
	*testing.T
	url   string // of the panel
	data  string // directory
	said  watched
	cmd   *exec.Cmd
	ended chan error

	stopped bool
}

// startDev runs dev until the test ends; file may be "".
func startDev(t *testing.T, data, file string) *dev {
	t.Helper()
	args := []string{"dev"}
	if file != "" {
		args = append(args, file)
	}
	d := &dev{T: t, data: data, cmd: exec.Command(filepath.Join(binaries, "rollcall"), args...), ended: make(chan error, 1)}
	d.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(data), "ROLLCALL_DATA_DIR=" + data,
		"ROLLCALL_LISTEN=127.0.0.1:0", "ROLLCALL_METRICS_LISTEN="}
	d.cmd.Dir = filepath.Dir(data)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell's job has
	d.said.wanted, d.said.found = "Running until Ctrl-C.", make(chan struct{})
	d.cmd.Stdout, d.cmd.Stderr = &d.said, &d.said
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.ended <- d.cmd.Wait() }()
	t.Cleanup(d.stop)
	select {
	case <-d.said.found:
	case err := <-d.ended:
		d.ended <- err
		t.Fatalf("dev ended: %v\n%s", err, d.said.String())
	case <-time.After(time.Minute):
		t.Fatalf("dev does not run within a minute:\n%s", d.said.String())
	}
	d.url = d.told(`Admin panel +(http\S+)/admin/users`)
	return d
}

// told returns the group of a pattern in the output of dev's start.
func (d *dev) told(pattern string) string {
	d.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(d.said.String())
	if found == nil {
		d.Fatalf("dev did not say %s:\n%s", pattern, d.said.String())
	}
	return found[1]
}

// stop sends Ctrl-C, which reaches the whole group. Once must be enough.
func (d *dev) stop() {
	d.Helper()
	if d.stopped {
		return
	}
	d.stopped = true
	syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT)
	if err := <-d.ended; err != nil {
		d.Errorf("after Ctrl-C: %v\n%s", err, d.said.String())
	}
}

func getJSON[T any](t *testing.T, url, token string) (v T) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		t.Fatalf("%s: %d: %v", url, res.StatusCode, err)
	}
	return v
}
