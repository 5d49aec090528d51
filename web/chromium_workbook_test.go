package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/xuri/excelize/v2"

	"rollcall/test/browsertest"
)

// staffWorkbook has the list on its second sheet, below a title.
func staffWorkbook(t *testing.T) string {
	t.Helper()
	f := excelize.NewFile()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(f.SetSheetRow("Sheet1", "A1", &[]any{"Notes of the team meeting"}))
	_, err := f.NewSheet("New hires")
	must(err)
	must(f.SetSheetRow("New hires", "A1", &[]any{"New hires in December"}))
	must(f.SetSheetRow("New hires", "A3", &[]any{"email", "name", "role"}))
	must(f.SetSheetRow("New hires", "A4", &[]any{"zoe@example.com", "Zoë Brün", "user"}))
	for n := range 5 {
		must(f.SetSheetRow("New hires", fmt.Sprintf("A%d", 5+n), &[]any{fmt.Sprintf("typo%d", n), "Person", "user"}))
	}
	must(f.SetSheetRow("New hires", "A10", &[]any{"<yan@example.com>", "Yan Li", "user"}))
	must(f.SetSheetRow("New hires", "A11", &[]any{"bob@example", "Bob Day", "boss"}))
	b, err := f.WriteToBuffer()
	must(err)
	return b.String()
}

// TestWorkbookInChromium: workbook, another sheet, the header below a title, preview,
// five typos fixed in place, a suggestion applied, import, results; with JavaScript and
// without.
func TestWorkbookInChromium(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"with JavaScript": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			c := browsertest.NewTab(t, h.url, scripts)
			h.adminInChromium(c)
			c.Open("/admin/users/import")
			c.Choose("#file", "staff.xlsx", staffWorkbook(t))
			c.Press("form[data-upload] .primary", "button[name=sheet]")
			c.Reads(".suggestion button", "Use the sheet “New hires”")
			if scripts {
				c.CheckPage("unusable-workbook")
			}
			c.Press("button[name=sheet]", "button[name=header_row]")
			c.Reads(".suggestion button", "Use row 3 as the header")
			if scripts {
				c.CheckPage("unusable-workbook-header")
			}
			c.Press("button[name=header_row]", ".state-ready")
			c.Reads(".state h2", "1 row can be imported")
			c.Reads(".preview tbody tr:first-child td[data-label=Name]", "Zoë Brün")
			if scripts {
				c.CheckPage("preview-workbook")
			}
			for n := range 5 {
				c.Do(chromedp.Focus(chromedp.CSS(fmt.Sprintf("#row-%d input", 5+n))))
				c.Do(chromedp.KeyEvent(kb.End + strings.Repeat(kb.Backspace, 9) + fmt.Sprintf("person%d@example.com", n) + kb.Enter))
				reads(c, ".state h2", fmt.Sprintf("%d rows can be imported", n+2))
			}
			c.Do(chromedp.Focus(chromedp.CSS(".suggested summary")))
			c.Do(chromedp.KeyEvent(kb.Enter))
			c.Do(chromedp.Focus(chromedp.CSS(".suggested form button")))
			c.Do(chromedp.KeyEvent(kb.Enter))
			reads(c, ".state h2", "7 rows can be imported")
			c.Press("button[form=confirm]", ".state-completed")
			c.Reads(".state h2", "7 users imported, 1 row failed")
			results, err := chromedp.Run(c.Ctx, chromedp.AttributeValue(chromedp.CSS("a[href$='/results.csv']"), "href"))
			if err != nil {
				t.Fatal(err)
			}
			b := h.browser()
			b.signIn(adminEmail, adminPassword)
			content := b.get(results.Value).want(http.StatusOK).body
			if strings.Count(content, ",imported,") != 7 || !strings.Contains(content, "person4@example.com") || !strings.Contains(content, "yan@example.com") {
				t.Errorf("the results are %s", content)
			}
		})
	}
}

// reads waits for the text of an element of a page that may be loaded again meanwhile,
// without JavaScript.
func reads(c *browsertest.Tab, selector, want string) {
	c.Helper()
	got := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var err error
		if got, err = chromedp.Run(c.Ctx, chromedp.TextContent(chromedp.CSS(selector))); err == nil && strings.TrimSpace(got) == want {
			return
		}
	}
	c.Fatalf("%s reads %q, want %q", selector, got, want)
}

// TestPasteInChromium: pasted cells and a pasted list of addresses; with JavaScript and
// without.
func TestPasteInChromium(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]bool{"with JavaScript": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			c := browsertest.NewTab(t, h.url, scripts)
			h.adminInChromium(c)
			c.Open("/admin/users/import")
			c.Do(chromedp.Click(chromedp.CSS(".paste summary")))
			if scripts {
				c.Do(chromedp.WaitVisible(chromedp.CSS("form.can-drop .drop-hint"))) // the script runs
				c.CheckPage("upload-paste")
			}
			c.Enter("#pasted", "Zoë Brün <zoe@example.com>; Day, Bob <bob@example.com>, Cy <cy@example>")
			c.Press("form[data-upload] .primary", ".state-ready")
			c.Reads(".state h2", "2 rows can be imported")
			if scripts {
				c.CheckPage("preview-pasted")
			}
			c.Press("button[form=confirm]", ".state-completed")
			c.Reads(".state h2", "2 users imported, 1 row failed")
			c.Do(chromedp.Click(chromedp.CSS(".corrections .paste summary")))
			c.Enter("#pasted", "name,email\nCy Young,cy@example.com\n")
			c.Press(".corrections form button[type=submit]", ".state-ready")
			c.Reads(".state h2", "1 row can be imported")
		})
	}
}
