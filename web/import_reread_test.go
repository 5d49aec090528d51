package web_test

import (
	"net/http"
	"strings"
	"testing"

	"rollcall/roster"
)

// again submits a form of the page: its fields as name, value.
func (b *browser) again(location string, fields ...string) (string, page) {
	b.Helper()
	p := b.post(location+"/reread", fields...).want(http.StatusSeeOther)
	return p.header.Get("Location"), b.follow(p)
}

func TestFileIsReadAnotherWay(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	first := b.upload("a.csv", "Mail;Full name;Dept\nzoe@example.com;Zo\xeb;R\nbob@example.com;Bob;R\n"+adminEmail+";Ada;R\n", "dry_run", "true").header.Get("Location")
	p := b.get(first).says(".state h2", "This file can't be imported")
	if got := p.text("#map_email option"); got != "Not in this file|Mail|Full name|Dept" {
		t.Errorf("columns to choose from: %q", got)
	}
	for _, column := range []string{"email", "name", "department"} {
		if len(p.find("#map_"+column+" option[selected]")) != 1 {
			t.Errorf("no column is suggested for %s", column)
		}
	}

	second, p := b.again(first, "map_email", "Mail", "map_name", "Full name", "map_department", "Dept")
	p.says(".state h2", "1 row can be imported").says(".suggestion button", "Use windows-1252|Update existing accounts instead")
	p.says(".related a", "a.csv")
	b.get(first).says(".related a", "a.csv")

	third, p := b.again(second, "encoding", "windows-1252")
	p.says(".state h2", "2 rows can be imported")
	b.get(second).says(".state h2", "Canceled: 0 users imported")
	_, p = b.again(third, "on_duplicate", "update", "send_invitations", "false")
	p.says("button[form=confirm]", "Import 2 users and update 1").says(".suggestion button", "Skip existing accounts instead").
		says(".preview tbody .chip", "New user|New user|Update")
	if choice := p.find("input[name=send_invitations][checked]"); len(choice) != 1 || attribute(choice[0], "value") != "false" {
		t.Error("the invitations are not held back")
	}
	// An import that has ended or was replaced cannot be read again.
	b.post(second+"/reread", "encoding", "auto").want(http.StatusConflict)
}

// TestMixedEncodings uses files that no single encoding can read: another
// encoding would only break other letters.
func TestMixedEncodings(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	for name, content := range map[string]string{
		"a mark":      "\ufeffemail,name\na@example.com,A\nzoe@example.com,Zo\xeb\n",
		"both in one": "email,name\nzoe@example.com,Zo\xeb\nsoren@example.com,Søren\n",
	} {
		p := b.follow(b.upload("a.csv", content, "dry_run", "true"))
		p.says(".suggestion p", "1 row is not valid in the selected encoding. The rest of the file is fine, so changing the encoding won't help; fix these rows individually.")
		if p.says(".state h2", "1 row can be imported"); len(p.find(".suggestion button")) > 0 || strings.Contains(p.text(".note.warn"), "seems to be") {
			t.Errorf("%s: another encoding is offered: %s", name, p.text(".note.warn"))
		}
	}
}

// TestAnotherDelimiter uses files that were read with the wrong delimiter; one
// click corrects it.
func TestAnotherDelimiter(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	for name, c := range map[string]struct {
		content, delimiter, button, headline string
	}{
		"told wrongly":       {"email;name\na@example.com;A\n", "comma", "Use semicolon", "1 row can be imported"},
		"the file says so":   {"sep=,\nemail\tname\na@example.com\tA\n", "", "Use tab", "1 row can be imported"},
		"with another names": {"E-mail address|Full name\na@example.com|A\n", ";", "Use pipe", "This file can't be imported"},
		"commas in names":    {"email;name, title, suffix\na@example.com;A, B, C\n", "", "Use semicolon", "This file can't be imported"},
	} {
		fields := []string{"dry_run", "true"}
		if c.delimiter != "" {
			fields = append(fields, "delimiter", c.delimiter)
		}
		location := b.upload("a.csv", c.content, fields...).header.Get("Location")
		button := b.get(location).says(".suggestion button", c.button).find(".suggestion button")[0]
		next, p := b.again(location, attribute(button, "name"), attribute(button, "value"))
		if got := p.text(".state h2"); got != c.headline {
			t.Errorf("%s: the page says %q", name, got)
		}
		if len(b.get(next).find(".suggestion button")) != 0 {
			t.Errorf("%s: something is offered still", name)
		}
	}
}

