package web

import (
	"fmt"
	"strconv"
	"strings"

	"rollcall/roster"
)

// note is a warning about a file as pages show it.
type note struct {
	Text   string
	Sample string // a value of the file as an example, "" for none
	Advice string // what to do, "" if Text says it
	Row    int64  // the first row it is about, 0 for none
	Path   string // of the page with that row, "" for none
}

// newNote turns a warning into the text of the page. settings tells whether the
// page has the form with the file settings.
func newNote(w roster.Warning, settings bool) note {
	n := note{Text: w.Message, Sample: w.Sample}
	if len(w.FirstRows) > 0 && w.Code != roster.WarnRepeatedHeader { // which is not about a data row
		n.Row = w.FirstRows[0]
	}
	switch {
	case w.Code == roster.WarnUnknownColumns && len(w.Mapping) > 0:
		n.Text = unusedColumns(w, settings)
	case w.Code == roster.WarnReadAs:
		n.Text = "The file was read as " + w.Encoding + ", which was detected automatically."
		if settings {
			n.Advice = "If this looks wrong, select the encoding under “File settings”."
		}
	case w.Code == roster.WarnDoubleEncoded:
		n.Text = counted(w.Rows, "row has", "rows have") + " text that was encoded twice."
	}
	return n
}

// unusedColumns rephrases for people what the warning tells programs.
func unusedColumns(w roster.Warning, settings bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "These columns are not used: %s.", strings.Join(w.Columns, ", "))
	if !settings {
		return b.String()
	}
	for _, column := range roster.Columns {
		if h, ok := w.Mapping[column]; ok {
			fmt.Fprintf(&b, " If “%s” contains the %s, select it under “File settings”.", h, column)
		}
	}
	return b.String()
}

// Notes are the warnings that no suggestion covers.
func (v previewView) Notes() []note {
	var notes []note
	for _, w := range v.Warnings {
		encoding := w.Code == roster.WarnLikelyEncoding || w.Code == roster.WarnMixedEncodings || w.Code == roster.WarnDoubleEncoded
		if encoding && v.hinted(fieldEncoding) || w.Code == roster.WarnOtherSheets && v.hinted(fieldSheet) {
			continue
		}
		n := newNote(w, v.FileSettings.Import != nil)
		if n.Row > 0 {
			n.Path = pathWith(importPath(v.ID), "row", strconv.FormatInt(n.Row, 10)) + "#rows"
		}
		notes = append(notes, n)
	}
	return notes
}

func (v previewView) hinted(field string) bool {
	for _, h := range v.Hints {
		if h.Field == field {
			return true
		}
	}
	return false
}

// Notes are the warnings about the file.
func (v importView) Notes() []note {
	notes := make([]note, len(v.Warnings))
	for k, w := range v.Warnings {
		notes[k] = newNote(w, false)
	}
	return notes
}
