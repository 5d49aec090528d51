//go:build unix

// Package programtest builds the programs and runs them as processes that end
// with the test, and lets tests wait for their log lines.
package programtest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Token is the ADMIN_API_TOKEN of [Env].
const Token = "an-admin-token-of-more-than-32-characters"

// Build builds programs in dir as they are released, with additional flags for
// go build. It omits debug information, which takes a quarter of the linking
// time.
func Build(dir string, flags []string, programs ...string) error {
	args := slices.Concat([]string{"build", "-ldflags=-w", "-o", dir + "/"}, flags)
	for _, name := range programs {
		args = append(args, "rollcall/cmd/"+name)
	}
	command := exec.Command("go", args...)
	command.Stderr = os.Stderr
	return command.Run()
}

// Around returns m with api, worker and rollcall built once for all its tests,
// in a directory that *dir names while they run.
func Around(m goleak.TestingM, dir *string) Tests { return Tests{m, dir} }

// Tests are the tests of a binary and the programs they share.
type Tests struct {
	m   goleak.TestingM
	dir *string
}

// Run builds the programs, runs the tests and cleans up. It returns the exit
// code.
func (t Tests) Run() int {
	dir, err := os.MkdirTemp("", "rollcall-programs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "programtest:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := Build(dir, nil, "api", "worker", "rollcall"); err != nil {
		fmt.Fprintln(os.Stderr, "programtest: build the programs:", err)
		return 1
	}
	*t.dir = dir
	return t.m.Run()
}

// Env is the environment of an ordinary installation, with only PATH from ours.
// If more repeats a name, the last value applies.
func Env(database, redis, smtp string, more ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"),
		"DATABASE_URL=" + database,
		"REDIS_URL=" + redis,
		"SMTP_URL=" + smtp,
		"ROLLCALL_SECRET=0123456789abcdef0123456789abcdef",
		"ADMIN_API_TOKEN=" + Token,
		"ROLLCALL_LISTEN=127.0.0.1:0",
		"ROLLCALL_METRICS_LISTEN=",
		"ROLLCALL_LOG=json",
	}, more...)
}

// Run runs a program to its end in its own directory. It returns the output and
// the exit code.
func Run(t testing.TB, path string, env []string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Dir = env, t.TempDir()
	printed, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(printed), cmd.ProcessState.ExitCode()
}

// Program is a running api or worker.
type Program struct {
	*exec.Cmd
	t    testing.TB
	name string
	done chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
	// wanted are the patterns being waited for.
	wanted map[*regexp.Regexp]chan []string
}

// Start starts a program in its own directory; it is killed when t ends. If t
// has failed by then, the end of the program's log is shown.
func Start(t testing.TB, path string, env []string) *Program {
	t.Helper()
	return startIn(t, nil, path, env)
}

// startIn is Start with a command in front that becomes the program, such as nsenter.
func startIn(t testing.TB, front []string, path string, env []string) *Program {
	t.Helper()
	command := append(slices.Clone(front), path)
	p := &Program{Cmd: exec.Command(command[0], command[1:]...), t: t, name: filepath.Base(path),
		done: make(chan struct{}), wanted: map[*regexp.Regexp]chan []string{}}
	p.Env, p.Dir = env, t.TempDir()
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.heard(lines.Text())
		}
		p.Wait()
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s %d said:\n%s", p.name, p.Process.Pid, p.Tail())
		}
	})
	return p
}

// StartReady starts an api or a worker and returns when it is ready, with the
// URL of an api.
func StartReady(t testing.TB, path string, env []string) (p *Program, url string) {
	t.Helper()
	return StartReadyIn(t, nil, path, env)
}

// StartReadyIn is StartReady with a command in front that becomes the program, such
// as nsenter.
func StartReadyIn(t testing.TB, front []string, path string, env []string) (p *Program, url string) {
	t.Helper()
	p = startIn(t, front, path, env)
	if p.name == "api" {
		return p, "http://" + p.Says(`"msg":"API server listening","address":"([^"]+)"`, 30*time.Second)[1]
	}
	p.Says(`"msg":"worker started"`, 30*time.Second)
	return p, ""
}

func (p *Program) heard(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.WriteString(line + "\n")
	for pattern, found := range p.wanted {
		if m := pattern.FindStringSubmatch(line); m != nil {
			found <- m
			delete(p.wanted, pattern)
		}
	}
}

// Expect returns a channel that receives the groups of the first matching line
// logged from now on.
func (p *Program) Expect(pattern string) <-chan []string {
	found := make(chan []string, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted[regexp.MustCompile(pattern)] = found
	return found
}

// Says waits for a line that matches the pattern, including earlier ones, and
// returns its groups.
func (p *Program) Says(pattern string, within time.Duration) []string {
	p.t.Helper()
	found := p.Expect(pattern)
	if m := p.said(pattern); m != nil {
		return m
	}
	select {
	case m := <-found:
		return m
	case <-p.done:
		if m := p.said(pattern); m != nil { // logged just before it ended
			return m
		}
		p.t.Fatalf("%s ended without saying %q: %s\n%s", p.name, pattern, p.ProcessState, p.Tail())
	case <-time.After(within):
		p.t.Fatalf("%s did not say %q within %s\n%s", p.name, pattern, within, p.Tail())
	}
	return nil
}

func (p *Program) said(pattern string) []string {
	wanted := regexp.MustCompile(pattern)
	for line := range strings.Lines(p.Output()) {
		if m := wanted.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			return m
		}
	}
	return nil
}

// Output returns everything that the program has logged.
func (p *Program) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Tail returns the end of Output.
func (p *Program) Tail() string {
	log := p.Output()
	return log[max(0, len(log)-10_000):]
}

// Done is closed when the program has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

// Kill sends SIGKILL and returns when the process has ended.
func (p *Program) Kill() {
	p.Process.Kill() // fails only when the process is gone already
	<-p.done
}

// Stop sends SIGTERM. It returns the exit code and how long the drain took,
// which must be less than the documented 30 seconds.
func (p *Program) Stop() (code int, took time.Duration) {
	p.t.Helper()
	began := time.Now()
	p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.t.Fatalf("%s did not stop within 30 s of SIGTERM\n%s", p.name, p.Tail())
	}
	return p.ProcessState.ExitCode(), time.Since(began)
}
