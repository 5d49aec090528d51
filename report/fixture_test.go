package report_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"rollcall/intake"
	"rollcall/internal/pgtest"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Around(m)) }

// office is a database of its own and the reports on it.
type office struct {
	testing.TB
	*report.Reports
	store *storage.Store
	batch int // rows a batch, and so between two marks
}

func newOffice(t testing.TB) *office {
	t.Helper()
	store, err := storage.Open(pgtest.New(t), storage.Options{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return &office{TB: t, Reports: report.New(store), store: store, batch: 5000}
}

// must fails the test unless err is nil.
func (o *office) must(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

var entry = storage.Entry{Actor: roster.Actor{Kind: roster.ActorConfig, Label: "test"}}

// receive stores a file.
func (o *office) receive(file string, options roster.Options) uuid.UUID {
	o.Helper()
	if options.OnDuplicate == "" {
		options.OnDuplicate = roster.SkipDuplicates
	}
	rest := strings.NewReader(file)
	received, err := o.store.ReceiveImport(o.Context(), storage.Upload{
		By: entry,
		Next: func() ([]byte, error) {
			chunk := make([]byte, storage.ChunkSize)
			n, err := io.ReadFull(rest, chunk)
			if n > 0 {
				err = nil
			}
			return chunk[:n], err
		},
		Finish: func() (string, roster.Options, error) { return "users.csv", options, nil },
	})
	o.must(err)
	return received.Import.ID
}

func (o *office) claim(id uuid.UUID) *storage.Claim {
	o.Helper()
	c, err := o.store.ClaimImport(o.Context(), id, time.Minute)
	o.must(err)
	return c
}

func (o *office) sheet(c *storage.Claim) (*intake.Sheet, error) {
	return intake.Open(o.store.OpenUpload(o.Context(), c.Import.ID, 0), c.Import.Options)
}

// checkSome runs up to batches batches of the check pass, or all below 0. A file
// that cannot be used fails the import.
func (o *office) checkSome(c *storage.Claim, batches int) {
	o.Helper()
	sheet, err := o.sheet(c)
	var unusable *intake.FileError
	if errors.As(err, &unusable) {
		o.must(o.store.FailImport(o.Context(), c, unusable.Failure))
		return
	}
	o.must(err)
	seen := intake.NewSeen()
	for n := 0; n != batches; n++ {
		b := storage.Checked{}
		if n == 0 {
			b.Layout = &storage.Layout{Format: sheet.Format(), Header: sheet.Header()}
		}
		for !b.Last && b.Rows < int64(o.batch) {
			row, err := sheet.Next()
			if b.Last = errors.Is(err, io.EOF); b.Last {
				break
			}
			o.must(err)
			o.judge(&b, row, seen)
		}
		o.must(o.store.SaveChecked(o.Context(), c, b))
		if b.Last {
			return
		}
	}
}

func (o *office) judge(b *storage.Checked, row *intake.Row, seen *intake.Seen) {
	if b.Rows == 0 {
		b.Marks = []tabular.Position{row.Start}
	}
	b.Rows++
	b.To = row.End
	if key := row.Person.EmailKey; key != "" {
		if first := seen.Add(key, row.Row); first != 0 {
			row.Problems = append(row.Problems, roster.RepeatedInFile(row.Person.Email, first))
		}
	}
	if len(row.Problems) > 0 {
		b.Refusals = append(b.Refusals, row.Refusal())
	} else {
		b.Valid++
	}
}

// applySome runs up to batches batches of the import pass, or all below 0.
func (o *office) applySome(c *storage.Claim, batches int) {
	o.Helper()
	sheet, err := o.sheet(c)
	o.must(err)
	refused, err := o.store.RefusedRows(o.Context(), c.Import.ID, 0, 1_000_000)
	o.must(err)
	for ; batches != 0; batches-- {
		b := storage.Batch{SetDepartment: sheet.Has(roster.ColumnDepartment)}
		for b.Rows < int64(o.batch) {
			row, err := sheet.Next()
			if b.Last = errors.Is(err, io.EOF); b.Last {
				break
			}
			o.must(err)
			b.Rows++
			b.To = row.End
			if len(refused) > 0 && refused[0] == row.Row {
				refused = refused[1:]
				continue
			}
			b.Newcomers = append(b.Newcomers, storage.Newcomer{
				ID: uuid.Must(uuid.NewV7()), Row: row.Row, Line: row.Line, Person: row.Person,
			})
		}
		_, err := o.store.ApplyBatch(o.Context(), c, b)
		o.must(err)
		if b.Last {
			return
		}
	}
}

// run takes a new import of a file as far as it goes by itself.
func (o *office) run(file string, options roster.Options) uuid.UUID {
	o.Helper()
	id := o.receive(file, options)
	c := o.claim(id)
	o.checkSome(c, -1)
	if i, err := o.store.Import(o.Context(), id); err != nil {
		o.Fatal(err)
	} else if i.Status == roster.Importing {
		o.applySome(c, -1)
	}
	return id
}

// sql changes the database behind the store's back.
func (o *office) sql(statement string, args ...any) {
	o.Helper()
	_, err := o.store.DB().ExecContext(o.Context(), statement, args...)
	o.must(err)
}

// errorReport returns an error report, which must be there.
func (o *office) errorReport(id uuid.UUID) string {
	o.Helper()
	var b bytes.Buffer
	o.must(o.WriteErrors(o.Context(), &b, id))
	return b.String()
}

// persons reads a file and returns the good rows by e-mail key, and the
// problems of the others.
func persons(t testing.TB, file string, mapping map[string]string) (good map[string]roster.Person, bad []roster.Problem) {
	t.Helper()
	sheet, err := intake.Open(strings.NewReader(file), roster.Options{Mapping: mapping})
	if err != nil {
		t.Fatal(err)
	}
	good = map[string]roster.Person{}
	for {
		row, err := sheet.Next()
		if errors.Is(err, io.EOF) {
			return good, bad
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(row.Problems) > 0 {
			bad = append(bad, row.Problems...)
			continue
		}
		good[row.Person.EmailKey] = row.Person
	}
}

// records reads a CSV of ours cell by cell, without undoing guards.
func records(t testing.TB, file string) [][]string {
	t.Helper()
	r, err := tabular.Open(strings.NewReader(file), tabular.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Fault != nil {
			t.Fatalf("row %d: %s", rec.Row, rec.Fault.Message())
		}
		cells := make([]string, len(rec.Cells))
		for i, c := range rec.Cells {
			cells[i] = string(c)
		}
		all = append(all, cells)
	}
}
