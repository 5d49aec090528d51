package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/intake"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
)

// Fields with which a file is read another way; what a form lacks stays as it is.
const (
	fieldEncoding    = "encoding"
	fieldDelimiter   = "delimiter"
	fieldOnDuplicate = "on_duplicate"
	fieldInvitations = "send_invitations"
	fieldMapping     = "map_" // and the name of our column
)

// againTimeout bounds the copy of a file within the database.
const againTimeout = time.Minute

// readingView is the form with the ways to read a file.
type readingView struct {
	Import     *roster.Import // nil: no form, for the file is somebody else's or gone
	Encodings  []choice
	Delimiters []choice
	Columns    []columnChoice // none if the header row cannot be read
}

// choice is one option of a select element.
type choice struct {
	Value, Label string
	Selected     bool
}

// columnChoice is where one of our columns may be found.
type columnChoice struct {
	Column  roster.Column
	Missing bool // required, and not found as things are
	Guessed bool // the header selected is a suggestion
	Headers []choice
}

// Update reports whether existing users are to be updated.
func (v readingView) Update() bool { return v.Import.Options.OnDuplicate == roster.UpdateDuplicates }

// Needed reports whether nothing can be done but to choose columns.
func (v readingView) Needed() bool {
	return slices.ContainsFunc(v.Columns, func(c columnChoice) bool { return c.Missing })
}

// createdBy reports whether an import is a user's own, and so theirs to read
// another way.
func createdBy(i *roster.Import, u *roster.User) bool { return i.CreatedBy.Key() == actor(u).Key() }

// newReading makes the form for a file with this header row.
func newReading(i *roster.Import, header []string) readingView {
	v := readingView{Import: i, Encodings: encodings(i.Options.Encoding), Delimiters: delimiters(i.Options.Delimiter)}
	if len(header) == 0 {
		return v
	}
	suggested := map[string]bool{}
	for _, column := range roster.Columns {
		v.Columns = append(v.Columns, newColumnChoice(column, header, i.Options.Mapping[string(column)], suggested))
	}
	return v
}

// newColumnChoice selects the header that is mapped, found by name or likely.
// None is suggested for two columns.
func newColumnChoice(column roster.Column, header []string, mapped string, suggested map[string]bool) columnChoice {
	c := columnChoice{Column: column}
	byName := false
	for _, h := range header {
		byName = byName || named(column, h)
	}
	selected := mapped
	if mapped == "" && !byName {
		c.Missing = column.Required()
		if selected, c.Guessed = intake.Suggest(column, header); suggested[selected] {
			selected, c.Guessed = "", false
		}
		suggested[selected] = true
	}
	label := "Not in the file"
	if byName {
		label = "The one named " + string(column)
	}
	c.Headers = []choice{{Label: label}}
	seen := map[string]bool{}
	for _, h := range header {
		h = roster.Shown(strings.TrimSpace(h))
		if h == "" || seen[h] {
			continue
		}
		seen[h] = true
		c.Headers = append(c.Headers, choice{Value: h, Label: h, Selected: h == selected})
	}
	return c
}

// named reports whether a header is the name of a column, as package intake
// compares them.
func named(column roster.Column, header string) bool {
	return strings.ReplaceAll(tabular.NormalizeHeader(header), "_", "") == string(column)
}

// encodings are the encodings to choose from, the usual one first.
func encodings(selected string) []choice {
	return choose(selected, []choice{
		{Value: "", Label: "UTF-8 (usual)"},
		{Value: "auto", Label: "Find out"},
		{Value: "windows-1252", Label: "Windows, Western Europe (windows-1252)"},
		{Value: "windows-1250", Label: "Windows, Central Europe (windows-1250)"},
		{Value: "windows-1251", Label: "Windows, Cyrillic (windows-1251)"},
		{Value: "iso-8859-1", Label: "Latin 1 (iso-8859-1)"},
		{Value: "macintosh", Label: "Old Mac (macintosh)"},
		{Value: "utf-16", Label: "Unicode text from Excel (utf-16)"},
	})
}

