package web_test

import (
	"net/http"
	"strings"
	"testing"
)

// paste sends the form of /admin/users/import as a browser does without a file.
func (b *browser) paste(text string, fields ...string) page {
	b.Helper()
	return b.send("/admin/users/import", "", "", append([]string{"dry_run", "true", "pasted", text}, fields...)...)
}

// TestPaste: what is pasted goes the way of a file, has the same errors, and is there
// to be downloaded.
func TestPaste(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.get("/admin/users/import").says("label[for=pasted]", "Rows from a spreadsheet, or a list of addresses")

	p := b.paste("email\tname\tdepartment\r\nann@example.com\tAnn Lee\tIT\r\nbob\tBob Day\t\r\n", "encoding", "windows-1252").want(http.StatusSeeOther)
	location := p.header.Get("Location")
	p = b.follow(p).says("h1", "pasted-rows.csv").says(".state h2", "1 row can be imported")
	if got := b.get(location + "/errors.csv").body; !strings.Contains(got, "\r\nbob,Bob Day,,3,invalid_email,email,") {
		t.Errorf("%s", got)
	}
	if strings.Contains(p.body, "no header") {
		t.Error("a header was added")
	}

	p = b.follow(b.paste("Jürgen Groß <jg@example.com>; Day, Bob <bob@example.com>\r\n"))
	p.says(".state h2", "2 rows can be imported").says(".preview tbody td[data-label=Name]", "Jürgen Groß|Day, Bob").
		says(".note.warn", "The pasted rows have no header, so this one was added as row 1: name, email. The first pasted row is row 2. Check that each column has the right values.")

	p = b.follow(b.paste("Ann\tLee\tann@example.com\tLondon\r\n"))
	p.says(".state h2", "1 row can be imported").says(".preview tbody td[data-label=Name]", "Ann Lee")
	if !strings.Contains(p.body, "row 1: first_name, last_name, email, Column 4.") {
		t.Errorf("%s", p.body)
	}
}

// TestPasteProblems: neither a file nor pasted rows, both, or too much.
func TestPasteProblems(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	b.paste(" \r\n").want(http.StatusBadRequest).says("[role=alert]", "Choose a file or paste rows first.")
	p := b.upload("users.csv", "email,name\na@example.com,Ann\n", "pasted", "b@example.com").want(http.StatusBadRequest)
	p.says("[role=alert]", "Upload a file or paste rows, not both.")
	if len(p.find("details.paste[open]")) != 1 {
		t.Error("the pasted rows are not in view")
	}
	b.paste(strings.Repeat("ann@example.com\tAnn\n", 60_000)).want(http.StatusBadRequest).says("[role=alert]", "The pasted text is larger than 1 MiB. Save it as a file and upload that.")
	p = b.paste(strings.Repeat("x", 100)).want(http.StatusSeeOther)
	b.follow(p).says(".state h2", "This file can't be imported")
	b.upload("users.csv", "email,name\na@example.com,Ann\n", "dry_run", "true", "pasted", "").want(http.StatusSeeOther)
}

// TestPastedCorrections: corrected rows of an error report can be pasted, with its
// columns.
func TestPastedCorrections(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("people.csv", "email,name\nbob,Bob\n").header.Get("Location")
	b.get(location).says(".corrections label[for=pasted]", "Rows from a spreadsheet, or a list of addresses")
	p := b.send(location+"/corrections", "", "", "dry_run", "true", "pasted", "email\tname\terror_row\terror_code\r\nbob@example.com\tBob\t2\tinvalid_email\r\n")
	b.follow(p).says(".state h2", "1 row can be imported")
}
