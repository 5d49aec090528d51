package e2e_test

import (
	"context"
	"encoding/csv"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"rollcall/test/browsertest"
	"rollcall/test/smtptest"
)

// messy is an export as written by spreadsheets in Western Europe, in
// windows-1252, with a column that has another name, and invalid rows.
const messy = "E-Mail;Full name;Role;Department;Phone\r\n" +
	"soren.holm@example.com;S\xf8ren Holm;user;Finance;1\r\n" +
	"grace.kim@example.com;Grace Kim;Admin;IT;2\r\n" +
	"peter.novak.example.com;Peter Novak;;Support;3\r\n" +
	"lena.vogel@example.com;Lena Vogel;manager;Support;4\r\n" +
	"Soren.Holm@example.com;S\xf8ren Holm;;Finance;5\r\n" +
	"ana.silva@example.com;Ana Silva;;Sales;\"6\r\nmobile\"\r\n"

// TestPanel is an administrator's whole path, from the link that the command
// line prints to a token that works, in a browser with and without scripts.
func TestPanel(t *testing.T) {
	for name, scripts := range map[string]bool{"scripts": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := devDir(t)
			d := startDev(t, filepath.Join(dir, "data"), "")
			p := panel{browsertest.NewTab(t, d.url, scripts), d}
			p.firstSignIn()
			p.importMessy()
			p.correctTheRest()
			p.acceptInvitation()
			p.changeMailServer()
			p.useToken()
		})
	}
}

// panel is a browser and the instance it uses.
type panel struct {
	*browsertest.Tab
	dev *dev
}

const (
	panelAdmin   = "jane@example.org"
	panelSecret  = "nine patient otters swim"
	personSecret = "four early geese return"
)

func (p panel) firstSignIn() {
	p.Helper()
	create := exec.Command(filepath.Join(binaries, "rollcall"), "user", "create-admin", "--email", panelAdmin, "--name", "Jane Admin")
	create.Env = []string{"DATABASE_URL=" + p.dev.told(`PostgreSQL +(\S+)`), "ROLLCALL_PUBLIC_URL=" + p.dev.url,
		"ROLLCALL_SECRET_FILE=" + filepath.Join(p.dev.data, "secret")}
	link, err := create.Output()
	if err != nil {
		p.Fatal(err)
	}
	p.Open(strings.TrimPrefix(strings.TrimSpace(string(link)), p.dev.url))
	p.choosePassword(panelSecret)
	p.Press(".button.primary", "form[action='/signin']")
	p.signIn(panelAdmin, panelSecret, "table.list")
}

func (p panel) choosePassword(password string) {
	p.Helper()
	p.Enter("#password", password)
	p.Enter("#again", password)
	p.Press("button.primary", ".badge")
}

func (p panel) signIn(email, password, then string) {
	p.Helper()
	p.Enter("#email", email)
	p.Enter("#password", password)
	p.Press("button.primary", then)
}

func (p panel) signOut() {
	p.Helper()
	p.Open("/admin/users")
	p.Press("form[action='/signout'] button", "form[action='/signin']")
}

func (p panel) importMessy() {
	p.Helper()
	p.Press(".head-actions .primary", "#file")
	p.Choose("#file", "messy.csv", messy)
	p.Press("form[data-upload] .primary", ".state-failed")
	p.Press(".file-settings button", ".state-ready") // the likely column is already selected
	p.Reads("button[form=confirm]", "Import 2 users")
	p.Press("button[value='windows-1252']", ".related")
	p.until(".state h2", "3 rows can be imported")
	p.Reads("button[form=confirm]", "Import 3 users")
	p.Reads(".preview tbody tr:first-child td:nth-child(3)", "Søren Holm")
	p.Press("input[name=admins]", "button[form=confirm]")
	p.Press("button[form=confirm]", ".state-importing, .state-completed")
	p.until(".state h2", "3 users imported, 3 rows failed")
	p.until("[data-live=mailed]", "3 of 3 invitations sent")
}

// until waits for the text of an element. Without scripts the page reloads
// itself every few seconds.
func (p panel) until(selector, want string) {
	p.Helper()
	if p.Scripts {
		p.Awaits(selector, want)
		return
	}
	got := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		var err error
		if got, err = chromedp.Run(p.Ctx, chromedp.TextContent(chromedp.CSS(selector))); err == nil && strings.TrimSpace(got) == want {
			return
		}
	}
	p.Fatalf("%s reads %q, want %q", selector, got, want)
}

