package web_test

import (
	"net/http"
	"strings"
	"testing"

	"rollcall/roster"
)

// again presses a button of the page: the form's fields as name, value.
func (b *browser) again(location string, fields ...string) (string, page) {
	b.Helper()
	p := b.post(location+"/again", fields...).want(http.StatusSeeOther)
	return p.header.Get("Location"), b.follow(p)
}

func TestFileIsReadAnotherWay(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	first := b.upload("a.csv", "Mail;Full name;Dept\nzoe@example.com;Zo\xeb;R\nbob@example.com;Bob;R\n"+adminEmail+";Ada;R\n", "dry_run", "true").header.Get("Location")
	p := b.get(first).says(".state h2", "The file could not be imported")
	if got := p.text("#map_email option"); got != "Not in the file|Mail|Full name|Dept" {
		t.Errorf("columns to choose from: %q", got)
	}
	for _, column := range []string{"email", "name", "department"} {
		if len(p.find("#map_"+column+" option[selected]")) != 1 {
			t.Errorf("no column is suggested for %s", column)
		}
	}

	second, p := b.again(first, "map_email", "Mail", "map_name", "Full name", "map_department", "Dept")
	p.says(".state h2", "Checked: 1 row can be imported").says(".hint button", "Read it as windows-1252|Update existing accounts instead")
	p.says(".kin a", "a.csv")
	b.get(first).says(".kin a", "a.csv")

	third, p := b.again(second, "encoding", "windows-1252")
	p.says(".state h2", "Checked: 2 rows can be imported")
	b.get(second).says(".state h2", "Canceled: 0 users imported")
	_, p = b.again(third, "on_duplicate", "update", "send_invitations", "false")
	p.says("button[form=confirm]", "Import or update 3 users").says(".hint button", "Leave existing accounts alone").
		says(".preview tbody .chip", "New user|New user|Updated")
	if choice := p.find("input[name=send_invitations][checked]"); len(choice) != 1 || attribute(choice[0], "value") != "false" {
		t.Error("the invitations are not held back")
	}
	// An ended or a replaced import is past that.
	b.post(second+"/again", "encoding", "auto").want(http.StatusConflict)
}

// TestMixedEncodings has files of which no encoding reads all: one click would
// only exchange some broken letters for others.
func TestMixedEncodings(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	for name, content := range map[string]string{
		"a mark":      "\ufeffemail,name\na@example.com,A\nzoe@example.com,Zo\xeb\n",
		"both in one": "email,name\nzoe@example.com,Zo\xeb\nsoren@example.com,Søren\n",
	} {
		p := b.follow(b.upload("a.csv", content, "dry_run", "true"))
		p.says(".hint p", "1 row is not valid text in the encoding the file was read with. The rest of the file is as it should be, so no other encoding reads all of it: mend these cells alone.")
		if p.says(".state h2", "Checked: 1 row can be imported"); len(p.find(".hint button")) > 0 || strings.Contains(p.text(".note.warn"), "looks like") {
			t.Errorf("%s: another encoding is offered: %s", name, p.text(".note.warn"))
		}
	}
}

// TestAnotherDelimiter has files that were read with the wrong delimiter, and of
// which one click makes what they are.
func TestAnotherDelimiter(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	for name, c := range map[string]struct {
		content, delimiter, button, headline string
	}{
		"told wrongly":       {"email;name\na@example.com;A\n", "comma", "Read it with a semicolon", "Checked: 1 row can be imported"},
		"the file says so":   {"sep=,\nemail\tname\na@example.com\tA\n", "", "Read it with a tab", "Checked: 1 row can be imported"},
		"with another names": {"E-mail address|Full name\na@example.com|A\n", ";", "Read it with a pipe", "The file could not be imported"},
		"commas in names":    {"email;name, first, last, middle\na@example.com;A, B, C, D\n", "", "Read it with a semicolon", "The file could not be imported"},
	} {
		fields := []string{"dry_run", "true"}
		if c.delimiter != "" {
			fields = append(fields, "delimiter", c.delimiter)
		}
		location := b.upload("a.csv", c.content, fields...).header.Get("Location")
		button := b.get(location).says(".hint button", c.button).find(".hint button")[0]
		next, p := b.again(location, attribute(button, "name"), attribute(button, "value"))
		if got := p.text(".state h2"); got != c.headline {
			t.Errorf("%s: the page says %q", name, got)
		}
		if len(b.get(next).find(".hint button")) != 0 {
			t.Errorf("%s: something is offered still", name)
		}
	}
}

