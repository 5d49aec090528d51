package web_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"rollcall/test/browsertest"
)

// TestEditRowsInChromium corrects five typos by the keyboard alone, applies the
// suggestions, undoes an edit, and imports the rest.
func TestEditRowsInChromium(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	c := browsertest.NewTab(t, h.url, true)
	h.adminInChromium(c)
	var content strings.Builder
	content.WriteString("email,name,role,department\nann@example.com,Ann Lee,,\n")
	for n := range 5 {
		fmt.Fprintf(&content, "typo%d,Person %d,,Sales\n", n, n)
	}
	content.WriteString("<zoe@example.com>,Zoe,,\nyan@example.com.,Yan,,\n")
	c.Open("/admin/users/import")
	c.Choose("#file", "typos.csv", content.String())
	c.Press("form[data-upload] .primary", ".state-ready")
	c.Reads(".state h2", "1 row can be imported")
	c.Do(chromedp.Click(chromedp.CSS("#confirm input[value=false]")))
	c.Do(chromedp.Click(chromedp.CSS(".suggested summary")))
	c.CheckPage("preview-editable")

	keys := func(keys string) {
		t.Helper()
		c.Do(chromedp.KeyEvent(keys))
	}
	focused := func(label string) {
		t.Helper()
		got, err := chromedp.Run(c.Ctx, chromedp.Evaluate[string]("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"))
		if err != nil || got != label {
			t.Errorf("the focus is on %q, want %q (%v)", got, label, err)
		}
	}
	c.Do(chromedp.Focus(chromedp.CSS("#row-3 input")))
	keys("nonsense" + kb.Escape)
	if value, err := chromedp.Run(c.Ctx, chromedp.Value(chromedp.CSS("#row-3 input"))); err != nil || value != "typo0" {
		t.Errorf("after Escape the cell has %q (%v)", value, err)
	}
	keys("still wrong" + kb.Enter)
	c.Awaits("[data-edit-say]", "Row 3: "+c.Text("#row-3 .problem"))
	focused("Email, row 3")
	for n := range 5 {
		keys(kb.End + strings.Repeat(kb.Backspace, 20) + fmt.Sprintf("person%d@example.com", n) + kb.Enter)
		c.Awaits(".state h2", fmt.Sprintf("%d rows can be imported", n+2))
		c.Awaits("[data-edit-say]", fmt.Sprintf("Row %d is valid. Failed rows left: %d.", n+3, 6-n))
		focused(fmt.Sprintf("Email, row %d", n+4))
	}
	c.Reads("button[form=confirm]", "Import 6 users")
	c.CheckPage("preview-edited")
	keys(kb.Enter) // nothing was changed: on to the next
	focused("Email, row 9")

	c.Do(chromedp.Focus(chromedp.CSS(".suggested form button")))
	keys(kb.Enter)
	c.Awaits(".state h2", "8 rows can be imported")
	c.Do(chromedp.Focus(chromedp.CSS("#row-4 button[name=undo]")))
	keys(kb.Enter)
	c.Awaits(".state h2", "7 rows can be imported")
	c.Awaits("#row-4 .chip", "Will be skipped")
	c.Press("button[form=confirm]", ".state-completed")
	c.Reads(".state h2", "7 users imported, 1 row failed")
	if n := h.count(`SELECT count(*) FROM users WHERE email IN ('person0@example.com', 'zoe@example.com', 'yan@example.com')`); n != 3 {
		t.Errorf("%d of 3 edited users are there", n)
	}
}
