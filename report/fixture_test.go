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

	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/tabular"
	"rollcall/test/pgtest"
	"rollcall/userfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Around(m)) }

// testEnv is a test database with the reports on its imports.
type testEnv struct {
	testing.TB
	*report.Reports
	store *storage.Store
	batch int // rows per batch, and so between two marks
}

func newTestEnv(t testing.TB) *testEnv {
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
	return &testEnv{TB: t, Reports: report.New(store), store: store, batch: 5000}
}

// must fails the test unless err is nil.
func (o *testEnv) must(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

var entry = storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorConfig, Label: "test"}}

// receive stores a file.
func (o *testEnv) receive(file string, options roster.Options) uuid.UUID {
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

func (o *testEnv) claim(id uuid.UUID) *storage.Claim {
	o.Helper()
	c, err := o.store.ClaimImport(o.Context(), id, time.Minute)
	o.must(err)
	return c
}

func (o *testEnv) sheet(c *storage.Claim) (*userfile.Reader, error) {
	return userfile.Open(o.store.OpenUpload(o.Context(), c.Import.ID, 0), c.Import.Options)
}

// checkSome runs up to batches batches of the check pass; all if batches is
// negative. A file that cannot be used fails the import.
func (o *testEnv) checkSome(c *storage.Claim, batches int) {
	o.Helper()
	sheet, err := o.sheet(c)
	var unusable *userfile.FileError
	if errors.As(err, &unusable) {
		o.must(o.store.FailImport(o.Context(), c, unusable.Failure))
		return
	}
	o.must(err)
	seen := userfile.NewEmailSet()
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

func (o *testEnv) judge(b *storage.Checked, row *userfile.Row, seen *userfile.EmailSet) {
	if b.Rows == 0 {
		b.Marks = []tabular.Position{row.Start}
	}
	b.Rows++
	b.To = row.End
	if key := row.Person.EmailKey; key != "" {
		if first := seen.Add(key, row.Row); first != 0 {
			row.Problems = append(row.Problems, roster.DuplicateInFile(row.Person.Email, first))
		}
	}
	if len(row.Problems) > 0 {
		b.RowErrors = append(b.RowErrors, row.RowError())
	} else {
		b.Valid++
	}
}

// applySome runs up to batches batches of the import pass; all if batches is
// negative.
func (o *testEnv) applySome(c *storage.Claim, batches int) {
	o.Helper()
	sheet, err := o.sheet(c)
	o.must(err)
	failed, err := o.store.FailedRows(o.Context(), c.Import.ID, 0, 1_000_000)
	o.must(err)
	for ; batches != 0; batches-- {
		b := storage.Batch{Matching: storage.MatchingOf(c.Import, sheet.Has)}
		for b.Rows < int64(o.batch) {
			row, err := sheet.Next()
			if b.Last = errors.Is(err, io.EOF); b.Last {
				break
			}
			o.must(err)
			b.Rows++
			b.To = row.End
			if len(failed) > 0 && failed[0] == row.Row {
				failed = failed[1:]
				continue
			}
			b.Newcomers = append(b.Newcomers, storage.UserRow{
				ID: uuid.Must(uuid.NewV7()), Row: row.Row, Line: row.Line, UserFields: row.Person,
			})
		}
		_, err := o.store.ApplyBatch(o.Context(), c, b)
		o.must(err)
		if b.Last {
			return
		}
	}
}

// run uploads a file and runs its import as far as it goes by itself.
func (o *testEnv) run(file string, options roster.Options) uuid.UUID {
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

// sql changes the database without the store.
func (o *testEnv) sql(statement string, args ...any) {
	o.Helper()
	_, err := o.store.DB().ExecContext(o.Context(), statement, args...)
	o.must(err)
}

// errorReport returns an error report, which must exist.
func (o *testEnv) errorReport(id uuid.UUID) string {
	o.Helper()
	var b bytes.Buffer
	o.must(o.WriteErrors(o.Context(), &b, id))
	return b.String()
}

// persons reads a file and returns the valid rows by email key, and the
// problems of the others.
func persons(t testing.TB, file string, mapping map[string]string) (good map[string]roster.UserFields, bad []roster.Problem) {
	t.Helper()
	sheet, err := userfile.Open(strings.NewReader(file), roster.Options{Mapping: mapping})
	if err != nil {
		t.Fatal(err)
	}
	good = map[string]roster.UserFields{}
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
