package web

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
	"rollcall/userfile"
)

// suggestion is a problem of a file that one click can solve: the file is read
// again with one option changed.
type suggestion struct {
	Text         string
	Sample       string // a value of the file as an example, "" for none
	Button       string // "": there is nothing to click
	Field, Value string // the option
}

// unusableView shows why a whole file could not be used, and what may fix that.
type unusableView struct {
	*roster.Import
	Problem      string // why the last attempt to read it with other settings failed
	Hints        []suggestion
	FileSettings fileSettingsView
	Profile      profileView
	Related      storage.RelatedImports

	header []string // the first row, nil if it cannot be read
}

func (v unusableView) pageMeta() pageMeta {
	return pageMeta{Template: "import_suggestions", Title: "Import of " + v.Filename, Section: sectionImports}
}

// Headerless reports whether the first row holds a person instead of column
// names.
func (v unusableView) Headerless() bool {
	return slices.ContainsFunc(v.header, func(h string) bool {
		_, err := roster.EmailKey(strings.TrimSpace(h))
		return err == nil
	})
}

// Columnless reports whether the file failed because a column is missing.
func (v unusableView) Columnless() bool {
	return v.Failure.Code == roster.MissingColumn && len(v.FileSettings.Columns) > 0
}

// ColumnsMatter reports whether choosing columns may help: there are at least
// two, and they are not the values of a person.
func (v unusableView) ColumnsMatter() bool {
	return v.Columnless() && len(v.Hints) == 0 && len(v.header) > 1 && !v.Headerless()
}

// SettingsMatter reports whether choosing a sheet may help.
func (v unusableView) SettingsMatter() bool {
	code := v.Failure.Code
	return len(v.FileSettings.Sheets) > 1 && (code == roster.MissingSheet || code == roster.EmptyFile)
}

// Reason says why the file cannot be used: the result of the check, unless the
// form or a suggestion on the page says it better.
func (v unusableView) Reason() string {
	if v.ColumnsMatter() || v.Columnless() && len(v.Hints) > 0 {
		return "Some required columns weren't found."
	}
	return v.Failure.Message
}

// showUnusable shows why a file could not be used.
func (s *Site) showUnusable(c *gin.Context, status int, admin *roster.User, i *roster.Import, problem string) (err error) {
	ctx := c.Request.Context()
	v := unusableView{Import: i, Problem: problem}
	if v.Related, err = s.deps.Store.RelatedImports(ctx, i.ID); err != nil {
		return err
	}
	if createdBy(i, admin) && !i.Purged() {
		if v.header, err = s.header(ctx, i); err != nil {
			return err
		}
		v.FileSettings, v.Hints = newFileSettings(i, v.header), unusableHints(i)
		if i.Failure.Code == roster.MissingColumn && len(v.Hints) == 0 && !v.ColumnsMatter() {
			v.Hints = otherSheets(i) // the one that was read is no list
		}
		if v.Profile, err = s.newProfileView(c, i, v.header); err != nil {
			return err
		}
	}
	return s.show(c, status, admin, v)
}

