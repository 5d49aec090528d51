package web_test

// These tests drive the pages in a real Chromium; see package browsertest for
// where there is none. With ROLLCALL_SCREENSHOTS naming a directory they leave a
// picture of every page there.

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
	"github.com/chromedp/chromedp"

	"rollcall/devstack"
	"rollcall/internal/browsertest"
	"rollcall/roster"
	"rollcall/web"
)

// chromium is a tab.
type chromium struct {
	*testing.T
	ctx     context.Context
	base    string
	scripts bool // are switched on

	mu       sync.Mutex
	warnings []string // what the browser has complained about
}

func newChromium(t *testing.T, base string, scripts bool) *chromium {
	t.Helper()
	ctx := browsertest.New(t)
	c := &chromium{T: t, ctx: ctx, base: base, scripts: scripts}
	err := chromedp.Listen(ctx, func(event any) {
		// Every status from 400 on is logged too, asked for or not, and every
		// autofocus that a form with an error has no use for.
		if e, ok := event.(*log.EventEntryAdded); ok && !strings.HasPrefix(e.Entry.Text, "Failed to load resource: the server responded") &&
			!strings.HasPrefix(e.Entry.Text, "Autofocus processing was blocked") {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.warnings = append(c.warnings, e.Entry.Text+" "+e.Entry.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	c.do(command("Log.enable", nil), command("Emulation.setScriptExecutionDisabled", map[string]bool{"value": !scripts}))
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, w := range c.warnings {
			t.Errorf("Chromium says: %s", w)
		}
	})
	return c
}

func command(method string, params any) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error { return t.Call(ctx, method, params, nil) })
}

func (c *chromium) do(steps ...chromedp.Action[chromedp.Void]) {
	c.Helper()
	if err := chromedp.Do(c.ctx, steps...); err != nil {
		c.Fatal(err)
	}
}

func (c *chromium) open(path string) {
	c.Helper()
	c.do(chromedp.Navigate(c.base + path))
}

// press clicks and waits for what the next page must have.
func (c *chromium) press(button, then string) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(button)), chromedp.WaitVisible(chromedp.CSS(then))); err != nil {
		c.Fatalf("pressing %s: %v", button, err)
	}
}

func (c *chromium) enter(field, text string) {
	c.Helper()
	c.do(chromedp.SendKeys(chromedp.CSS(field), text))
}

func (c *chromium) reads(selector, want string) {
	c.Helper()
	got, err := chromedp.Run(c.ctx, chromedp.TextContent(chromedp.CSS(selector)))
	if err != nil || strings.TrimSpace(got) != want {
		c.Errorf("%s reads %q, want %q (%v)", selector, got, want, err)
	}
}

// look checks that the page fits every width, light and dark, and is accessible,
// and takes its picture where wanted.
func (c *chromium) look(name string) {
	c.Helper()
	for _, width := range []int64{360, 768, 1200} {
		for _, scheme := range []string{"light", "dark"} {
			feature := map[string]string{"name": "prefers-color-scheme", "value": scheme}
			c.do(chromedp.EmulateViewport(width, 800), command("Emulation.setEmulatedMedia", map[string]any{"features": []any{feature}}))
			wide, err := chromedp.Run(c.ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth"))
			if err != nil || wide > width {
				c.Errorf("%s is %d wide where %d is to be had (%v)", name, wide, width, err)
			}
			if c.scripts && width == 1200 {
				browsertest.Accessible(c.ctx, c, name+", "+scheme)
			}
			dir := os.Getenv("ROLLCALL_SCREENSHOTS")
			if dir == "" {
				continue
			}
			picture, err := chromedp.Run(c.ctx, chromedp.FullScreenshot(100))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), picture, 0o644)
			}
			if err != nil {
				c.Error(err)
			}
		}
	}
}

func (c *chromium) file(name, content string) string {
	c.Helper()
	path := filepath.Join(c.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		c.Fatal(err)
	}
	return path
}

// TestInChromium goes the way of an invited person and then that of an
// administrator, by host name and by address, without scripts and with them:
// cookies, the content policy and the check of the origin all have to let them.
func TestInChromium(t *testing.T) {
	for host, scripts := range map[string]bool{"localhost": false, "127.0.0.1": true} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			box, err := devstack.StartMailbox(t.Context(), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { box.Stop() })
			h := newHouse(t, func(d *web.Deps) { d.Mailbox = mails{box} })
			c := newChromium(t, strings.Replace(h.url, "127.0.0.1", host, 1), scripts)
			acceptInChromium(h, c)
			importInChromium(h, c)
		})
	}
}

func acceptInChromium(h *house, c *chromium) {
	h.Helper()
	token := h.signer.InvitationToken(h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, ""), 1)
	c.open("/invite/" + token)
	c.look("invite")
	c.enter("#password", "secureai secureai ai")
	c.enter("#again", "secureai secureai ai")
	c.press("button.primary", "[role=alert]")
	c.look("invite-refused")
	c.enter("#password", adminPassword)
	c.enter("#again", adminPassword)
	c.press("button.primary", ".badge")
	c.reads("h1", "Your password is set")
	c.look("invite-accepted")
	c.open("/invite/" + token)
	c.reads("h1", "This link has been used")
	c.look("invite-used")
	c.press(".button.primary", "form[action='/signin']")
	c.look("signin")
	c.enter("#email", adminEmail)
	c.enter("#password", adminPassword)
	c.press("button.primary", "table.list")
	c.reads(".who-name", adminEmail)
}

func importInChromium(h *house, c *chromium) {
	h.Helper()
	c.open("/admin/imports")
	c.look("imports-empty")
	c.press(".empty .primary", "#file")
	c.look("upload")
	c.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{c.file("people.csv", people(120))}))
	c.press("form[enctype] .primary", "button[form=confirm]")
	c.reads(".state h2", "Checked: 108 rows can be imported")
	c.look("import-ready")
	c.press("button[form=confirm]", ".state-completed")
	c.reads(".state h2", "108 users imported, 12 rows failed")
	c.look("import-completed")
	c.open("/admin/users")
	c.look("users")
	c.enter("#q", "nobody at all")
	c.press(".filter button", ".empty")
	c.look("users-none")
	c.open("/admin/users/import")
	c.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{c.file("large.csv", strings.Repeat("x", maxUpload+1))}))
	c.press("form[enctype] .primary", "[role=alert]")
	c.look("upload-refused")
	c.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{c.file("a-long-name-"+strings.Repeat("of-a-file-", 9)+".csv", "mail,name\n")}))
	c.press("form[enctype] .primary", ".state-failed")
	c.look("import-failed")
	c.open("/admin/imports")
	c.look("imports")
	c.open("/dev/mail")
	c.look("mail-empty")
	c.open("/nothing")
	c.look("notfound")
	c.open("/admin/users")
	c.press("form[action='/signout'] button", "form[action='/signin']")
	c.open("/admin/users")
	c.reads("h1", "Sign in")
}
