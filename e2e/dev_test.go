package e2e_test

import (
	"context"
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
// it, a file imported, mails captured; and after Ctrl-C nothing is left but the
// data, which is there again at the next start.
func TestDev(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "rollcall-dev-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // the server may run as another user
		t.Fatal(err)
	}
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "users.csv")
	if err := os.WriteFile(file, []byte(people), 0o644); err != nil {
		t.Fatal(err)
	}
	first := runDev(t, data, file)
	for _, wanted := range []string{
		"Imported 3 of 5 rows of users.csv", "Error report: " + data, "Mails: 3 invitations captured", "/dev/mail",
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

func credentials(said string) string {
	return strings.Join(regexp.MustCompile(`(?:Sign-in|API token) .*`).FindAllString(said, -1), "\n")
}

// tried is what was seen of one run of dev.
type tried struct {
	said         string
	mails, users int
}

func runDev(t *testing.T, data, file string) tried {
	t.Helper()
	args := []string{"dev"}
	if file != "" {
		args = append(args, file)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, "rollcall"), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(data), "ROLLCALL_DATA_DIR=" + data,
		"ROLLCALL_LISTEN=127.0.0.1:0", "ROLLCALL_METRICS_LISTEN="}
	cmd.Dir = filepath.Dir(data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell's job has
	var said watched
	said.wanted, said.found = "Running until Ctrl-C.", make(chan struct{})
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-said.found:
	case err := <-ended:
		t.Fatalf("dev ended: %v\n%s", err, said.String())
	}
	result := tried{said: said.String()}
	url := regexp.MustCompile(`Admin panel +(http\S+)/admin/users`).FindStringSubmatch(result.said)[1]
	token := regexp.MustCompile(`API token +(\S+)`).FindStringSubmatch(result.said)[1]
	result.mails = len(getJSON[[]any](t, url+"/dev/mail", token))
	result.users = len(getJSON[struct{ Items []any }](t, url+"/api/admin/users", token).Items)
	syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) // Ctrl-C reaches the whole group
	if err := <-ended; err != nil {
		t.Fatalf("after Ctrl-C: %v\n%s", err, said.String())
	}
	return result
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
