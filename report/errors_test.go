package report_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

const bom = "\uFEFF"

// missing follows a row without a name.
const missing = `,missing_required_field,name,The name is empty.,Fill in the required value`

func TestWriteErrors(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	for name, test := range map[string]struct {
		file    string
		options roster.Options
		want    []string // lines after the byte order mark
	}{
		"nothing failed": {
			file: "email,name\nada@example.com,Ada\n",
			want: []string{"email,name,error_row,error_code,error_field,error_message,error_fix"},
		},
		"no rows": {
			file: "email,name",
			want: []string{"email,name,error_row,error_code,error_field,error_message,error_fix"},
		},
		"only failed rows, in order, numbered as in a spreadsheet": {
			file: "Name, E-Mail ,Phone\nAda,ada1@example.com,1\n\n,bob1@example.com,2\n\"Cy\nr\",cy1@example.com,3\n,dee1@example.com,4\n",
			want: []string{
				`Name," E-Mail ",Phone,error_row,error_code,error_field,error_message,error_fix`,
				`,bob1@example.com,2,4` + missing,
				"\"Cy\nr\",cy1@example.com,3,5,malformed_row,name,The name contains a line break.,Put a space in place of the line break",
				`,dee1@example.com,4,6` + missing,
			},
		},
		"guards": {
			file: "email,name,=note\na2@example.com,,=1+1\nb2@example.com,,'=1\nc2@example.com,,-\n",
			want: []string{
				`email,name,'=note,error_row,error_code,error_field,error_message,error_fix`,
				`a2@example.com,,'=1+1,2` + missing,
				`b2@example.com,,''=1,3` + missing,
				`c2@example.com,,'-,4` + missing,
			},
		},
		"an error report again": {
			file: bom + "email,name,'=note,error_row,error_code,error_field,error_message,error_fix\r\n" +
				"a3@example.com,,'=1+1,7,invalid_email,email,Old.,Old\r\n'+b3@example.com,Bo,''=1,8,x,y,z,w\r\nc3@example.com,,'plain,9,,,,\r\n",
			want: []string{
				`email,name,'=note,error_row,error_code,error_field,error_message,error_fix`,
				`a3@example.com,,'=1+1,2` + missing,
				`c3@example.com,,'plain,4` + missing,
			},
		},
		"a row of an error report cut short": {
			file: "email,name,error_row,error_code,error_field,error_message,error_fix\na3x@example.com,Al,2\n",
			want: []string{
				`email,name,error_row,error_code,error_field,error_message,error_fix`,
			},
		},
		"one column of an error report is enough": {
			file: "email,name,error_code\na3y@example.com,,'=1\n",
			want: []string{
				`email,name,error_row,error_code,error_field,error_message,error_fix`,
				`a3y@example.com,,2` + missing,
			},
		},
		"an error report with its columns moved": {
			file: "error_row,Error Code,email,error_field,error_message,name,error_fix,team\n7,x,a4@example.com,y,z,,w,'@blue\n",
			want: []string{
				`email,name,team,error_row,error_code,error_field,error_message,error_fix`,
				`a4@example.com,,'@blue,2` + missing,
			},
		},
		"too many cells": {
			file: "email,name,team\na5@example.com,Doe,Ann,,x,\n",
			want: []string{
				`email,name,team,error_row,error_code,error_field,error_message,error_fix`,
				"a5@example.com,Doe,\"Ann\n\nx [fix this cell]\",2," + `malformed_row,,"The row has 6 cells for the 3 columns email, name, team; a value that contains the delimiter must be quoted.","Correct the row's quoting or cells. Then delete ""[fix this cell]"""`,
			},
		},
		"too few cells": {
			file: "email,name,team\na6@example.com\n",
			want: []string{
				`email,name,team,error_row,error_code,error_field,error_message,error_fix`,
				`a6@example.com,,,2,malformed_row,,"The row has 1 cell; the header has 3: ""name"", ""team"" are missing.",Correct the row's quoting or cells`,
			},
		},
		"empty cells too many": {
			file: "email,name\na7@example.com,,,,\n",
			want: []string{
				`email,name,error_row,error_code,error_field,error_message,error_fix`,
				`a7@example.com,,2` + missing,
			},
		},
		"several problems": {
			file: "email,name,role\na8.example.com,,root\n",
			want: []string{
				`email,name,role,error_row,error_code,error_field,error_message,error_fix`,
				`a8.example.com,,root,2,invalid_email,email,"The address has no @; also name: The name is empty; also role: The role must be user or admin.","Check for typos, missing @, or extra spaces"`,
			},
		},
		"a repeated address": {
			file: "email,name\na9@example.com,Ann\nA9@Example.com,Ann\n",
			want: []string{
				`email,name,error_row,error_code,error_field,error_message,error_fix`,
				`A9@Example.com,Ann,3,duplicate_email,email,This address also appears in row 2 (ref. 73314e2e).,Remove the row or update the existing user instead. Row 2 has the same address (ref. 73314e2e)`,
			},
		},
		"stray quote": {
			file: "email,name\na10@example.com,Ann \"Nan\" Doe\n",
			want: []string{
				`email,name,error_row,error_code,error_field,error_message,error_fix`,
				`a10@example.com,"Ann ""Nan"" Doe [fix this cell]",2,malformed_row,,Cell 2 has a quote in the wrong place: put the whole cell in quotes and write a quote inside it twice.,"Correct the row's quoting or cells. Then delete ""[fix this cell]"""`,
			},
		},
		"semicolons": {
			file: "email;name;note\na11@example.com;;1,5\nb11@example.com;Doe;x;y\n",
			want: []string{
				`email;name;note;error_row;error_code;error_field;error_message;error_fix`,
				`a11@example.com;;"1,5";2` + strings.ReplaceAll(missing, ",", ";"),
				"b11@example.com;Doe;\"x\ny [fix this cell]\";3;" + `malformed_row;;"The row has 4 cells for the 3 columns email, name, note; a value that contains the delimiter must be quoted.";"Correct the row's quoting or cells. Then delete ""[fix this cell]"""`,
			},
		},
		"tabs after a sep= line": {
			file: "sep=\t\nemail\tname\na12@example.com\t\n",
			want: []string{
				"email\tname\terror_row\terror_code\terror_field\terror_message\terror_fix",
				"a12@example.com\t\t2" + strings.ReplaceAll(missing, ",", "\t"),
			},
		},
		"pipes as declared": {
			file:    "email|name|x,y\na13@example.com||\n",
			options: roster.Options{Delimiter: "pipe"},
			want: []string{
				`email|name|"x,y"|error_row|error_code|error_field|error_message|error_fix`,
				`a13@example.com|||2` + strings.ReplaceAll(missing, ",", "|"),
			},
		},
		"a mapping leaves the headers": {
			file:    "Mail,Who\na14@example.com,\n",
			options: roster.Options{Mapping: map[string]string{"email": "Mail", "name": "Who"}},
			want: []string{
				`Mail,Who,error_row,error_code,error_field,error_message,error_fix`,
				`a14@example.com,,2` + missing,
			},
		},
		"a failed import": {
			file: "email,phone\na15@example.com,1\n",
			want: []string{
				`error_row,error_code,error_field,error_message,error_fix`,
				`,missing_column,,"The column ""name"" is missing. The header row has: ""email"", ""phone"".","Add the column, or use mapping to name the header that contains it"`,
			},
		},
		"no header": {
			file: "",
			want: []string{
				`error_row,error_code,error_field,error_message,error_fix`,
				`,empty_file,,The file is empty.,Upload a file with a header row that contains email and name`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := o.errorReport(o.run(test.file, test.options))
			want := bom + strings.Join(test.want, "\r\n") + "\r\n"
			if got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// TestReportStates shows in which states there is a report, and that nothing is
// written in the others.
func TestReportStates(t *testing.T) {
	t.Parallel()
	const file = "email,name\nada@example.com,Ada\nbob@example.com,\n"
	type states struct {
		name    string
		prepare func(o *testEnv) uuid.UUID
		errors  error // of WriteErrors and WriteResults
		rows    error
		results string // statuses, if there are results
	}
	checking := func(o *testEnv) uuid.UUID {
		o.batch = 1
		id := o.receive(file, roster.Options{})
		o.checkSome(o.claim(id), 1)
		return id
	}
	importing := func(o *testEnv) uuid.UUID {
		o.batch = 1
		id := o.receive(file, roster.Options{})
		c := o.claim(id)
		o.checkSome(c, -1)
		o.applySome(c, 1)
		return id
	}
	cancel := func(o *testEnv, id uuid.UUID) uuid.UUID {
		o.must(o.store.CancelImport(o.Context(), id, entry))
		return id
	}
	for _, test := range []states{
		{"none", func(*testEnv) uuid.UUID { return uuid.New() }, storage.ErrNotFound, storage.ErrNotFound, ""},
		{"queued", func(o *testEnv) uuid.UUID { return o.receive(file, roster.Options{}) }, report.ErrNotEnded, report.ErrNotEnded, ""},
		{"checking", checking, report.ErrNotEnded, report.ErrNotEnded, ""},
		{"importing", importing, report.ErrNotEnded, nil, ""},
		{"ready", func(o *testEnv) uuid.UUID { return o.run(file, roster.Options{DryRun: true}) }, nil, nil, "unprocessed failed"},
		{"completed", func(o *testEnv) uuid.UUID { return o.run(file, roster.Options{}) }, nil, nil, "imported failed"},
		{"failed", func(o *testEnv) uuid.UUID { return o.run("x,y\n1,2\n", roster.Options{}) }, nil, nil, ""},
		{"canceled in the queue", func(o *testEnv) uuid.UUID { return cancel(o, o.receive(file, roster.Options{})) }, nil, nil, "unprocessed unprocessed"},
		{"canceled in the queue, no CSV", func(o *testEnv) uuid.UUID { return cancel(o, o.receive("%PDF-1.7", roster.Options{})) }, nil, nil, ""},
		{"canceled in the check", func(o *testEnv) uuid.UUID { return cancel(o, checking(o)) }, nil, nil, "unprocessed unprocessed"},
		{"canceled in the import", func(o *testEnv) uuid.UUID { return cancel(o, importing(o)) }, nil, nil, "imported failed"},
		{"purged", func(o *testEnv) uuid.UUID {
			id := o.run(file, roster.Options{})
			for {
				done, err := o.store.PurgeImport(o.Context(), 0)
				o.must(err)
				if done {
					return id
				}
			}
		}, storage.ErrPurged, storage.ErrPurged, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := newTestEnv(t)
			id := test.prepare(o)
			var errorsCSV, resultsCSV bytes.Buffer
			if err := o.WriteErrors(t.Context(), &errorsCSV, id); !errors.Is(err, test.errors) {
				t.Errorf("WriteErrors: %v, want %v", err, test.errors)
			}
			if err := o.WriteResults(t.Context(), &resultsCSV, id); !errors.Is(err, test.errors) {
				t.Errorf("WriteResults: %v, want %v", err, test.errors)
			}
			if _, _, err := o.Rows(t.Context(), id, 0, 10, false); !errors.Is(err, test.rows) {
				t.Errorf("Rows: %v, want %v", err, test.rows)
			}
			if test.errors != nil {
				if errorsCSV.Len()+resultsCSV.Len() > 0 {
					t.Errorf("written before the error: %q, %q", &errorsCSV, &resultsCSV)
				}
				return
			}
			var statuses []string
			for _, rec := range records(t, resultsCSV.String())[1:] {
				statuses = append(statuses, rec[3])
			}
			if got := strings.Join(statuses, " "); got != test.results {
				t.Errorf("results: %q, want %q", got, test.results)
			}
		})
	}
}

// flushes records what was written before each flush.
type flushes struct {
	bytes.Buffer
	lengths []int
}

func (f *flushes) Flush() { f.lengths = append(f.lengths, f.Len()) }

// TestWriteErrorsFlushes shows that a waiting reader gets the header at once
// and the rows as they come.
func TestWriteErrorsFlushes(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	id := o.run("email,name\n"+strings.Repeat("x,\n", 9000), roster.Options{})
	var w flushes
	o.must(o.WriteErrors(t.Context(), &w, id))
	if header, _, _ := strings.Cut(w.String(), "\n"); len(w.lengths) == 0 || w.lengths[0] != len(header)+1 {
		t.Errorf("flushed at %v bytes, first not behind the header", w.lengths)
	}
	if last := w.lengths[len(w.lengths)-1]; last != w.Len() || len(w.lengths) < 4 {
		t.Errorf("flushed at %v of %d bytes", w.lengths, w.Len())
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestWriteStops(t *testing.T) {
	t.Parallel()
	o := newTestEnv(t)
	id := o.run("email,name\nx,\n", roster.Options{})
	broken := errors.New("broken")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, write := range map[string]func(context.Context, brokenWriter) error{
		"errors":  func(ctx context.Context, w brokenWriter) error { return o.WriteErrors(ctx, w, id) },
		"results": func(ctx context.Context, w brokenWriter) error { return o.WriteResults(ctx, w, id) },
	} {
		if err := write(t.Context(), brokenWriter{broken}); !errors.Is(err, broken) {
			t.Errorf("%s to a broken writer: %v", name, err)
		}
		if err := write(canceled, brokenWriter{broken}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s for a caller who has left: %v", name, err)
		}
	}
}

// TestMissingRow shows that no report skips a row error, whether its row is
// between others or after them all.
func TestMissingRow(t *testing.T) {
	t.Parallel()
	for _, row := range []int{3, 5, 1_000_000} {
		o := newTestEnv(t)
		id := o.run("email,name\nx,\n\ny,Y\n", roster.Options{})
		another := o.run("email,name\n"+strings.Repeat("\n", row-2)+"x,\n", roster.Options{})
		o.sql(`DELETE FROM import_errors WHERE import_id = $1`, id)
		o.sql(`UPDATE import_errors SET import_id = $1 WHERE import_id = $2`, id, another)
		for name, write := range map[string]func(context.Context, io.Writer, uuid.UUID) error{
			"error report": o.WriteErrors, "results": o.WriteResults,
		} {
			want := fmt.Sprintf("%s of import %s: row %d is not in the file", name, id, row)
			if err := write(t.Context(), io.Discard, id); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
}