// header reads the header row of a file, nil if it cannot be read.
func (s *Site) header(ctx context.Context, i *roster.Import) ([]string, error) {
	if i.Workbook != nil && !i.Workbook.Converted {
		return nil, nil
	}
	options := tabular.Options{Encoding: i.Options.Encoding, Delimiter: i.Options.Delimiter, HeaderRow: i.Options.HeaderRow, Sheet: i.IsSheet()}
	var unusable *tabular.FileError
	reader, err := tabular.Open(s.deps.Store.OpenRows(ctx, i, 0), options)
	if errors.As(err, &unusable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	record, err := reader.Next()
	for err == nil && record.Row < i.Options.HeaderRow {
		record, err = reader.Next()
	}
	if err == io.EOF || err == nil && record.Fault != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	header := make([]string, len(record.Cells))
	for k, cell := range record.Cells {
		header[k] = string(cell)
	}
	return header, nil
}

// unusableHints suggests how to read a file that could not be read or lacks a
// column, based on the result of the check.
func unusableHints(i *roster.Import) []suggestion {
	f := i.Failure
	switch {
	case f.Encoding != "":
		return encodingHint("", f.Encoding, i.Options.Encoding)
	case f.Delimiter != "":
		name := delimiterNames[f.Delimiter]
		return []suggestion{{Text: "This file seems to use a " + name + " as its delimiter.", Button: "Use " + name, Field: fieldDelimiter, Value: name}}
	case f.HeaderRow > 0:
		row := strconv.FormatInt(f.HeaderRow, 10)
		return []suggestion{{Text: "The column names seem to be in row " + row + ".", Button: "Use row " + row + " as the header", Field: fieldHeaderRow, Value: row}}
	}
	return nil
}

// previewHints suggests what to fix before the import.
func (s *Site) previewHints(ctx context.Context, i *roster.Import) (hints []suggestion, err error) {
	refused := map[roster.Code]int64{}
	if i.Failed > 0 {
		reasons, err := s.deps.Store.CountRowErrors(ctx, i.ID)
		if err != nil {
			return nil, err
		}
		for _, r := range reasons {
			refused[r.Reason] = r.Rows
		}
	}
	if n := refused[roster.EncodingError]; n > 0 {
		hints = encodingOfRows(i, counted(n, "row is", "rows are")+" not valid in the selected encoding.")
	}
	hints = append(append(hints, doubleEncoded(i)...), otherSheets(i)...)
	switch n := refused[roster.DuplicateEmail]; {
	case i.Options.Missing == roster.MissingDisable: // which requires it
	case i.Options.OnDuplicate == roster.UpdateDuplicates:
		hints = append(hints, suggestion{
			Text:   "Existing accounts will be updated with the name, role and department from the file.",
			Button: "Skip existing accounts instead", Field: fieldOnDuplicate, Value: string(roster.SkipDuplicates),
		})
	case n > 0:
		hints = append(hints, suggestion{
			Text:   counted(n, "row has an email address that already exists or appears", "rows have an email address that already exists or appears") + " earlier in the file. Existing accounts won't be changed.",
			Button: "Update existing accounts instead", Field: fieldOnDuplicate, Value: string(roster.UpdateDuplicates),
		})
	}
	return hints, nil
}

// otherSheets offers the other visible sheets of a workbook if none was chosen.
func otherSheets(i *roster.Import) (hints []suggestion) {
	if !slices.ContainsFunc(i.Warnings, func(w roster.Warning) bool { return w.Code == roster.WarnOtherSheets }) || i.Workbook == nil {
		return nil
	}
	const most = 3
	text := "The sheet “" + i.Workbook.Sheet + "” was read."
	for _, sheet := range i.Workbook.Sheets {
		if sheet.Hidden || sheet.Name == i.Workbook.Sheet || len(hints) == most {
			continue
		}
		hints = append(hints, suggestion{Text: text, Button: "Use the sheet “" + sheet.Name + "”", Field: fieldSheet, Value: sheet.Name})
		text = "The workbook has more sheets."
	}
	return hints
}

// doubleEncoded offers to repair text that was encoded twice.
func doubleEncoded(i *roster.Import) []suggestion {
	k := slices.IndexFunc(i.Warnings, func(w roster.Warning) bool { return w.Code == roster.WarnDoubleEncoded })
	if k < 0 || i.Options.Encoding == i.Warnings[k].Encoding {
		return nil
	}
	n := newNote(i.Warnings[k], true)
	return []suggestion{{Text: n.Text, Sample: n.Sample, Button: "Repair the text", Field: fieldEncoding, Value: i.Warnings[k].Encoding}}
}

// encodingOfRows suggests an encoding for rows that are not valid text, based
// on the warnings of the check.
func encodingOfRows(i *roster.Import, text string) []suggestion {
	for _, w := range i.Warnings {
		switch w.Code {
		case roster.WarnMixedEncodings:
			return []suggestion{{Text: text + " The rest of the file is fine, so changing the encoding won't help; fix these rows individually.", Field: fieldEncoding}}
		case roster.WarnLikelyEncoding:
			return encodingHint(text, w.Encoding, i.Options.Encoding)
		}
	}
	return nil
}

// encodingHint offers to read a file in the likely encoding, if that differs
// from the current one and is supported.
func encodingHint(text, likely, now string) []suggestion {
	if likely == "" || likely == "utf-8" && now == "" || likely == now ||
		userfile.CheckOptions(roster.Options{Encoding: likely}) != nil {
		return nil
	}
	if text != "" {
		text += " "
	}
	return []suggestion{{Text: text + "The file seems to be " + likely + ".", Button: "Use " + likely, Field: fieldEncoding, Value: likely}}
}