// TestHeaderBelowTitle uses a file that begins with a title, as reports do.
func TestHeaderBelowTitle(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("a.csv", "Staff of the branch\xa0offices\n\nE-Mail\xa0Address;Full Name;;\nzoe@example.com;Zo\xeb;;\nTotal;1;;\n", "dry_run", "true").header.Get("Location")
	_, p := b.again(location, "encoding", "windows-1252")
	p.says(".suggestion p", "The column names seem to be in row 3.")
	p.says(".suggestion button", "Use row 3 as the header")
	next, p := b.again(location, "encoding", "windows-1252", "header_row", "3", "map_email", "E-Mail\u00a0Address", "map_name", "Full Name")
	p.says(".state h2", "1 row can be imported")
	if p = b.get(next); attribute(p.find("#header_row")[0], "value") != "3" {
		t.Error("the form doesn't keep the header row")
	}
}

func TestFileInAnotherEncodingAltogether(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	var utf16 strings.Builder
	for _, r := range "\uFEFFemail,name\na@example.com,Zoë\n" {
		utf16.WriteByte(byte(r))
		utf16.WriteByte(byte(r >> 8))
	}
	location := b.upload("a.csv", utf16.String(), "dry_run", "true").header.Get("Location")
	b.get(location).says(".suggestion button", "Use utf-16le")
	_, p := b.again(location, "encoding", "utf-16le")
	p.says(".state h2", "1 row can be imported").says(".preview tbody td[data-label=Name]", "Zoë")
}

func TestFileSettingsAreRefused(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("a.csv", people(3), "dry_run", "true").header.Get("Location")
	for name, fields := range map[string][]string{
		"one column twice":  {"map_email", "name", "map_name", "name"},
		"unknown encoding":  {"encoding", "klingon"},
		"unknown delimiter": {"delimiter", "x"},
		"unknown choice":    {"on_duplicate", "replace"},
	} {
		p := b.post(location+"/reread", fields...)
		if p.status != http.StatusUnprocessableEntity || !strings.HasPrefix(p.text("[role=alert]"), "Nothing was changed") {
			t.Errorf("%s: %d %q", name, p.status, p.text("[role=alert]"))
		}
	}
	// Another administrator may view and confirm, but does not own the file.
	b.addUser("other@example.com", "Otto Other", roster.RoleAdmin, userPassword)
	other := b.browser()
	other.signIn("other@example.com", userPassword)
	if p := other.get(location).want(http.StatusOK); len(p.find(".file-settings")) != 0 || len(p.find("button[form=confirm]")) != 1 {
		t.Error("another administrator is offered what they cannot do, or not what they can")
	}
	other.post(location+"/reread", "encoding", "auto").want(http.StatusNotFound)

	b.exec(`UPDATE imports SET status = 'checking'`)
	b.post(location+"/reread", "encoding", "auto").want(http.StatusConflict)
}

func TestCorrectedReport(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("a.csv", "Work mail,name\na@example.com,\nb@example.com,Bea\n", "mapping", `{"email":"Work mail"}`, "send_invitations", "false").header.Get("Location")
	p := b.get(location).says(".state h2", "1 user imported, 1 row failed")
	report := b.get(location + "/errors.csv").body
	corrected := strings.Replace(report, "a@example.com,", "a@example.com,Ann", 1)

	form := p.find("form[data-upload]")
	if len(form) != 1 || attribute(form[0], "action") != location+"/corrections" {
		t.Fatal("no place for the corrected report")
	}
	var fields []string
	for _, input := range p.find("form[data-upload] input[type=hidden]") {
		fields = append(fields, attribute(input, "name"), attribute(input, "value"))
	}
	answer := b.send(location+"/corrections", "corrected.csv", corrected, fields...).want(http.StatusSeeOther)
	b.follow(answer).says(".state h2", "1 row can be imported").says(".related a", "a.csv")
	b.follow(b.post(answer.header.Get("Location")+"/confirm")).
		says(".state h2", "1 user imported").says("[aria-labelledby=invitations] button", "Send 1 invitation now")
	b.get(location).says(".related a", "corrected.csv")
	answer = b.send(location+"/corrections", "", "").want(http.StatusBadRequest).says("[role=alert]", "Choose a file or paste rows first.")
	if form := answer.find("form[data-upload]"); attribute(form[0], "action") != location+"/corrections" {
		t.Error("the second try is for another import")
	}
	b.get(location+"/corrections").says("h1", "Upload corrections")
	b.send("/admin/imports/01920000-0000-7000-8000-000000000000/corrections", "a.csv", corrected).want(http.StatusNotFound)
}

func TestPurgedFileIsNotReadAgain(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("a.csv", "x\n").header.Get("Location")
	b.exec(`DELETE FROM import_chunks`)
	b.exec(`UPDATE imports SET purged_at = now()`)
	if p := b.get(location).want(http.StatusOK); len(p.find(".file-settings")) != 0 {
		t.Error("a file that is gone can be read another way")
	}
	b.post(location+"/reread", "encoding", "auto").want(http.StatusGone).says("h1", "No longer available")
}
