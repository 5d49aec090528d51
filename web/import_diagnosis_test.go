package web_test

import (
	"strings"
	"testing"
)

// TestNameInTwoColumns: the form suggests first and last name, accepts any two
// columns for the name, and keeps them when the file is read again.
func TestNameInTwoColumns(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	first := b.upload("a.csv", "email,Last Name,First Name,Titel\nann@example.com,Lee,Ann,Dr\nbob@example.com,,Bob,\n", "dry_run", "true").header.Get("Location")
	p := b.get(first).says(".state strong", "Some required columns weren't found.")
	if a, b := p.text("#map_name option[selected]"), p.text("#map_name_2 option[selected]"); a != "First Name" || b != "Last Name" {
		t.Errorf("proposed for the name: %q and %q", a, b)
	}
	second, p := b.again(first, "map_email", "", "map_name", "First Name", "map_name_2", "Last Name")
	p.says(".state h2", "2 rows can be imported").says(".preview tbody td[data-label=Name]", "Ann Lee|Bob")
	if a, b := p.text("#map_name option[selected]"), p.text("#map_name_2 option[selected]"); a != "First Name" || b != "Last Name" {
		t.Errorf("kept for the name: %q and %q", a, b)
	}
	_, p = b.again(second, "map_name", "Titel", "map_name_2", "Last Name")
	p.says(".preview tbody td[data-label=Name]", "Dr Lee|")
	third, p := b.again(first, "map_name", "First Name", "map_name_2", "")
	p.says(".preview tbody td[data-label=Name]", "Ann|Bob")
	b.post(third+"/reread", "map_name", "Titel", "map_name_2", "Titel").says("[role=alert]", "Nothing was changed. Each column of the file can be used only once, every setting must be one of the options shown, and the header row must be a number from 1 to 1000.")

	// A column called name and another one: the given name and the family name.
	location := b.upload("a.csv", "email,name,Surname\nann@example.com,Ann,Lee\n", "dry_run", "true").header.Get("Location")
	_, p = b.again(location, "map_name", "", "map_name_2", "Surname")
	p.says(".preview tbody td[data-label=Name]", "Ann Lee")
}

// TestTextEncodedTwice: one click repairs it, and no further repair is offered.
func TestTextEncodedTwice(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	first := b.upload("a.csv", "email,name\nann@example.com,Ann\nr@example.com,RenÃ©e MÃ¼ller\n", "dry_run", "true").header.Get("Location")
	p := b.get(first).says(".suggestion p", "1 row has text that was encoded twice. Example: RenÃ©e MÃ¼ller → Renée Müller.").says(".suggestion button", "Repair the text")
	button := p.find(".suggestion button")[0]
	_, p = b.again(first, attribute(button, "name"), attribute(button, "value"))
	p.says(".preview tbody td[data-label=Name]", "Ann|Renée Müller").says("#encoding option[selected]", "utf-8-twice")
	if len(p.find(".suggestion")) > 0 {
		t.Errorf("offered still: %s", p.text(".suggestion"))
	}
}

// TestDiagnosisIsShown: warnings about the whole file are on the page, with a
// sample if there is one and a link to the first row.
func TestDiagnosisIsShown(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("a.csv", "email,name\nzoe@example.com,Zo\xeb Br\xfcn\n", "dry_run", "true", "encoding", "auto").header.Get("Location")
	b.get(location).says(".note.warn", "The file was read as windows-1252, which was detected automatically. Example: windows-1252: Zoë Brün · windows-1257: Zoė Brün. If this looks wrong, select the encoding under “File settings”.").
		says(".note.warn .said", "windows-1252: Zoë Brün · windows-1257: Zoė Brün")
	b.follow(b.post(location+"/confirm")).says(".note.warn .said", "windows-1252: Zoë Brün · windows-1257: Zoė Brün")

	location = b.upload("a.csv", "email,name,department\nann@example.com,Ann,IT\nemail,name,department\nbob@example.com,Bob\n", "dry_run", "true").header.Get("Location")
	p := b.get(location).says(".note.warn a", "Go to row 4")
	if href := attribute(p.find(".note.warn a")[0], "href"); !strings.HasSuffix(href, "?row=4#rows") {
		t.Errorf("the way to row 4: %s", href)
	}

	for name, c := range map[string]struct{ content, says string }{
		"no header":   {"ann@example.com,Ann Lee\nbob@example.com,Bob\n", "The file has no header: the first row is a person."},
		"one column":  {"Staff 2026\nann@example.com,Ann Lee\n", "row 2 is a person"},
		"no CSV":      {"[{\"email\": \"ann@example.com\"}]", "This is a JSON document, not a CSV."},
		"other names": {"Kontakt,Bezeichnung\nx,y\n", "Some required columns weren't found."},
	} {
		p := b.follow(b.upload("a.csv", c.content, "dry_run", "true"))
		if got := p.text(".state strong"); !strings.Contains(got, c.says) {
			t.Errorf("%s: the page says %q", name, got)
		}
		if form := len(p.find(".state .file-settings")) > 0; form != (name == "other names") {
			t.Errorf("%s: asked to choose columns: %v", name, form)
		}
	}
}

// TestPreviewTellsWhatHappens: the preview shows that a row without a role
// keeps an administrator's role, and shows suggestions.
func TestPreviewTellsWhatHappens(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	location := b.upload("a.csv", "email,name,role\n"+adminEmail+",Ada,\nnew@example.com,New,\nbob@example.com.,Bob,\n", "dry_run", "true", "on_duplicate", "update").header.Get("Location")
	b.get(location).says(".preview tbody td[data-label=Role]", "unchanged|user|user").
		says(".preview tbody .bad-row .problem bdi", "bob@example.com")
	b.follow(b.post(location+"/confirm")).says("[aria-labelledby=failed-rows] .problem bdi", "bob@example.com")
}
