package web_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"rollcall/roster"
	"rollcall/test/browsertest"
)

func (h *testEnv) adminInChromium(c *browsertest.Tab) {
	h.Helper()
	h.addUser(adminEmail, "Ada Admin", roster.RoleAdmin, adminPassword)
	c.Open("/signin")
	c.Enter("#email", adminEmail)
	c.Enter("#password", adminPassword)
	c.Press("button.primary", "table.list")
}

// TestMessyFileInChromium imports a file with every problem that one click can
// fix, corrects the rest, and undoes the import.
func TestMessyFileInChromium(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	c := browsertest.NewTab(t, h.url, true)
	h.adminInChromium(c)
	messy := "Mail;Full name;role;Phone\n" +
		"zoe@example.com;Zo\xeb Br\xfcn;;1\n" + "bob@example.com;Bob;superuser;2\n" + adminEmail + ";Ada;;3\n" +
		"no address;Nobody;;4\n" + "boss@example.com;Boss;admin;5\n" + "eve@example.com;;;6\n"
	c.Open("/admin/users/import")
	c.Choose("#file", "messy.csv", messy)
	c.Press("form[data-upload] .primary", ".state-failed")
	c.CheckPage("unusable")
	c.Press(".file-settings button", ".state-ready")
	c.Reads(".state h2", "1 row can be imported")
	c.CheckPage("preview-messy")
	c.Press("button[value='windows-1252']", ".bad-cell input")
	c.Awaits(".state h2", "2 rows can be imported")
	c.Press(".which a:last-child", ".which a:last-child[aria-current]")
	c.CheckPage("preview-errors")
	c.Do(chromedp.Click(chromedp.CSS("input[name=admins]")))
	c.Press("button[form=confirm]", ".state-completed")
	c.Reads(".state h2", "2 users imported, 4 rows failed")
	c.CheckPage("import-with-errors")

	corrected := "Mail;Full name;role;Phone\nbob@example.com;Bob;user;2\n"
	c.Choose("#file", "corrected.csv", corrected)
	c.Press("form[data-upload] button", ".state-ready")
	c.Reads(".related a", "messy.csv")
	c.Press("button[form=confirm]", ".state-completed")
	c.Press(".related a", ".corrections")
	c.Press("a[href$='/undo']", ".danger")
	c.CheckPage("undo")
	c.Press(".danger", ".state .note")
	c.CheckPage("import-undone")
	c.Open("/admin/imports")
	c.CheckPage("imports")
}

// TestDiagnosisInChromium imports a file with the name in two columns, some
// text encoded twice, a repeated header and a short row, using the suggestions
// of the pages.
func TestDiagnosisInChromium(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	c := browsertest.NewTab(t, h.url, true)
	h.adminInChromium(c)
	const rows = "E-Mail Address,First Name,Last Name,Access,Department\n"
	file := rows + "renee@example.com,RenÃ©e,MÃ¼ller,,Zürich\nann@example.com,Ann,Lee,,IT\n" + rows +
		"bob@example.com,Bob,Stone\nzoe@example.com.,Zoë,Brün,Administrator,HR\n" + adminEmail + ",Ada,Admin,,IT\n"
	c.Open("/admin/users/import")
	c.Choose("#file", "staff.csv", file)
	c.Do(chromedp.Click(chromedp.CSS("input[name=on_duplicate][value=update]")))
	c.Press("form[data-upload] .primary", ".state-failed")
	c.CheckPage("unusable-two-columns")
	c.Press(".file-settings button", ".state-ready")
	c.Reads(".state h2", "4 rows can be imported")
	c.CheckPage("preview-diagnosis")
	c.Press("button[value='utf-8-twice']", ".preview")
	c.Awaits(".preview tbody tr:first-child td[data-label=Name]", "Renée Müller")
	c.CheckPage("preview-repaired")
	c.Press(".note.warn a[href$='row=5#rows']", ".preview")
	c.Press("button[form=confirm]", ".state-completed")
	c.CheckPage("import-diagnosis")

	c.Open("/admin/users/import")
	c.Choose("#file", "latin.csv", "email,name\nzoe@example.com,Zo\xeb Br\xfcn\nsara@example.com,Jos\xe9 Mu\xf1oz\n")
	c.Do(chromedp.SetValue(chromedp.CSS("#encoding"), "auto"))
	c.Press("form[data-upload] .primary", ".state-ready")
	c.Reads(".note.warn .said", "Zoë Brün")
	c.CheckPage("preview-read-as")

	c.Open("/admin/users/import")
	c.Choose("#file", "people.csv", "ann@example.com,Ann Lee\nbob@example.com,Bob\n")
	c.Press("form[data-upload] .primary", ".state-failed")
	c.CheckPage("unusable-no-header")
}

// TestFollowingInChromium watches an import without reloading the page.
func TestFollowingInChromium(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
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
	c.CheckPage("import-working")
	if same, err := chromedp.Run(c.Ctx, chromedp.Evaluate[bool]("window.same === true")); err != nil || !same {
		t.Errorf("the page was loaded again to show a number (%v)", err)
	}
	h.exec(`UPDATE imports SET status = 'completed', finished_at = now(), processed = 5000, imported = 4900`)
	c.Awaits(".state h2", "4,900 users imported, 100 rows failed")
}

// brokenParts are the parts of addresses that wrap onto another line.
const brokenParts = `[...document.querySelectorAll("bdi.address")].flatMap((a) => [...a.childNodes]).filter((part) => {
	const range = document.createRange();
	range.selectNodeContents(part);
	return part.nodeType === Node.TEXT_NODE && new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1;
}).map((part) => part.data).join(" ")`

// TestAddressesWrapInChromium: on the preview and the lists of users and failed
// rows, at any width, addresses break at their separators only.
func TestAddressesWrapInChromium(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	c := browsertest.NewTab(t, h.url, true)
	h.adminInChromium(c)
	long := "email,name,role,department\n" +
		"alexandra.anna-maria.montgomery@mail.north-west-branch.subsidiary.example.com,Alexandra Montgomery,user,Research and Development\n" +
		"bartholomew.featherstonehaugh@example.com,Bartholomew Featherstonehaugh-Cholmondeley,admin,Ofsted\n" +
		"Anna-maria.o@example.com,,superuser,Research and Development\n" +
		"שרה@example.com,שרה לוי,user,מחקר\n" +
		"sara@example.com,שרה לוי,user,מחקר (ב)\n" +
		strings.Repeat("x", 60) + "@" + strings.Repeat("y", 60) + ".example.com,Widest Address,user,Research\n"
	c.Open("/admin/users/import")
	c.Choose("#file", "long.csv", long)
	c.Press("form[data-upload] .primary", ".state-ready")
	whole := func(name string) {
		t.Helper()
		for _, width := range []int64{360, 768, 1280} {
			c.Do(chromedp.EmulateViewport(width, 800))
			if broken, err := chromedp.Run(c.Ctx, chromedp.Evaluate[string](brokenParts)); err != nil || broken != "" {
				t.Errorf("%s, %d wide: broken within %q (%v)", name, width, broken, err)
			}
		}
		c.CheckPage(name)
	}
	whole("preview-long")
	c.Do(chromedp.Click(chromedp.CSS("input[name=admins]")))
	c.Press("button[form=confirm]", ".state-completed")
	whole("import-long")
	c.Open("/admin/users")
	whole("people-long")
}
