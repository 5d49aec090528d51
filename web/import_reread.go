package web

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
	"rollcall/userfile"
)

// Fields that change how a file is read; a form may leave out any of them to
// keep the current setting.
const (
	fieldEncoding    = "encoding"
	fieldDelimiter   = "delimiter"
	fieldOnDuplicate = "on_duplicate"
	fieldInvitations = "send_invitations"
	fieldSheet       = "sheet"
	fieldHeaderRow   = "header_row"
	fieldMapping     = "map_"       // and the name of our column
	fieldSecondName  = "map_name_2" // the second column of a name in two
)

// rereadTimeout bounds the copy of a file within the database.
const rereadTimeout = time.Minute

// fileSettingsView is the form that changes how a file is read.
type fileSettingsView struct {
	Import     *roster.Import // nil: no form, because the file belongs to another user or is gone
	Encodings  []choice       // none for a workbook, and no delimiters
	Delimiters []choice
	Sheets     []choice       // of a workbook
	Columns    []columnChoice // none if the header row cannot be read
}

// choice is one option of a select element.
type choice struct {
	Value, Label string
	Selected     bool
}

// columnChoice selects the header that one of our columns is read from.
type columnChoice struct {
	Column  roster.Column
	Missing bool // required, and not found with the current settings
	Guessed bool // the selected header is a suggestion
	Headers []choice
	Second  []choice // of a name in two columns, the second; nil for other columns
}

// Update reports whether existing users are to be updated.
func (v fileSettingsView) Update() bool {
	return v.Import.Options.OnDuplicate == roster.UpdateDuplicates
}

// FullRoster reports whether users who are missing from the file are disabled,
// for which existing users must be updated.
func (v fileSettingsView) FullRoster() bool { return v.Import.Options.Missing == roster.MissingDisable }

// Needed reports whether the import can only go on once columns are chosen.
func (v fileSettingsView) Needed() bool {
	return slices.ContainsFunc(v.Columns, func(c columnChoice) bool { return c.Missing })
}

// createdBy reports whether an import is the user's own. Only its owner may
// read a file again with other settings.
func createdBy(i *roster.Import, u *roster.User) bool { return i.CreatedBy.Key() == actor(u).Key() }

// newFileSettings builds the form for a file with this header row.
func newFileSettings(i *roster.Import, header []string) fileSettingsView {
	v := fileSettingsView{Import: i}
	if i.Workbook != nil {
		v.Sheets = sheets(i)
	} else {
		v.Encodings, v.Delimiters = encodings(i.Options.Encoding), delimiters(i.Options.Delimiter)
	}
	if len(header) == 0 {
		return v
	}
	suggested := map[string]bool{}
	for _, column := range i.Options.Columns() {
		v.Columns = append(v.Columns, newColumnChoice(column, header, i.Options.Mapping[string(column)], suggested))
	}
	return v
}

// newColumnChoice selects the header that is mapped, found by name or likely to
// match. No header is suggested for two columns.
func newColumnChoice(column roster.Column, header []string, mapped string, suggested map[string]bool) columnChoice {
	c := columnChoice{Column: column}
	byName, automatic := false, ""
	for _, h := range header {
		if !byName && named(column, h) {
			byName, automatic = true, roster.TruncateValue(strings.TrimSpace(h))
		}
	}
	selected := mapped
	if mapped == "" && !byName {
		c.Missing = column.Required()
		if selected, c.Guessed = userfile.Suggest(column, header); suggested[selected] {
			selected, c.Guessed = "", false
		}
		suggested[selected] = true
	}
	label := "Not in this file"
	if byName {
		label = "Automatic (" + automatic + ")"
	}
	first, second := selected, ""
	if parts := roster.Headers(selected).List(); len(parts) == 2 {
		first, second = parts[0], parts[1]
	}
	c.Headers = headerChoices(header, label, first)
	if column == roster.ColumnName {
		c.Second = headerChoices(header, "None", second)
	}
	return c
}

// headerChoices lists the headers of a file after a first choice that selects
// none.
func headerChoices(header []string, none, selected string) []choice {
	choices := []choice{{Label: none}}
	if parts := roster.Headers(selected); len(parts.List()) > 1 { // more columns than the form has places for
		choices = append(choices, choice{Value: selected, Label: parts.String(), Selected: true})
	}
	seen := map[string]bool{}
	for _, h := range header {
		h = roster.TruncateValue(strings.TrimSpace(h))
		if h == "" || seen[h] {
			continue
		}
		seen[h] = true
		choices = append(choices, choice{Value: h, Label: h, Selected: h == selected})
	}
	return choices
}

// named reports whether a header is the name of a column, compared as package
// userfile compares them.
func named(column roster.Column, header string) bool {
	return strings.ReplaceAll(tabular.NormalizeHeader(header), "_", "") == string(column)
}

// sheets lists the sheets of a workbook. The one that was read is selected.
func sheets(i *roster.Import) []choice {
	choices := []choice{{Label: "First visible sheet with values"}}
	for _, sheet := range i.Workbook.Sheets {
		label := sheet.Name
		if sheet.Hidden {
			label += " (hidden)"
		}
		choices = append(choices, choice{Value: sheet.Name, Label: label, Selected: sheet.Name == i.Workbook.Sheet})
	}
	return choices
}

