package jobs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall/jobs/importer"
	"rollcall/roster"
)

// people are the users of the installation, as key=address, those without a key as
// =address.
func (h *testEnv) people() []string {
	h.Helper()
	rows, err := h.store.DB().QueryContext(h.Context(), `
		SELECT COALESCE(k.external_id, '') || '=' || split_part(u.email_key, '@', 1) FROM users u
		  LEFT JOIN external_ids k ON k.user_id = u.id AND k.source = 'default'`)
	if err != nil {
		h.Fatal(err)
	}
	defer rows.Close()
	var people []string
	for rows.Next() {
		var p string
		if err := rows.Scan(&p); err != nil {
			h.Fatal(err)
		}
		people = append(people, p)
	}
	slices.Sort(people)
	return people
}

// keyed is a file of rows written as key=address.
func keyed(rows ...string) string {
	var file strings.Builder
	file.WriteString("external_id,email,name\n")
	for _, row := range rows {
		key, address, _ := strings.Cut(row, "=")
		fmt.Fprintf(&file, "%s,%s@example.com,N\n", key, address)
	}
	return file.String()
}

func TestExternalIDs(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	update := roster.Options{OnDuplicate: roster.UpdateDuplicates}
	for name, c := range map[string]struct {
		before, file []string
		options      roster.Options
		want         []string
		errors       []string
	}{
		"new people":                {nil, []string{"007=a", "7=b", "=c"}, update, []string{"007=a", "7=b", "=c"}, nil},
		"a key is set":              {[]string{"=a"}, []string{"1=a"}, update, []string{"1=a"}, nil},
		"a new address":             {[]string{"1=a"}, []string{"1=b"}, update, []string{"1=b"}, nil},
		"a recycled address":        {[]string{"1=a"}, []string{"2=a"}, update, []string{"1=a"}, []string{"2 duplicate_external_id"}},
		"recycled, the old one out": {[]string{"1=a"}, []string{"2=a", "1=b"}, update, []string{"1=b", "2=a"}, nil},
		"the old one out first":     {[]string{"1=a"}, []string{"1=b", "2=a"}, update, []string{"1=b", "2=a"}, nil},
		"a swap":                    {[]string{"1=a", "2=b"}, []string{"1=b", "2=a"}, update, []string{"1=b", "2=a"}, nil},
		"a chain":                   {[]string{"1=a", "2=b", "3=c"}, []string{"1=b", "2=c", "3=d"}, update, []string{"1=b", "2=c", "3=d"}, nil},
		"a chain, last first":       {[]string{"1=a", "2=b", "3=c"}, []string{"3=d", "2=c", "1=b"}, update, []string{"1=b", "2=c", "3=d"}, nil},
		"a cycle of three":          {[]string{"1=a", "2=b", "3=c"}, []string{"1=b", "2=c", "3=a"}, update, []string{"1=b", "2=c", "3=a"}, nil},
		"to an address just freed":  {[]string{"1=a", "2=b"}, []string{"2=c", "1=b", "3=a"}, update, []string{"1=b", "2=c", "3=a"}, nil},
		"twice, by address first":   {[]string{"1=a"}, []string{"=a", "1=b"}, update, []string{"1=a"}, []string{"3 duplicate_external_id"}},
		"twice, by key first":       {[]string{"1=a"}, []string{"1=b", "=a"}, update, []string{"1=b"}, []string{"3 duplicate_external_id"}},
		"a broken chain": {[]string{"1=a", "2=b", "3=c"}, []string{"1=b", "2=c"}, update, []string{"1=a", "2=b", "3=c"},
			[]string{"2 duplicate_external_id", "3 duplicate_external_id"}},
		"an address of one without a key": {[]string{"1=a", "=b"}, []string{"1=b"}, update, []string{"1=a", "=b"}, []string{"2 duplicate_email"}},
		"a key twice":                     {nil, []string{"1=a", "1=b", "2=c"}, update, []string{"1=a", "2=c"}, []string{"3 duplicate_external_id"}},
		"without a key, by address":       {[]string{"1=a"}, []string{"=a", "2=b"}, update, []string{"1=a", "2=b"}, nil},
		"skipped":                         {[]string{"1=a"}, []string{"1=b", "2=a", "3=c"}, roster.Options{}, []string{"1=a", "3=c"}, []string{"2 duplicate_email", "3 duplicate_external_id"}},
		"too long": {nil, []string{strings.Repeat("x", 129) + "=a", "a\u200bb=b", "=c"}, update, []string{"=c"},
			[]string{"2 value_too_long", "3 malformed_row"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &testEnv{t, h.url, h.store, h.meter, h.counted}
			for _, batch := range []int{1, 2, 100} {
				h.empty()
				im := h.importer(importer.Config{BatchRows: batch})
				h.run(im, h.upload(keyed(c.before...), update).ID)
				i := h.run(im, h.upload(keyed(c.file...), c.options).ID)
				if got := h.people(); i.Status != roster.Completed || !slices.Equal(got, c.want) {
					t.Errorf("batches of %d: %s, %v; want %v", batch, i.Status, got, c.want)
				}
				refusals, err := h.store.RowErrors(t.Context(), i.ID, 0, 100)
				if err != nil {
					t.Fatal(err)
				}
				var errors []string
				for _, r := range refusals {
					errors = append(errors, fmt.Sprint(r.Row, " ", r.Reason()))
				}
				if !slices.Equal(errors, c.errors) {
					t.Errorf("batches of %d: %v; want %v", batch, errors, c.errors)
				}
				if p := i.Plan; p.Create != i.Imported || p.Update != i.Updated || p.Unchanged != i.Unchanged || i.Valid != p.Create+p.Update+p.Unchanged {
					t.Errorf("batches of %d: planned %+v of %d, got %+v", batch, p, i.Valid, i.Counts)
				}
			}
		})
	}
}
