//go:build unix

package chaos_test

import (
	"bufio"
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is a running api or worker.
type program struct {
	*exec.Cmd
	t    *testing.T
	name string
	done chan struct{} // closed when it has ended

	mu  sync.Mutex
	log bytes.Buffer
	// wanted are patterns somebody waits for.
	wanted map[*regexp.Regexp]chan []string
}

// start runs a program out of a directory of binaries until the test ends.
func (h *house) start(dir, name string, env ...string) *program {
	h.Helper()
	p := &program{Cmd: exec.Command(filepath.Join(dir, name)), t: h.T, name: name,
		done: make(chan struct{}), wanted: map[*regexp.Regexp]chan []string{}}
	p.Env = append(append([]string{}, h.env...), env...)
	p.Dir = h.dir
	stderr, err := p.StderrPipe()
	if err != nil {
		h.Fatal(err)
	}
	if err := p.Start(); err != nil {
		h.Fatal(err)
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
	h.programs = append(h.programs, p)
	h.Cleanup(func() {
		p.kill()
		if h.Failed() {
			log := p.output()
			h.Logf("%s %d said:\n%s", name, p.Process.Pid, log[max(0, len(log)-8_000):])
		}
	})
	return p
}

func (p *program) heard(line string) {
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

// expect returns a channel that receives the first line from now on that has
// the pattern, with its groups.
func (p *program) expect(pattern string) <-chan []string {
	found := make(chan []string, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted[regexp.MustCompile(pattern)] = found
	return found
}

// says waits for a line with the pattern, also one said before, and returns its
// groups.
func (p *program) says(pattern string, within time.Duration) []string {
	p.t.Helper()
	found := p.expect(pattern)
	for line := range strings.Lines(p.output()) {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(line); m != nil {
			return m
		}
	}
	select {
	case m := <-found:
		return m
	case <-p.done:
		p.t.Fatalf("%s ended without saying %q: %s\n%s", p.name, pattern, p.ProcessState, p.output())
	case <-time.After(within):
		p.t.Fatalf("%s did not say %q within %s\n%s", p.name, pattern, within, p.output())
	}
	return nil
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// kill is SIGKILL; it returns when the process is gone.
func (p *program) kill() {
	p.Process.Kill()
	<-p.done
}

// stop is SIGTERM. It returns the exit code and how long the drain took, which
// must be less than the 30 seconds that are promised.
func (p *program) stop() (code int, took time.Duration) {
	p.t.Helper()
	began := time.Now()
	p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.t.Fatalf("%s did not stop within 30 s of SIGTERM\n%s", p.name, p.output())
	}
	return p.ProcessState.ExitCode(), time.Since(began)
}

// startFrom starts an api or a worker and returns when it is ready for work.
func (h *house) startFrom(dir, name string, env ...string) *program {
	h.Helper()
	p := h.start(dir, name, env...)
	if name == "api" {
		h.url = "http://" + p.says(`"msg":"API listens","address":"([^"]+)"`, 30*time.Second)[1]
	} else {
		p.says(`"msg":"worker runs"`, 30*time.Second)
	}
	return p
}

func (h *house) startAPI() *program { h.Helper(); return h.startFrom(binaries, "api") }

func (h *house) startWorker() *program { h.Helper(); return h.startFrom(binaries, "worker") }
