package web_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"rollcall/roster"
)

// awaits waits until a selector reads text, without anybody doing anything.
func (c *chromium) awaits(selector, want string) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 20*time.Second)
	defer cancel()
	expression := "document.querySelector('" + selector + "')?.textContent.trim() === '" + want + "'"
	for {
		_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression))
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			continue // the page was loaded again in the middle of the question
		}
		got, _ := chromedp.Run(c.ctx, chromedp.TextContent(chromedp.CSS(selector)))
		c.Fatalf("%s reads %q, want %q (%v)", selector, strings.TrimSpace(got), want, err)
	}
}

func (h *house) adminInChromium(c *chromium) {
	h.Helper()
	h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, adminPassword)
	c.open("/signin")
	c.enter("#email", adminEmail)
	c.enter("#password", adminPassword)
	c.press("button.primary", "table.list")
}

// TestMessyFileInChromium brings a file in that is wrong in every way one click
// can set right, mends the rest, and undoes it.
func TestMessyFileInChromium(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := newChromium(t, h.url, true)
	h.adminInChromium(c)
	messy := "Mail;Full name;role;Phone\n" +
		"zoe@example.com;Zo\xeb Br\xfcn;;1\n" + "bob@example.com;Bob;superuser;2\n" + adminEmail + ";Ada;;3\n" +
		"no address;Nobody;;4\n" + "boss@example.com;Boss;admin;5\n" + "eve@example.com;;;6\n"
	c.open("/admin/users/import")
	c.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{c.file("messy.csv", messy)}))
	c.press("form[data-upload] .primary", ".state-failed")
	c.look("unusable")
	c.press(".reading button", ".state-ready")
	c.reads(".state h2", "Checked: 1 row can be imported")
	c.look("preview-messy")
	c.press("button[value='windows-1252']", "mark")
	c.awaits(".state h2", "Checked: 2 rows can be imported")
	c.press(".which a:last-child", ".which a:last-child[aria-current]")
	c.look("preview-errors")
	c.do(chromedp.Click(chromedp.CSS("input[name=admins]")))
	c.press("button[form=confirm]", ".state-completed")
	c.reads(".state h2", "2 users imported, 4 rows failed")
	c.look("import-with-errors")

	mended := "Mail;Full name;role;Phone\nbob@example.com;Bob;user;2\n"
	c.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{c.file("mended.csv", mended)}))
	c.press("form[data-upload] button", ".state-ready")
	c.reads(".kin a", "messy.csv")
	c.press("button[form=confirm]", ".state-completed")
	c.press(".kin a", ".mend")
	c.press("a[href$='/undo']", ".danger")
	c.look("undo")
	c.press(".danger", ".state .note")
	c.look("import-undone")
	c.open("/admin/imports")
	c.look("imports")
}

// TestFollowingInChromium watches an import without loading the page again.
func TestFollowingInChromium(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.worker.asleep.Store(true)
	c := newChromium(t, h.url, true)
	h.adminInChromium(c)
	c.open("/admin/users/import")
	c.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{c.file("people.csv", people(20))}))
	c.press("form[data-upload] .primary", ".state-queued")
	h.exec(`UPDATE imports SET status = 'checking', dry_run = false, started_at = now(), checked = 1000, valid = 1000`)
	c.awaits(".state h2", "Checking the file")
	c.awaits("[data-live=counted]", "1,000 rows so far")
	h.exec(`UPDATE imports SET status = 'importing', total = 5000, checked = 5000, valid = 4900, failed = 100`)
	c.awaits(".state h2", "Importing")
	c.do(chromedp.Evaluate[chromedp.Void]("void (window.same = true)"))
	for _, done := range []string{"1000", "2500"} {
		h.exec(`UPDATE imports SET processed = $1, imported = $1`, done)
		c.awaits("[data-live=counted]", done[:1]+","+done[1:]+" of 5,000 rows")
	}
	c.awaits("[data-live=imported]", "2,500")
	c.look("import-working")
	if same, err := chromedp.Run(c.ctx, chromedp.Evaluate[bool]("window.same === true")); err != nil || !same {
		t.Errorf("the page was loaded again to show a number (%v)", err)
	}
	h.exec(`UPDATE imports SET status = 'completed', finished_at = now(), processed = 5000, imported = 4900`)
	c.awaits(".state h2", "4,900 users imported, 100 rows failed")
}
