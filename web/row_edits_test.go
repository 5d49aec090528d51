package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestEditRowsWithoutScript corrects rows by their forms, takes suggestions, undoes an
// edit and imports the result. Each form leads back to where it was.
func TestEditRowsWithoutScript(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	location := b.upload("a.csv", "email,name,role\nann@example.com,Ann,\nbad,Bob,\nann@example.com,Cy,boss\n<dee@example.com>,Dee,\nno,cells,at,all\n", "dry_run", "true").header.Get("Location")
	p := b.get(location+"?show=fail").says(".state h2", "1 row can be imported").says(".suggested summary", "1 value has a suggested correction")
	if form := p.find("#edit-3"); len(form) != 1 || !strings.HasSuffix(attribute(form[0], "action"), "/rows/3?show=fail") {
		t.Errorf("form of row 3: %v", form)
	}
	at := b.post(location+"/rows/3?show=fail", "cell.email", "bob@example.com", "shown.email", "bad").want(http.StatusSeeOther)
	if to := at.header.Get("Location"); !strings.HasSuffix(to, "?show=fail#row-3") {
		t.Errorf("leads to %s", to)
	}
	b.follow(at).says(".state h2", "2 rows can be imported").says("button[form=confirm]", "Import 2 users")
	b.get(location).says("#row-3 .chip", "New user|Edited").says("#row-3 .under", "in the file: bad")

	// What was not changed is not sent, and a row with two problems keeps the other.
	b.post(location+"/rows/4", "cell.email", "cy@example.com", "shown.email", "ann@example.com", "cell.role", "boss", "shown.role", "boss").want(http.StatusSeeOther)
	b.get(location).says("#row-4 .problem", "The role must be user or admin.")
	b.post(location+"/rows/4", "cell.role", "admin", "shown.role", "boss")
	b.get(location).says("#row-4 .chip", "New user|Edited").says(".new-admins li", "cy@example.com Cy, row 4")
	b.post(location+"/rows/4", "undo", "all").want(http.StatusSeeOther)
	b.get(location).says(".state h2", "2 rows can be imported").says("#row-4 .chip", "Will be skipped")
	b.post(location+"/rows/5", "take", "email", "suggestion.email", "dee@example.com", "cell.email", "<dee@example.com>", "shown.email", "<dee@example.com>")
	b.post(location+"/rows/6", "cell.email", "eve@example.com", "cell.name", "Eve", "cell.role", "")
	b.get(location).says(".state h2", "4 rows can be imported").says("#row-6 .chip", "New user|Edited")
	b.post(location+"/rows/6", "undo", "all")
	b.post(location+"/rows/77", "cell.email", "x@example.com").want(http.StatusNotFound)

	b.follow(b.post(location+"/confirm")).says(".state h2", "3 users imported, 2 rows failed")
	b.post(location+"/rows/4", "cell.role", "user").want(http.StatusConflict)
	log := b.get("/admin/audit").text("main")
	if !strings.Contains(log, "edited rows of an import") || !strings.Contains(log, "row 4: role") || strings.Contains(log, "bob@example.com") {
		t.Errorf("the audit log says %s", log)
	}
	if p := b.get("/admin/users?q=dee"); !strings.Contains(p.text("main"), "dee@example.com") {
		t.Error("Dee is not there")
	}
}

// TestApplySuggestionsOnPage lists what changes, and applies it with one button.
func TestApplySuggestionsOnPage(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("a.csv", "email,name,role\n<ann@example.com>,Ann,\nbob@example.com.,Bob,Administrator\nbad,Cy,\n", "dry_run", "true").header.Get("Location")
	b.get(location).says(".suggested summary", "3 values have a suggested correction").
		says(".suggested tbody td[data-label=Suggestion]", "ann@example.com|bob@example.com|admin").
		says(".suggested form button", "Apply 3 suggestions")
	b.follow(b.post(location+"/suggestions")).says(".state h2", "2 rows can be imported").says(".new-admins li", "bob@example.com Bob, row 3")
	if p := b.get(location); len(p.find(".suggested")) > 0 {
		t.Error("suggestions are left")
	}
}

// TestManyFailedRowsAreNotEdited: beyond the limit the page offers the error report.
func TestManyFailedRowsAreNotEdited(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	var content strings.Builder
	content.WriteString("email,name\nann@example.com,Ann\n")
	for n := range 1001 {
		fmt.Fprintf(&content, "bad%d,N\n", n)
	}
	location := b.upload("a.csv", content.String(), "dry_run", "true").header.Get("Location")
	p := b.get(location).says("[aria-labelledby=rows] .fine", "More than 1,000 rows failed, too many to correct on this page. Download the error report, correct it and upload it again.")
	if n := len(p.find(".preview input")); n != 0 {
		t.Errorf("%d cells can be edited", n)
	}
}
