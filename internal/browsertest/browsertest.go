// Package browsertest starts a real Chromium for a test.
//
// Where none is installed the test is skipped, or fails with
// ROLLCALL_REQUIRE_ALL=1. ROLLCALL_CHROMIUM names the program to use instead of
// the one found.
package browsertest

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
)

// Environment variables.
const (
	requireVariable = "ROLLCALL_REQUIRE_ALL" // "1": no browser is a failure
	programVariable = "ROLLCALL_CHROMIUM"    // path of the browser; empty: it is looked for
)

// programs are what a Chromium is called on the systems people have.
var programs = [...]string{
	"chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome",
}

// New starts a browser with a profile of its own and returns the context of its
// first tab, for package chromedp. Both end with the test.
func New(t testing.TB) context.Context {
	t.Helper()
	program, found := find()
	if !found {
		if os.Getenv(requireVariable) == "1" {
			t.Fatal("browsertest: no Chromium is installed")
		}
		t.Skip("no Chromium is installed")
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options(program)...)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		closeTab()
		stop() // waits for the process
	})
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("browsertest: start %s: %v", program, err)
	}
	return ctx
}

func find() (string, bool) {
	if named := os.Getenv(programVariable); named != "" {
		return named, true
	}
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}

// options make a browser that asks nobody anything but the page under test.
func options(program string) []chromedp.ExecAllocatorOption {
	o := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	if os.Geteuid() == 0 {
		o = append(o, chromedp.NoSandbox) // which root, as in containers, cannot have
	}
	return o
}