// delimiterNames are what people, and forms, call them.
var delimiterNames = map[string]string{",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}

// delimiters are the characters that may stand between cells.
func delimiters(selected string) []choice {
	selected = cmp.Or(delimiterNames[selected], selected)
	return choose(selected, []choice{
		{Value: "", Label: "Find out"},
		{Value: "comma", Label: "Comma"},
		{Value: "semicolon", Label: "Semicolon"},
		{Value: "tab", Label: "Tab"},
		{Value: "pipe", Label: "Pipe"},
	})
}

// choose selects a choice, and adds it if it is not among the usual ones.
func choose(selected string, choices []choice) []choice {
	found := false
	for i := range choices {
		choices[i].Selected = choices[i].Value == selected
		found = found || choices[i].Selected
	}
	if !found {
		choices = append(choices, choice{Value: selected, Label: selected, Selected: true})
	}
	return choices
}

// importAgain checks the file of an import once more, read as the form says.
func (s *Site) importAgain(c *gin.Context, admin *roster.User) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), againTimeout)
	defer cancel()
	id, err := importID(c)
	if err != nil {
		return err
	}
	form, err := readForm(c)
	if err != nil {
		return err
	}
	i, err := s.Store.Import(ctx, id)
	if err != nil {
		return err
	}
	if i.Status != roster.Ready && i.Status != roster.Failed {
		return storage.ErrWrongState
	}
	options, err := readOptions(i.Options, form)
	if err != nil {
		const text = "Nothing has changed: one column of the file cannot be two of ours, and every choice must be one we offer."
		if i.Status == roster.Failed {
			return s.showUnusable(c, http.StatusUnprocessableEntity, admin, i, text)
		}
		return s.showPreview(c, http.StatusUnprocessableEntity, admin, i, text)
	}
	next, dispatch, err := s.Store.ImportAgain(ctx, id, options, entry(c, admin))
	if err != nil {
		return err
	}
	s.ring(c, next.ID, dispatch)
	s.awaitWork(ctx, next.ID)
	seeOther(c, importPath(next.ID))
	return nil
}

// errBadOptions is a form with options that nobody can obey.
var errBadOptions = errors.New("options cannot be obeyed")

// readOptions changes options as a form says.
func readOptions(o roster.Options, form url.Values) (roster.Options, error) {
	if form.Has(fieldEncoding) {
		o.Encoding = strings.ToLower(form.Get(fieldEncoding))
	}
	if form.Has(fieldDelimiter) {
		o.Delimiter = form.Get(fieldDelimiter)
	}
	if form.Has(fieldInvitations) {
		o.SendInvitations = form.Get(fieldInvitations) == "true"
	}
	if form.Has(fieldOnDuplicate) {
		on, ok := roster.ParseOnDuplicate(form.Get(fieldOnDuplicate))
		if !ok {
			return o, errBadOptions
		}
		o.OnDuplicate = on
	}
	if intake.CheckOptions(o) != nil {
		return o, errBadOptions
	}
	var err error
	o.Mapping, err = readMapping(o.Mapping, form)
	return o, err
}

// readMapping changes where our columns are found; nil is by name.
func readMapping(before map[string]string, form url.Values) (map[string]string, error) {
	mapping, taken := map[string]string{}, map[string]bool{}
	for _, column := range roster.Columns {
		header := before[string(column)]
		if field := fieldMapping + string(column); form.Has(field) {
			header = strings.TrimSpace(form.Get(field))
		}
		if header == "" {
			continue
		}
		if taken[header] {
			return nil, errBadOptions
		}
		mapping[string(column)], taken[header] = header, true
	}
	if len(mapping) == 0 {
		return nil, nil
	}
	return mapping, nil
}
