package jobs_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall/jobs/importer"
	"rollcall/report"
	"rollcall/roster"
)

// TestUnfixedDuplicates: a row that failed because an earlier row of its file has
// its address or key fails again when only the error report is uploaded, whatever
// became of the earlier one, until it is fixed.
func TestUnfixedDuplicates(t *testing.T) {
	t.Parallel()
	const (
		plain = "email,name\nann@x.example,Ann Lee\nANN@x.example,Anna Leigh\n"
		keyed = "external_id,email,name\n7,ann@x.example,Ann Lee\n7,bea@x.example,Bea\n"
		twice = "email,name,role\nann@x.example,Ann Lee,\nann@x.example,Anna Leigh,boss\n"
	)
	skip, update := roster.Options{}, roster.Options{OnDuplicate: roster.UpdateDuplicates}
	h := newTestEnv(t)
	for name, c := range map[string]struct {
		file    string
		dry     bool // the first import is a dry run
		before  string
		replace []string
		again   roster.Options
		want    string // imported, updated, failed
	}{
		"the first is in, skip":            {plain, false, "", nil, skip, "0 0 1"},
		"the first is in, update":          {plain, false, "", nil, update, "0 0 1"},
		"the first is not in, skip":        {plain, true, "", nil, skip, "0 0 1"},
		"the first is not in, update":      {plain, true, "", nil, update, "0 0 1"},
		"the first was there, skip":        {plain, false, "email,name\nann@x.example,A\n", nil, skip, "0 0 2"},
		"the first was there, update":      {plain, false, "email,name\nann@x.example,A\n", nil, update, "0 1 1"},
		"a key, update":                    {keyed, false, "", nil, update, "0 0 1"},
		"a key, skip":                      {keyed, true, "", nil, skip, "0 0 1"},
		"beside another problem":           {twice, false, "", []string{",boss,", ",user,"}, update, "0 0 1"},
		"another address":                  {plain, false, "", []string{"ANN@", "anna@"}, skip, "1 0 0"},
		"another address, replaced in all": {plain, true, "", []string{"ANN@x.example", "anna@x.example"}, update, "1 0 0"},
		"another key":                      {keyed, false, "", []string{"\n7,bea", "\n8,bea"}, update, "1 0 0"},
		"the code is emptied":              {plain, false, "", []string{",duplicate_email,", ",,"}, update, "0 1 0"},
	} {
		t.Run(name, func(t *testing.T) {
			h.empty()
			im := h.importer(importer.Config{})
			if c.before != "" {
				h.run(im, h.upload(c.before, skip).ID)
			}
			first := h.run(im, h.upload(c.file, roster.Options{DryRun: c.dry}).ID)
			var out bytes.Buffer
			if err := report.New(h.store).WriteErrors(t.Context(), &out, first.ID); err != nil {
				t.Fatal(err)
			}
			i := h.run(im, h.upload(strings.NewReplacer(c.replace...).Replace(out.String()), c.again).ID)
			if got := fmt.Sprint(i.Imported, i.Updated, i.Counts.Failed); got != c.want {
				t.Errorf("%s, want %s\n%s", got, c.want, out.String())
			}
		})
	}
}

// TestUnfixedDuplicatesWithoutColumns: the same, after the report's own columns were
// deleted in a spreadsheet: all but one that names the earlier row.
func TestUnfixedDuplicatesWithoutColumns(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	for name, file := range map[string]string{
		"address": "email,name\nann@x.example,Ann Lee\nANN@x.example,Anna Leigh\n",
		"key":     "external_id,email,name\n7,ann@x.example,Ann Lee\n7,bea@x.example,Bea\n",
	} {
		for _, gone := range [][]string{
			{"error_row"}, {"error_code"}, {"error_field"}, {"error_message"}, {"error_fix"},
			{"error_row", "error_code", "error_field", "error_message"}, {"error_row", "error_code", "error_field", "error_fix"},
		} {
			for _, again := range []roster.Options{{}, {OnDuplicate: roster.UpdateDuplicates}} {
				h.empty()
				im := h.importer(importer.Config{})
				first := h.run(im, h.upload(file, roster.Options{}).ID)
				var out bytes.Buffer
				if err := report.New(h.store).WriteErrors(t.Context(), &out, first.ID); err != nil {
					t.Fatal(err)
				}
				i := h.run(im, h.upload(without(t, out.String(), gone), again).ID)
				if i.Imported+i.Updated != 0 || i.Counts.Failed != 1 {
					t.Errorf("%s, without %v, %s: %+v", name, gone, again.OnDuplicate, i.Counts)
				}
			}
		}
	}
}

// without is a report without some of its columns.
func without(t *testing.T, report string, columns []string) string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(report, "\ufeff"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	header := slices.Clone(rows[0])
	for _, row := range rows {
		var kept []string
		for i, cell := range row {
			if !slices.Contains(columns, header[i]) {
				kept = append(kept, cell)
			}
		}
		w.Write(kept)
	}
	w.Flush()
	return out.String()
}
