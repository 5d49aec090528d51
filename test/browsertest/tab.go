package browsertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	// screenshotsVariable names a directory for a screenshot of every page that
	// a test checks; empty: none is taken.
	screenshotsVariable = "ROLLCALL_SCREENSHOTS"
	// patience is how long a page may take to show what is awaited, on a
	// machine where other tests run.
	patience = 30 * time.Second
	// maxAssets is the maximum total size of stylesheet, scripts and images of
	// a page, in bytes.
	maxAssets = 150_000
)

// Tab is a browser tab for testing pages. A failed step ends the test; a
// browser warning fails it.
type Tab struct {
	testing.TB
	Ctx     context.Context // for package chromedp
	Scripts bool            // enabled
	base    string

	mu       sync.Mutex
	warnings []string // from the browser
}

// NewTab starts a browser for the pages under base, a scheme and a host.
func NewTab(t testing.TB, base string, scripts bool) *Tab {
	t.Helper()
	tab := &Tab{TB: t, Ctx: New(t), base: base, Scripts: scripts}
	err := chromedp.Listen(tab.Ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			tab.warn(e.ExceptionDetails.Text, e.ExceptionDetails.Exception.Description, e.ExceptionDetails.URL)
		case *log.EventEntryAdded:
			// The browser also logs every status from 400 on, even an expected one,
			// and every autofocus that a form with an error does not use.
			if text := e.Entry.Text; e.Entry.Level != log.EntryLevelInfo && !strings.HasPrefix(text, "Failed to load resource: the server responded") &&
				!strings.HasPrefix(text, "Autofocus processing was blocked") {
				tab.warn(text, e.Entry.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	tab.Do(command("Log.enable", nil), command("Runtime.enable", nil), command("Emulation.setScriptExecutionDisabled", map[string]bool{"value": !scripts}))
	t.Cleanup(func() {
		tab.mu.Lock()
		defer tab.mu.Unlock()
		for _, w := range tab.warnings {
			t.Errorf("Chromium says: %s", w)
		}
	})
	return tab
}

func (b *Tab) warn(parts ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.warnings = append(b.warnings, strings.Join(parts, " "))
}

func command(method string, params any) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error { return t.Call(ctx, method, params, nil) })
}

// Scheme shows the pages light or dark.
func Scheme(name string) chromedp.Action[chromedp.Void] {
	feature := map[string]string{"name": "prefers-color-scheme", "value": name}
	return command("Emulation.setEmulatedMedia", map[string]any{"features": []any{feature}})
}

// Do runs steps in order.
func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.Ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// Open opens a path.
func (b *Tab) Open(path string) {
	b.Helper()
	b.Do(chromedp.Navigate(b.base + path))
}

// Press clicks a button and waits for an element of the next page.
func (b *Tab) Press(button, then string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(button)), chromedp.WaitVisible(chromedp.CSS(then))); err != nil {
		page, _ := chromedp.Run(b.Ctx, chromedp.TextContent(chromedp.CSS("main")))
		b.Fatalf("pressing %s: %v; the page says %.2000s", button, err, strings.Join(strings.Fields(page), " "))
	}
}

// Enter types into a field.
func (b *Tab) Enter(field, text string) {
	b.Helper()
	b.Do(chromedp.SendKeys(chromedp.CSS(field), text))
}

// Choose puts a file with this content into a file field.
func (b *Tab) Choose(field, name, content string) {
	b.Helper()
	path := filepath.Join(b.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Do(chromedp.SetUploadFiles(chromedp.CSS(field), []string{path}))
}

// Text returns the text of an element.
func (b *Tab) Text(selector string) string {
	b.Helper()
	text, err := chromedp.Run(b.Ctx, chromedp.TextContent(chromedp.CSS(selector)))
	if err != nil {
		b.Fatalf("%s: %v", selector, err)
	}
	return strings.TrimSpace(text)
}

// Reads fails the test unless the text of an element is want.
func (b *Tab) Reads(selector, want string) {
	b.Helper()
	if got := b.Text(selector); got != want {
		b.Errorf("%s reads %q, want %q", selector, got, want)
	}
}

// Awaits waits, without interacting, until the text of an element is want.
func (b *Tab) Awaits(selector, want string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Ctx, patience)
	defer cancel()
	expression := fmt.Sprintf("document.querySelector(%q)?.textContent.trim() === %q", selector, want)
	for {
		_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression))
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			continue // the page was reloaded in the middle of the query
		}
		got, _ := chromedp.Run(b.Ctx, chromedp.TextContent(chromedp.CSS(selector)))
		b.Fatalf("%s reads %q, want %q (%v)", selector, strings.TrimSpace(got), want, err)
	}
}

// CheckPage checks that the page fits every width, light and dark, is
// accessible and small, and takes a screenshot if requested; name names it in
// messages.
func (b *Tab) CheckPage(name string) {
	b.Helper()
	for _, width := range []int64{360, 768, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			b.Do(chromedp.EmulateViewport(width, 800), Scheme(scheme))
			wide, err := chromedp.Run(b.Ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth"))
			if err != nil || wide > width {
				b.Errorf("%s is %d wide where %d is to be had (%v)", name, wide, width, err)
			}
			if b.Scripts && width == 1280 {
				Accessible(b.Ctx, b, name+", "+scheme)
			}
			b.picture(fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
		}
	}
	size, err := chromedp.Run(b.Ctx, chromedp.Evaluate[int64](
		`performance.getEntriesByType("resource").filter((e) => e.initiatorType !== "fetch").reduce((n, e) => n + e.decodedBodySize, 0)`))
	if err != nil || size > maxAssets {
		b.Errorf("%s has %d bytes of assets, more than %d (%v)", name, size, maxAssets, err)
	}
}

func (b *Tab) picture(name string) {
	b.Helper()
	dir := os.Getenv(screenshotsVariable)
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.Ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), picture, 0o644)
	}
	if err != nil {
		b.Error(err)
	}
}