func (p panel) correctTheRest() {
	p.Helper()
	report := p.download("a.button[href$='/errors.csv']")
	sheet := csv.NewReader(strings.NewReader(strings.TrimPrefix(report, "\ufeff")))
	sheet.Comma = ';'
	rows, err := sheet.ReadAll()
	if err != nil || len(rows) != 4 {
		p.Fatalf("%d rows in the error report (%v):\n%s", len(rows), err, report)
	}
	rows[1][0], rows[2][2], rows[3][0] = "peter.novak@example.com", "user", "soren.holm.2@example.com"
	var corrected strings.Builder
	out := csv.NewWriter(&corrected)
	out.Comma = ';'
	if err := out.WriteAll(rows); err != nil {
		p.Fatal(err)
	}
	p.Choose("#file", "corrections.csv", corrected.String())
	p.Press("form[data-upload] button[type=submit]", ".state-ready")
	p.Reads(".related a", "messy.csv")
	p.Reads("button[form=confirm]", "Import 3 users")
	p.Press("button[form=confirm]", ".state-importing, .state-completed")
	p.until(".state h2", "3 users imported")
	p.until("[data-live=mailed]", "3 of 3 invitations sent")
	p.Press(".related a", ".corrections")
	p.CheckPage("import-corrected")
}

// download clicks on a link and returns the downloaded file.
func (p panel) download(link string) string {
	p.Helper()
	dir := p.TempDir()
	p.Do(
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			return t.Call(ctx, "Page.setDownloadBehavior", map[string]string{"behavior": "allow", "downloadPath": dir}, nil)
		}),
		chromedp.Click(chromedp.CSS(link)),
	)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		if len(files) != 1 || filepath.Ext(files[0]) != ".csv" {
			continue
		}
		content, err := os.ReadFile(files[0])
		if err != nil {
			p.Fatal(err)
		}
		// Chromium reserves the name with an empty file before it renames
		// what it has downloaded.
		if len(content) > 0 {
			return string(content)
		}
	}
	p.Fatalf("%s gives no file", link)
	return ""
}

func (p panel) acceptInvitation() {
	p.Helper()
	p.Open("/dev/mail?to=soren.holm@")
	p.CheckPage("mails")
	p.Press(".mails a", ".mail-frame")
	p.CheckPage("mail")
	p.Press(".links a", "#password")
	p.choosePassword(personSecret)
	p.signOut()
	p.signIn("soren.holm@example.com", personSecret, "#why")
	p.Reads("button[disabled]", "Import Users")
	p.Reads("#why", "You need the admin role to import users. Ask an administrator for access.")
	p.signOut()
	p.signIn(panelAdmin, panelSecret, "table.list")
}

func (p panel) changeMailServer() {
	p.Helper()
	server := smtptest.Start(p.TB, smtptest.Config{Auth: "PLAIN"})
	p.Open("/admin/settings/email")
	p.Press("input[value=none]", "#host")
	p.Enter("#host", "127.0.0.1")
	p.Enter("#port", strconv.Itoa(server.Port()))
	p.Press("[aria-labelledby=server] button.primary", ".toast")
	p.Press("#test button", "#test .note.good")
	p.Reads("#test .note strong", "The mail server accepted the email to "+panelAdmin+".")
	if mails := server.Mails(); len(mails) != 1 || mails[0].To != panelAdmin {
		p.Errorf("the server got %+v", mails)
	}
	p.Press(".clear summary", ".clear .danger")
	p.Press(".clear .danger", ".toast")
}

func (p panel) useToken() {
	p.Helper()
	p.Open("/admin/settings/tokens")
	p.Enter("#name", "HR sync")
	p.Press("section[aria-labelledby=new] button.primary", "#secret")
	secret, err := chromedp.Run(p.Ctx, chromedp.Evaluate[string]("document.getElementById('secret').value"))
	if err != nil {
		p.Fatal(err)
	}
	body, contentType := form("email,name\nhr@example.com,From HR\n", "send_invitations", "false")
	request, err := http.NewRequest("POST", p.dev.url+"/api/admin/users/import", body)
	if err != nil {
		p.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+secret)
	request.Header.Set("Content-Type", contentType)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		p.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		p.Errorf("an import with the token was answered %s", answer.Status)
	}
	p.Open("/admin/imports")
	p.Reads("tbody tr:first-child .chip", "Completed")
	p.Reads("tbody tr:first-child .under", "by HR sync")
}
