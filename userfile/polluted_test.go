package userfile_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"rollcall/roster"
	"rollcall/userfile"
)

// layout is a way to write the same people.
type layout struct {
	name   string
	header []string
	delim  string
	quoted bool // every cell is in quotes
	habit  bool // every line ends with a delimiter
	cells  func(p human) []string
}

type human struct{ email, first, last, role, department, note string }

func (h human) name() string { return h.first + " " + h.last }

var humans = []human{
	{"ann@x.example", "Ann", "Lee", "user", "Sales", "Desk 4"},
	{"bob@x.example", "Bob", "Norden", "", "IT", ""},
	{"zoe@x.example", "Zoë", "Müller", "user", "", "Küche, 2. Stock"},
	{"cy@x.example", "Cy", "Ormond, Jr.", "admin", "Research; Labs", "said \"hi\""},
	{"dee@x.example", "Dee", "Park", "", "", ""},
}

var layouts = []layout{
	{name: "template", header: []string{"email", "name", "role", "department"}, delim: ",",
		cells: func(h human) []string { return []string{h.email, h.name(), h.role, h.department} }},
	{name: "name first", header: []string{"name", "email", "department"}, delim: ";",
		cells: func(h human) []string { return []string{h.name(), h.email, h.department} }},
	{name: "role before the end", header: []string{"email", "name", "title", "role", "notes"}, delim: ",",
		cells: func(h human) []string { return []string{h.email, h.name(), h.department, h.role, h.note} }},
	{name: "all quoted", header: []string{"id", "email", "name", "department", "role"}, delim: ",", quoted: true,
		cells: func(h human) []string { return []string{"7", h.email, h.name(), h.department, h.role} }},
	{name: "habit", header: []string{"email", "name", "department"}, delim: ",", habit: true,
		cells: func(h human) []string { return []string{h.email, h.name(), h.department} }},
	{name: "tabs", header: []string{"department", "role", "email", "name"}, delim: "\t",
		cells: func(h human) []string { return []string{h.department, h.role, h.email, h.name()} }},
}

