package report_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"rollcall/roster"
)

// results returns the results of an import, with user names instead of IDs, and
// checks that every ID is a user's.
func (o *testEnv) results(id uuid.UUID) []string {
	o.Helper()
	var b bytes.Buffer
	o.must(o.WriteResults(o.Context(), &b, id))
	if !strings.HasPrefix(b.String(), "\ufeffrow,") {
		o.Errorf("the results begin with %.10q", b.String())
	}
	var lines []string
	for _, rec := range records(o, b.String()) {
		if user, err := uuid.Parse(rec[4]); err == nil {
			u, err := o.store.User(o.Context(), user)
			o.must(err)
			rec[4] = u.Name
		}
		lines = append(lines, strings.Join(rec, ","))
	}
	return lines
}

const resultsHeader = "row,line,email,status,user_id,error_code"

func TestWriteResults(t *testing.T) {
	t.Parallel()
	const file = "email,name\nada@example.com,Ada\n\n=bob@example.com,\"B\nob\"\nCY@example.com,Cy\nada@example.com,Ann\ndee@example.com,Dee\n"
	for name, test := range map[string]struct {
		prepare func(o *testEnv) uuid.UUID
		want    []string
	}{
		"everyone in": {
			func(o *testEnv) uuid.UUID { return o.run(file, roster.Options{}) },
			[]string{"2,2,ada@example.com,imported,Ada,", "4,4,'=bob@example.com,failed,,malformed_row", "5,6,CY@example.com,imported,Cy,",
				"6,7,ada@example.com,failed,,duplicate_email", "7,8,dee@example.com,imported,Dee,"},
		},
		"some updated": {
			func(o *testEnv) uuid.UUID {
				o.run("email,name\ncy@example.com,Old\n", roster.Options{})
				return o.run(file, roster.Options{OnDuplicate: roster.UpdateDuplicates})
			},
			[]string{"2,2,ada@example.com,imported,Ada,", "4,4,'=bob@example.com,failed,,malformed_row", "5,6,CY@example.com,updated,Cy,",
				"6,7,ada@example.com,failed,,duplicate_email", "7,8,dee@example.com,imported,Dee,"},
		},
		"some right already": {
			func(o *testEnv) uuid.UUID {
				o.run("email,name\ncy@example.com,Cy\n", roster.Options{})
				return o.run(file, roster.Options{OnDuplicate: roster.UpdateDuplicates})
			},
			[]string{"2,2,ada@example.com,imported,Ada,", "4,4,'=bob@example.com,failed,,malformed_row", "5,6,CY@example.com,unchanged,Cy,",
				"6,7,ada@example.com,failed,,duplicate_email", "7,8,dee@example.com,imported,Dee,"},
		},
		"one taken between check and import": {
			func(o *testEnv) uuid.UUID {
				id := o.receive(file, roster.Options{})
				c := o.claim(id)
				o.checkSome(c, -1)
				o.run("email,name\ncy@example.com,Old\n", roster.Options{})
				o.applySome(c, -1)
				return id
			},
			[]string{"2,2,ada@example.com,imported,Ada,", "4,4,'=bob@example.com,failed,,malformed_row", "5,6,CY@example.com,failed,,duplicate_email",
				"6,7,ada@example.com,failed,,duplicate_email", "7,8,dee@example.com,imported,Dee,"},
		},
		"canceled after two rows": {
			func(o *testEnv) uuid.UUID {
				o.batch = 2
				id := o.receive(file, roster.Options{})
				c := o.claim(id)
				o.checkSome(c, -1)
				o.applySome(c, 1)
				o.must(o.store.CancelImport(o.Context(), id, entry))
				return id
			},
			[]string{"2,2,ada@example.com,imported,Ada,", "4,4,'=bob@example.com,failed,,malformed_row", "5,6,CY@example.com,unprocessed,,",
				"6,7,ada@example.com,failed,,duplicate_email", "7,8,dee@example.com,unprocessed,,"},
		},
		"canceled in the check": {
			func(o *testEnv) uuid.UUID {
				o.batch = 2
				id := o.receive(file, roster.Options{})
				o.checkSome(o.claim(id), 2)
				o.must(o.store.CancelImport(o.Context(), id, entry))
				return id
			},
			[]string{"2,2,ada@example.com,unprocessed,,", "4,4,'=bob@example.com,failed,,malformed_row", "5,6,CY@example.com,unprocessed,,",
				"6,7,ada@example.com,failed,,duplicate_email", "7,8,dee@example.com,unprocessed,,"},
		},
		"users gone, one come again": {
			func(o *testEnv) uuid.UUID {
				id := o.run(file, roster.Options{})
				o.sql(`DELETE FROM invitations`)
				o.sql(`DELETE FROM users`)
				o.run("email,name\ncy@example.com,New\n", roster.Options{})
				return id
			},
			[]string{"2,2,ada@example.com,imported,,", "4,4,'=bob@example.com,failed,,malformed_row", "5,6,CY@example.com,imported,,",
				"6,7,ada@example.com,failed,,duplicate_email", "7,8,dee@example.com,imported,,"},
		},
		"failed for too many rows": {
			func(o *testEnv) uuid.UUID {
				o.batch = 2
				id := o.receive(file, roster.Options{})
				c := o.claim(id)
				o.checkSome(c, 1)
				o.must(o.store.FailImport(o.Context(), c, roster.Failure{Code: roster.TooManyRows, Message: "Too many."}))
				return id
			},
			[]string{"2,2,ada@example.com,unprocessed,,", "4,4,'=bob@example.com,failed,,malformed_row", "5,6,CY@example.com,unprocessed,,",
				"6,7,ada@example.com,unprocessed,,", "7,8,dee@example.com,unprocessed,,"},
		},
		"no file to speak of": {func(o *testEnv) uuid.UUID { return o.run("\n", roster.Options{}) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newTestEnv(t)
			got := o.results(test.prepare(o))
			if diff := cmp.Diff(append([]string{resultsHeader}, test.want...), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWriteResultsOverBatches shows that no row is lost or repeated where one
// batch of look-ups ends and the next begins.
func TestWriteResultsOverBatches(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	const rows = 12_345
	var file strings.Builder
	want := []string{resultsHeader}
	file.WriteString("email,name\n")
	for i := range rows {
		if i%100 == 7 {
			fmt.Fprintf(&file, "u%d@example.com,\n", i)
			want = append(want, fmt.Sprintf("%d,%d,u%d@example.com,failed,,missing_required_field", i+2, i+2, i))
			continue
		}
		fmt.Fprintf(&file, "u%d@example.com,U\n", i)
		want = append(want, fmt.Sprintf("%d,%d,u%d@example.com,imported,ID,", i+2, i+2, i))
	}
	var b bytes.Buffer
	o.must(o.WriteResults(t.Context(), &b, o.run(file.String(), roster.Options{})))
	var got []string
	ids := map[string]bool{}
	for i, rec := range records(t, b.String()) {
		if i > 0 && rec[4] != "" {
			ids[rec[4]] = true
			rec[4] = "ID"
		}
		got = append(got, strings.Join(rec, ","))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if wanted := rows - (rows+92)/100; len(ids) != wanted {
		t.Errorf("%d different ids, want %d", len(ids), wanted)
	}
}
