// Package browsertest starts a real Chromium for a test.
//
// If none is installed the test is skipped, or fails with
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
	programVariable = "ROLLCALL_CHROMIUM"    // path of the browser; empty: search for it
)

// programs are the names of Chromium on common systems.
var programs = [...]string{
	"chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome",
}

// New starts a browser with its own profile and returns the context of its
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

// options configures a browser that connects only to the page under test.
func options(program string) []chromedp.ExecAllocatorOption {
	o := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	if os.Geteuid() == 0 {
		o = append(o, chromedp.NoSandbox) // root, as in containers, cannot use the sandbox
	}
	return o
}
