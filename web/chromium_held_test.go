package web_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"rollcall/test/browsertest"
)

// TestHeldInChromium uploads a full roster that is too short with the options of
// the wizard, sees who would be disabled and why the limit stopped it, approves
// it by their number, and undoes it.
func TestHeldInChromium(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	c := browsertest.NewTab(t, h.url, true)
	h.adminInChromium(c)
	upload := func(name, content string) {
		t.Helper()
		c.Open("/admin/users/import")
		c.Choose("#file", name, content)
		c.Do(chromedp.Click(chromedp.CSS("input[name=send_invitations][value=false]")))
		c.Do(chromedp.Click(chromedp.CSS(".advanced summary")))
		c.Enter("#source", "hr")
	}
	upload("everyone.csv", "external_id,email,name,role,department\n1,ann@example.com,Ann Lee,,IT\n2,bob@example.com,Bob Stone,,HR\n3,cy@example.com,Cy Young,admin,Law\n4,dee@example.com,Dee Dee,admin,\n")
	c.Press("form[data-upload] .primary", ".state-ready")
	c.Do(chromedp.Click(chromedp.CSS("input[name=admins]")))
	c.Press("button[form=confirm]", ".state-completed")

	upload("short.csv", "external_id,email,name,role,department\n1,ann@example.com,Ann Lee-Stone,,\n3,cy@example.com,Cy Young,user,Law\n9,eve@example.com,Eve,,\n")
	c.Do(chromedp.Click(chromedp.CSS("input[name=on_duplicate][value=update]")))
	c.Do(chromedp.Click(chromedp.CSS("input[name=missing][value=disable]")))
	c.Enter("#max_disable", "25%")
	c.Do(chromedp.SetValue(chromedp.CSS("#blank"), "clear"))
	c.CheckPage("wizard-full-roster")
	c.Press("form[data-upload] .primary", ".state-held")
	c.Reads(".state h2", "This import is held")
	c.Reads(".which [aria-current]", "To be disabled 2")
	c.CheckPage("preview-held")
	c.Press(".which a[href*='show=update']", ".preview")
	c.CheckPage("preview-updates")
	c.Press(".which a[href*='show=unchanged'], .which a[href*='show=create']", ".preview")
	c.Reads(".which [aria-current]", "New users 1")

	c.Do(chromedp.Click(chromedp.CSS("input[name=admins_lost]")))
	c.Enter("#allow_disable", "1")
	if valid, err := chromedp.Run(c.Ctx, chromedp.Evaluate[bool]("document.querySelector('#confirm').checkValidity()")); err != nil || valid {
		t.Errorf("another number is accepted: %v, %v", valid, err)
	}
	c.Do(chromedp.SetValue(chromedp.CSS("#allow_disable"), "2"))
	c.Press("button[form=confirm]", ".state-completed")
	c.Reads(".state h2", "1 user imported, 2 updated, 2 disabled")
	c.CheckPage("import-approved")
	c.Press("a[href$='/undo']", ".danger")
	c.Reads(".danger", "Remove 1 user and restore 4")
	c.CheckPage("undo-restores")
	c.Press(".danger", ".state .note")
	c.Reads(".state h2", "Import undone: 1 user removed, 4 restored")
	c.Open("/admin/imports")
	c.Reads("tbody tr:first-child .chip", "Undone")
	if n := h.count(`SELECT count(*) FROM users WHERE status = 'disabled' OR name = 'Eve'`); n != 0 {
		t.Errorf("%d users are not as before", n)
	}
}