// TestHeaderBelowTitle has a file that begins with a title, as reports do.
func TestHeaderBelowTitle(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	location := b.upload("a.csv", "Staff of the branch\xa0offices\n\nE-Mail\xa0Address;Full Name;;\nzoe@example.com;Zo\xeb;;\nTotal;1;;\n", "dry_run", "true").header.Get("Location")
	_, p := b.again(location, "encoding", "windows-1252")
	p.says(".hint p", "The names of the columns seem to stand in row 3, but the first row has to name them. "+
		"Delete everything above row 3 in your spreadsheet, save it as CSV and upload it again.")
	if len(p.find(".hint button")) != 0 {
		t.Error("there is something to press")
	}
}

func TestFileInAnotherEncodingAltogether(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	var utf16 strings.Builder
	for _, r := range "\uFEFFemail,name\na@example.com,Zoë\n" {
		utf16.WriteByte(byte(r))
		utf16.WriteByte(byte(r >> 8))
	}
	location := b.upload("a.csv", utf16.String(), "dry_run", "true").header.Get("Location")
	b.get(location).says(".hint button", "Read it as utf-16le")
	_, p := b.again(location, "encoding", "utf-16le")
	p.says(".state h2", "Checked: 1 row can be imported").says(".preview tbody td[data-label=name]", "Zoë")
}

func TestReadingIsRefused(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	location := b.upload("a.csv", people(3), "dry_run", "true").header.Get("Location")
	for name, fields := range map[string][]string{
		"one column twice":  {"map_email", "name", "map_name", "name"},
		"unknown encoding":  {"encoding", "klingon"},
		"unknown delimiter": {"delimiter", "x"},
		"unknown choice":    {"on_duplicate", "replace"},
	} {
		p := b.post(location+"/again", fields...)
		if p.status != http.StatusUnprocessableEntity || !strings.HasPrefix(p.text("[role=alert]"), "Nothing has changed") {
			t.Errorf("%s: %d %q", name, p.status, p.text("[role=alert]"))
		}
	}
	// Another administrator may look and confirm, but the file is not theirs.
	b.addUser("other@example.com", "Otto Other", roster.RoleAdmin, userPassword)
	other := b.browser()
	other.signIn("other@example.com", userPassword)
	if p := other.get(location).want(http.StatusOK); len(p.find(".reading")) != 0 || len(p.find("button[form=confirm]")) != 1 {
		t.Error("another administrator is offered what they cannot do, or not what they can")
	}
	other.post(location+"/again", "encoding", "auto").want(http.StatusNotFound)

	b.exec(`UPDATE imports SET status = 'checking'`)
	b.post(location+"/again", "encoding", "auto").want(http.StatusConflict)
}

func TestMendedReport(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	location := b.upload("a.csv", "Work mail,name\na@example.com,\nb@example.com,Bea\n", "mapping", `{"email":"Work mail"}`, "send_invitations", "false").header.Get("Location")
	p := b.get(location).says(".state h2", "1 user imported, 1 row failed")
	report := b.get(location + "/errors.csv").body
	mended := strings.Replace(report, "a@example.com,", "a@example.com,Ann", 1)

	form := p.find("form[data-upload]")
	if len(form) != 1 || attribute(form[0], "action") != location+"/mended" {
		t.Fatal("no place for the mended report")
	}
	var fields []string
	for _, input := range p.find("form[data-upload] input[type=hidden]") {
		fields = append(fields, attribute(input, "name"), attribute(input, "value"))
	}
	answer := b.send(location+"/mended", "mended.csv", mended, fields...).want(http.StatusSeeOther)
	b.follow(answer).says(".state h2", "Checked: 1 row can be imported").says(".kin a", "a.csv")
	b.follow(b.post(answer.header.Get("Location")+"/confirm")).
		says(".state h2", "1 user imported, 0 rows failed").says("[aria-labelledby=invitations] button", "Send 1 invitation now")
	b.get(location).says(".kin a", "mended.csv")
	answer = b.send(location+"/mended", "", "").want(http.StatusBadRequest).says("[role=alert]", "Choose a file first.")
	if form := answer.find("form[data-upload]"); attribute(form[0], "action") != location+"/mended" {
		t.Error("the second try is for another import")
	}
	b.get(location+"/mended").says("h1", "Upload the mended rows")
	b.send("/admin/imports/01920000-0000-7000-8000-000000000000/mended", "a.csv", mended).want(http.StatusNotFound)
}

func TestPurgedFileIsNotReadAgain(t *testing.T) {
	t.Parallel()
	b := newHouse(t).admin()
	location := b.upload("a.csv", "x\n").header.Get("Location")
	b.exec(`DELETE FROM import_chunks`)
	b.exec(`UPDATE imports SET purged_at = now()`)
	if p := b.get(location).want(http.StatusOK); len(p.find(".reading")) != 0 {
		t.Error("a file that is gone can be read another way")
	}
	b.post(location+"/again", "encoding", "auto").want(http.StatusGone).says("h1", "No longer kept")
}