// encodings lists the supported encodings, the default first.
func encodings(selected string) []choice {
	return choose(selected, []choice{
		{Value: "", Label: "UTF-8 (default)"},
		{Value: "auto", Label: "Detect automatically"},
		{Value: "windows-1252", Label: "Windows, Western Europe (windows-1252)"},
		{Value: "windows-1250", Label: "Windows, Central Europe (windows-1250)"},
		{Value: "windows-1251", Label: "Windows, Cyrillic (windows-1251)"},
		{Value: "iso-8859-1", Label: "Latin 1 (iso-8859-1)"},
		{Value: "macintosh", Label: "Old Mac (macintosh)"},
		{Value: "utf-16", Label: "Unicode text from Excel (utf-16)"},
	})
}

// delimiterNames maps delimiters to the names that people and forms use.
var delimiterNames = map[string]string{",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}

// delimiters are the characters that may separate cells.
func delimiters(selected string) []choice {
	selected = cmp.Or(delimiterNames[selected], selected)
	return choose(selected, []choice{
		{Value: "", Label: "Detect automatically"},
		{Value: "comma", Label: "Comma"},
		{Value: "semicolon", Label: "Semicolon"},
		{Value: "tab", Label: "Tab"},
		{Value: "pipe", Label: "Pipe"},
	})
}

// choose selects a value, and adds it if it is not among the choices.
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

// rereadImport checks the file of an import again with the settings of the
// form.
func (s *Site) rereadImport(c *gin.Context, admin *roster.User) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), rereadTimeout)
	defer cancel()
	id, err := importID(c)
	if err != nil {
		return err
	}
	form, err := readForm(c)
	if err != nil {
		return err
	}
	i, err := s.deps.Store.Import(ctx, id)
	if err != nil {
		return err
	}
	if i.Status != roster.Ready && i.Status != roster.Held && i.Status != roster.Failed {
		return storage.ErrWrongState
	}
	options, err := readOptions(i.Options, form)
	if err != nil {
		const text = "Nothing was changed. Each column of the file can be used only once, every setting must be one of the options shown, and the header row must be a number from 1 to 1000."
		return s.showAgain(c, admin, i, text)
	}
	options.Attributes = s.deps.Attributes
	return s.reread(c, ctx, admin, id, options)
}

// reread checks the file of an import again and leads to the new import.
func (s *Site) reread(c *gin.Context, ctx context.Context, admin *roster.User, id uuid.UUID, options roster.Options) error {
	next, dispatch, err := s.deps.Store.RereadImport(ctx, id, options, entry(c, admin))
	if err != nil {
		return err
	}
	s.enqueue(c, next.ID, dispatch)
	s.awaitWork(ctx, next.ID)
	seeOther(c, importPath(next.ID))
	return nil
}

// errBadOptions is returned for a form with invalid options.
var errBadOptions = errors.New("invalid options")

// readOptions applies the fields of a form to options.
func readOptions(o roster.Options, form url.Values) (roster.Options, error) {
	if form.Has(fieldEncoding) {
		o.Encoding = strings.ToLower(form.Get(fieldEncoding))
	}
	if form.Has(fieldDelimiter) {
		o.Delimiter = form.Get(fieldDelimiter)
	}
	if form.Has(fieldSheet) {
		if o.Sheet = form.Get(fieldSheet); len(o.Sheet) > roster.MaxSheetName {
			return o, errBadOptions
		}
	}
	if form.Has(fieldHeaderRow) {
		var err error
		if o.HeaderRow, err = readHeaderRow(form.Get(fieldHeaderRow)); err != nil {
			return o, err
		}
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
	if o.Missing == roster.MissingDisable && o.OnDuplicate != roster.UpdateDuplicates {
		return o, errBadOptions
	}
	if userfile.CheckOptions(o) != nil {
		return o, errBadOptions
	}
	mapping, err := readMapping(o.Mapping, o.Columns(), form)
	if err != nil {
		return o, err
	}
	if !maps.Equal(mapping, o.Mapping) {
		o.Profile = "" // it is no longer the profile's
	}
	o.Mapping = mapping
	o.ValueMap, err = readRoles(o.ValueMap, form)
	return o, err
}

// readHeaderRow reads the number of a row; blank is 0, the first one that isn't blank.
func readHeaderRow(text string) (int64, error) {
	if text = strings.TrimSpace(text); text == "" {
		return 0, nil
	}
	row, err := strconv.ParseInt(text, 10, 64)
	if err != nil || row < 1 || row > roster.MaxHeaderRow {
		return 0, errBadOptions
	}
	return row, nil
}

// readMapping changes which headers our columns are read from; nil means by
// name.
func readMapping(before map[string]string, columns []roster.Column, form url.Values) (map[string]string, error) {
	mapping, taken := map[string]string{}, map[string]bool{}
	for _, column := range columns {
		header := before[string(column)]
		if field := fieldMapping + string(column); form.Has(field) {
			header = strings.TrimSpace(form.Get(field))
			if second := strings.TrimSpace(form.Get(fieldSecondName)); second != "" && column == roster.ColumnName {
				header = string(roster.JoinHeaders(cmp.Or(header, string(column)), second))
			}
		}
		if header == "" {
			continue
		}
		for _, part := range roster.Headers(header).List() {
			if taken[part] {
				return nil, errBadOptions
			}
			taken[part] = true
		}
		mapping[string(column)] = header
	}
	if len(mapping) == 0 {
		return nil, nil
	}
	return mapping, nil
}
