package web_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"rollcall/internal/browsertest"
	"rollcall/roster"
)

func (h *house) adminInChromium(c *browsertest.Tab) {
	h.Helper()
	h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, adminPassword)
	c.Open("/signin")
	c.Enter("#email", adminEmail)
	c.Enter("#password", adminPassword)
	c.Press("button.primary", "table.list")
}

// TestMessyFileInChromium brings a file in that is wrong in every way one click
// can set right, mends the rest, and undoes it.
func TestMessyFileInChromium(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := browsertest.NewTab(t, h.url, true)
	h.adminInChromium(c)
	messy := "Mail;Full name;role;Phone\n" +
		"zoe@example.com;Zo\xeb Br\xfcn;;1\n" + "bob@example.com;Bob;superuser;2\n" + adminEmail + ";Ada;;3\n" +
		"no address;Nobody;;4\n" + "boss@example.com;Boss;admin;5\n" + "eve@example.com;;;6\n"
	c.Open("/admin/users/import")
	c.Choose("#file", "messy.csv", messy)
	c.Press("form[data-upload] .primary", ".state-failed")
	c.Look("unusable")
	c.Press(".reading button", ".state-ready")
	c.Reads(".state h2", "Checked: 1 row can be imported")
	c.Look("preview-messy")
	c.Press("button[value='windows-1252']", "mark")
	c.Awaits(".state h2", "Checked: 2 rows can be imported")
	c.Press(".which a:last-child", ".which a:last-child[aria-current]")
	c.Look("preview-errors")
	c.Do(chromedp.Click(chromedp.CSS("input[name=admins]")))
	c.Press("button[form=confirm]", ".state-completed")
	c.Reads(".state h2", "2 users imported, 4 rows failed")
	c.Look("import-with-errors")

	mended := "Mail;Full name;role;Phone\nbob@example.com;Bob;user;2\n"
	c.Choose("#file", "mended.csv", mended)
	c.Press("form[data-upload] button", ".state-ready")
	c.Reads(".kin a", "messy.csv")
	c.Press("button[form=confirm]", ".state-completed")
	c.Press(".kin a", ".mend")
	c.Press("a[href$='/undo']", ".danger")
	c.Look("undo")
	c.Press(".danger", ".state .note")
	c.Look("import-undone")
	c.Open("/admin/imports")
	c.Look("imports")
}

// TestFollowingInChromium watches an import without loading the page again.
func TestFollowingInChromium(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.worker.asleep.Store(true)
	c := browsertest.NewTab(t, h.url, true)
	h.adminInChromium(c)
	c.Open("/admin/users/import")
	c.Choose("#file", "people.csv", people(20))
	c.Press("form[data-upload] .primary", ".state-queued")
	h.exec(`UPDATE imports SET status = 'checking', dry_run = false, started_at = now(), checked = 1000, valid = 1000`)
	c.Awaits(".state h2", "Checking the file")
	c.Awaits("[data-live=counted]", "1,000 rows so far")
	h.exec(`UPDATE imports SET status = 'importing', total = 5000, checked = 5000, valid = 4900, failed = 100`)
	c.Awaits(".state h2", "Importing")
	c.Do(chromedp.Evaluate[chromedp.Void]("void (window.same = true)"))
	for _, done := range []string{"1000", "2500"} {
		h.exec(`UPDATE imports SET processed = $1, imported = $1`, done)
		c.Awaits("[data-live=counted]", done[:1]+","+done[1:]+" of 5,000 rows")
	}
	c.Awaits("[data-live=imported]", "2,500")
	c.Look("import-working")
	if same, err := chromedp.Run(c.Ctx, chromedp.Evaluate[bool]("window.same === true")); err != nil || !same {
		t.Errorf("the page was loaded again to show a number (%v)", err)
	}
	h.exec(`UPDATE imports SET status = 'completed', finished_at = now(), processed = 5000, imported = 4900`)
	c.Awaits(".state h2", "4,900 users imported, 100 rows failed")
}
