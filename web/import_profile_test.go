package web_test

import (
	"net/http"
	"strings"
	"testing"

	"rollcall/web"
)

// mentions fails the test unless the text of the matching elements has a part.
func (p page) mentions(selector, part string) page {
	p.Helper()
	if got := p.text(selector); !strings.Contains(got, part) {
		p.Errorf("%s reads %q, without %q", selector, got, part)
	}
	return p
}

// TestRolesAreMatchedOnce: each value of the file's role column is matched with a
// role, and what was matched is remembered with the import.
func TestRolesAreMatchedOnce(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	const people = "email,name,role\na@example.com,Ann,Manager\nb@example.com,Bob,Staff\nc@example.com,Cy,Manager\nd@example.com,Di,user\n"
	first := b.upload("a.csv", people, "dry_run", "true").header.Get("Location")
	p := b.get(first).says(".state h2", "1 row can be imported")
	p.says("label[for=role_to_0]", "Manager").says("label[for=role_to_1]", "Staff").says("label[for=role_to_2]", "user")
	// Nothing is selected for a value that is no role, not even what it may mean.
	if n := len(p.find("#role_to_0 option[selected]")); n != 1 || p.text("#role_to_0 option[selected]") != "Not matched: these rows fail" {
		t.Errorf("selected for Manager: %q", p.text("#role_to_0 option[selected]"))
	}
	location, p := b.again(first, "role_from_0", "Manager", "role_to_0", "admin", "role_from_1", "Staff", "role_to_1", "user", "role_from_2", "user", "role_to_2", "")
	p.says(".state h2", "4 rows can be imported")
	if got := p.text("#role_to_0 option[selected]") + p.text("#role_to_1 option[selected]") + p.text("#role_to_2 option[selected]"); got != "adminuserAs in the file" {
		t.Errorf("selected: %q", got)
	}
	p.mentions(".new-admins", "2 people become administrators")
	_, p = b.again(location, "role_from_0", "Manager", "role_to_0", "")
	p.says(".state h2", "2 rows can be imported")
	b.post(location+"/reread", "role_from_0", "Manager", "role_to_0", "owner").want(http.StatusConflict) // the page is out of date
}

// TestCorrectionsKeepTheValueMap: an error report has the file's own values, so its
// upload has what they mean.
func TestCorrectionsKeepTheValueMap(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("a.csv", "email,name,role\na@example.com,Ann,Staff\nb.example.com,Bob,Staff\n", "value_map", `{"role": {"Staff": "user"}}`).header.Get("Location")
	p := b.get(location + "/corrections")
	inputs := p.find("input[name=value_map]")
	if len(inputs) != 1 || attribute(inputs[0], "value") != `{"role":{"Staff":"user"}}` {
		t.Fatalf("%d fields in %s", len(inputs), p.body)
	}
}

// TestProfileIsSavedAndProposed: after a good preview its settings can be saved, and
// the next file with these headers is offered them.
func TestProfileIsSavedAndProposed(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	const people = "Mail,Who,role\na@example.com,Ann,Staff\n"
	first := b.upload("a.csv", people, "dry_run", "true", "mapping", `{"email": "Mail", "name": "Who"}`, "value_map", `{"role": {"Staff": "user"}}`).header.Get("Location")
	b.get(first).says(".state h2", "1 row can be imported")
	b.post(first+"/profile", "name", "not a name").want(http.StatusUnprocessableEntity)
	saved := b.post(first+"/profile", "name", "hr-nightly").want(http.StatusSeeOther)
	b.follow(saved).mentions("[role=status]", "Profile “hr-nightly” saved.")
	b.post(first+"/profile", "name", "hr-nightly").want(http.StatusUnprocessableEntity).mentions("[role=alert]", "already a profile named hr-nightly")
	b.post(first+"/profile", "name", "hr-nightly", "replace", "yes").want(http.StatusSeeOther)

	other := b.upload("b.csv", "name,email\nBob,bob@example.com\n", "dry_run", "true").header.Get("Location")
	if p := b.get(other); strings.Contains(p.text(".suggestion"), "profile") {
		t.Errorf("proposed for other headers: %q", p.text(".suggestion"))
	}
	next := b.upload("c.csv", people, "dry_run", "true").header.Get("Location")
	b.get(next).says(".state h2", "This file can't be imported").mentions(".suggestion", "match the profile “hr-nightly”")
	used := b.post(next+"/profile/use", "profile", "hr-nightly").want(http.StatusSeeOther)
	p := b.follow(used).says(".state h2", "1 row can be imported")
	if strings.Contains(p.text(".suggestion"), "profile") {
		t.Error("the profile is proposed for a file that is read with it")
	}
	b.get("/admin/settings/profiles").mentions("table", "hr-nightly").mentions("table", "email from Mail").mentions("table", "role Staff means user")
	b.get("/admin/audit?action=profile.").mentions("table", "saved an import profile")
	b.follow(b.post("/admin/settings/profiles/hr-nightly/delete").want(http.StatusSeeOther)).mentions("[role=status]", "Profile deleted.").mentions(".empty", "No profiles yet")
}

// TestAttributesOnPages shows declared attributes where the values of a user are.
func TestAttributesOnPages(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *web.Deps) { d.Attributes = []string{"cost_center"} })
	b := h.admin()
	first := b.upload("a.csv", "email,name,kst\na@example.com,Ann,4711\n", "dry_run", "true").header.Get("Location")
	location, p := b.again(first, "map_cost_center", "kst")
	p.mentions("table.preview", "Cost center").mentions("table.preview", "4711")
	b.post(location + "/confirm").want(http.StatusSeeOther)
	b.get("/admin/users/change?user="+h.id("a@example.com").String()).mentions("dl.facts", "Cost center").mentions("dl.facts", "4711")
	if got := b.get("/admin/users/import/template.csv").body; !strings.Contains(got, "department,cost_center") {
		t.Errorf("template %q", got)
	}
	if got := b.get("/admin/users/export.csv").body; !strings.Contains(got, "added_at,locale,cost_center") || !strings.Contains(got, ",4711\r\n") && !strings.Contains(got, ",4711\n") {
		t.Errorf("export %q", got)
	}
}