func (l layout) line(cells []string) string {
	written := make([]string, len(cells))
	for i, c := range cells {
		written[i] = c
		if l.quoted || strings.ContainsAny(c, l.delim+"\"\n") {
			written[i] = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
	}
	line := strings.Join(written, l.delim)
	if l.habit {
		line += l.delim
	}
	return line
}

func (l layout) file() []string {
	lines := []string{l.line(l.header)}
	for _, h := range humans {
		lines = append(lines, l.line(l.cells(h)))
	}
	return lines
}

// taken is what of a person a file says.
type taken struct{ name, role, department string }

func (l layout) people() map[string]taken {
	people := map[string]taken{}
	file := strings.Join(l.file(), "\n")
	sheet, err := userfile.Open(strings.NewReader(file), roster.Options{})
	if err != nil {
		panic(err)
	}
	for {
		row, err := sheet.Next()
		if err != nil {
			return people
		}
		if len(row.Problems) > 0 {
			panic(fmt.Sprintf("%s: %v", l.name, row.Problems))
		}
		people[row.Person.Email] = taken{row.Person.Name, string(row.Person.Role), row.Person.Department}
	}
}

// pollution is one thing done to one line at one place; it reports false where
// there is nothing to do.
type pollution struct {
	name string
	do   func(l layout, line string, place int) (string, bool)
}

var pollutions = []pollution{
	{"an extra delimiter", func(l layout, line string, place int) (string, bool) { return insert(line, place, l.delim) }},
	{"a stray quote", func(_ layout, line string, place int) (string, bool) { return insert(line, place, `"`) }},
	{"a line break", func(_ layout, line string, place int) (string, bool) { return insert(line, place, "\n") }},
	{"a missing delimiter", func(l layout, line string, place int) (string, bool) { return replace(line, place, l.delim, "") }},
	{"another delimiter", func(l layout, line string, place int) (string, bool) {
		return replace(line, place, l.delim, other(l.delim))
	}},
	{"a tab for a delimiter", func(l layout, line string, place int) (string, bool) { return replace(line, place, l.delim, "\t") }},
	{"a pipe for a delimiter", func(l layout, line string, place int) (string, bool) { return replace(line, place, l.delim, "|") }},
	{"a missing quote", func(_ layout, line string, place int) (string, bool) { return replace(line, place, `"`, "") }},
	{"an apostrophe for a quote", func(_ layout, line string, place int) (string, bool) { return replace(line, place, `"`, "'") }},
	{"a backslash before a quote", func(_ layout, line string, place int) (string, bool) { return replace(line, place, `"`, `\"`) }},
	{"no quotes", func(_ layout, line string, place int) (string, bool) {
		return strings.ReplaceAll(line, `"`, ""), place == 0 && strings.Contains(line, `"`)
	}},
	{"typographic quotes", func(_ layout, line string, place int) (string, bool) {
		return strings.ReplaceAll(line, `"`, "”"), place == 0 && strings.Contains(line, `"`)
	}},
	{"single quotes", func(_ layout, line string, place int) (string, bool) {
		return strings.ReplaceAll(line, `"`, "'"), place == 0 && strings.Contains(line, `"`)
	}},
	{"a hidden character", func(_ layout, line string, place int) (string, bool) { return insert(line, place, "\u200b") }},
	{"a byte of another encoding", func(_ layout, line string, place int) (string, bool) { return insert(line, place, "\xe9") }},
	{"a NUL", func(_ layout, line string, place int) (string, bool) { return insert(line, place, "\x00") }},
}

func other(delim string) string {
	if delim == ";" {
		return ","
	}
	return ";"
}

// insert puts text before the place-th character of a line.
func insert(line string, place int, text string) (string, bool) {
	runes := []rune(line)
	if place > len(runes) {
		return "", false
	}
	return string(runes[:place]) + text + string(runes[place:]), true
}

// replace exchanges the place-th occurrence of a text.
func replace(line string, place int, before, after string) (string, bool) {
	at := 0
	for range place {
		i := strings.Index(line[at:], before)
		if i < 0 {
			return "", false
		}
		at += i + len(before)
	}
	i := strings.Index(line[at:], before)
	if i < 0 {
		return "", false
	}
	return line[:at+i] + after + line[at+i+len(before):], true
}

// changesValue reports whether two lines differ only within a quoted cell: that
// is another value, and no one can tell.
func changesValue(before, after string) bool {
	common := 0
	for common < len(before) && common < len(after) && before[common] == after[common] {
		common++
	}
	return strings.Count(before[:common], `"`)%2 == 1 && strings.Count(before, `"`) == strings.Count(after, `"`) &&
		!strings.Contains(after, `\"`) && !strings.Contains(after, "\x00")
}

// TestPollutedFiles: whatever is done to one line of a file, at every place of
// six layouts, no person is taken with a value that the file did not have
// without a word about it: the row is refused, or a warning counts rows.
func TestPollutedFiles(t *testing.T) {
	t.Parallel()
	files, silent := 0, map[string][]string{}
	for _, l := range layouts {
		want := l.people()
		for _, p := range pollutions {
			for n := range humans {
				for place := 0; ; place++ {
					lines := l.file()
					line, ok := p.do(l, lines[n+1], place)
					if !ok {
						break
					}
					if changesValue(lines[n+1], line) {
						continue
					}
					lines[n+1] = line
					files++
					if wrong := silentlyWrong(t, strings.Join(lines, "\n")+"\n", "", want); wrong != "" {
						kind := l.name + ", " + p.name
						silent[kind] = append(silent[kind], fmt.Sprintf("%q: %s", line, wrong))
					}
				}
			}
		}
	}
	total := 0
	for kind, list := range silent {
		total += len(list)
		for _, s := range list[:min(3, len(list))] {
			t.Errorf("%s (%d): %s", kind, len(list), s)
		}
	}
	t.Logf("%d polluted files, %d of them read wrong without a word", files, total)
}

// silentlyWrong says who is taken with which values that are not theirs, if
// nothing warns of rows. A text that only has a character more than it should is
// not told from a name that has it, and does not count.
func silentlyWrong(t *testing.T, file, encoding string, want map[string]taken) string {
	t.Helper()
	sheet, err := userfile.Open(strings.NewReader(file), roster.Options{Encoding: encoding})
	if err != nil {
		return ""
	}
	wrong, errors := "", false
	seen := map[string]int{}
	for {
		row, err := sheet.Next()
		if err != nil {
			break
		}
		if len(row.Problems) > 0 {
			errors = true
			continue
		}
		got := taken{row.Person.Name, string(row.Person.Role), row.Person.Department}
		right, known := want[row.Person.Email]
		seen[row.Person.Email]++
		if !known || got != right && (got.role != right.role || !fewMore(got.name, right.name) || !fewMore(got.department, right.department)) {
			wrong = fmt.Sprintf("%s as %+v", row.Person.Email, got)
		}
	}
	for _, w := range sheet.Warnings() {
		if w.Code != roster.WarnUnknownColumns {
			return ""
		}
	}
	if wrong == "" && !errors && len(seen) != len(want) {
		return fmt.Sprintf("%d of %d people", len(seen), len(want))
	}
	return wrong
}

// fewMore reports whether two texts are the same but for quotes.
func fewMore(got, right string) bool {
	plain := func(s string) string {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune("\"'”\\", r) {
				return -1
			}
			return r
		}, s)
	}
	return plain(got) == plain(right)
}

// TestEncodedFiles: people in any encoding, declared, found or not, are read
// right, or there is a word about it.
func TestEncodedFiles(t *testing.T) {
	t.Parallel()
	for _, l := range layouts {
		want, file := l.people(), strings.Join(l.file(), "\r\n")
		for name, encode := range map[string]func(string) (string, error){
			"windows-1252": charmap.Windows1252.NewEncoder().String,
			"macintosh":    charmap.Macintosh.NewEncoder().String,
			"ibm850":       charmap.CodePage850.NewEncoder().String,
			"utf-16le":     unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String,
			"utf-16be":     unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewEncoder().String,
			"utf-8-twice": func(s string) (string, error) {
				return charmap.Windows1252.NewDecoder().String(s)
			},
		} {
			encoded, err := encode(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, declared := range []string{"", "auto", name} {
				if wrong := silentlyWrong(t, encoded, declared, want); wrong != "" {
					t.Errorf("%s in %s, read as %q: %s", l.name, name, declared, wrong)
				}
			}
			if wrong := differs(encoded, name, want); wrong != "" {
				t.Errorf("%s in %s: %s", l.name, name, wrong)
			}
		}
	}
}

// differs says who is read wrong in the encoding that is declared.
func differs(file, encoding string, want map[string]taken) string {
	sheet, err := userfile.Open(bytes.NewReader([]byte(file)), roster.Options{Encoding: encoding})
	if err != nil {
		return err.Error()
	}
	for {
		row, err := sheet.Next()
		if err != nil {
			return ""
		}
		if got := (taken{row.Person.Name, string(row.Person.Role), row.Person.Department}); len(row.Problems) > 0 || got != want[row.Person.Email] {
			return fmt.Sprintf("%+v %v", got, row.Problems)
		}
	}
}
