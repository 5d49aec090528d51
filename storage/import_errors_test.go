package storage_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// TestImportAndItsErrorsAreOfOneRevision reads both while errors are added: as
// many are listed as are counted, and a revision always lists the same.
func TestImportAndItsErrorsAreOfOneRevision(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.receive(roster.Options{}).ID
	ctx, stop := context.WithCancel(h.ctx)
	var adding sync.WaitGroup
	defer adding.Wait()
	defer stop()
	adding.Go(func() {
		for row := 2; ctx.Err() == nil; row++ {
			refused := roster.RowError{Row: int64(row), Line: int64(row), Problems: []roster.Problem{problem("email", roster.InvalidEmail, "", "No @.")}}
			if err := h.AddRowErrors(ctx, id, refused); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	const limit = 20
	listed := map[int64]int{}
	for n := 0; n < limit; {
		i, rowErrors, err := h.ImportWithRowErrors(h.ctx, id, limit)
		if err != nil {
			t.Fatal(err)
		}
		n = len(rowErrors)
		if before, seen := listed[i.Revision]; seen && before != n || int64(n) != min(i.Counts.Failed, limit) {
			t.Fatalf("revision %d lists %d errors and counts %d", i.Revision, n, i.Counts.Failed)
		}
		listed[i.Revision] = n
	}
	if _, _, err := h.ImportWithRowErrors(h.ctx, uuid.New(), limit); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an import that is not there: %v", err)
	}
}

// TestRowErrorsOfBothPasses lists in row order what the check and the import pass
// refused, in blocks that overlap, page by page and by code.
func TestRowErrorsOfBothPasses(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.receive(roster.Options{}).ID
	var checked, applied []roster.RowError
	for row := int64(2); row < 9002; row++ {
		r := roster.RowError{Row: row, Line: row + row/7, Email: fmt.Sprintf("p%d@", row),
			Problems: []roster.Problem{problem("email", roster.InvalidEmail, fmt.Sprintf("p%d@", row), "No domain.")}}
		switch {
		case row%11 == 0:
			r.Problems[0] = problem("email", roster.DuplicateEmail, r.Email, fmt.Sprintf("This address also appears in row %d.", row-1))
			applied = append(applied, r)
			continue
		case row%5 == 0:
			r.Problems = append(r.Problems, problem("role", roster.InvalidRole, "boss", "No such role."), problem("name", roster.MissingRequiredField, "", "Empty."))
		}
		checked = append(checked, r)
	}
	h.must(h.AddRowErrors(h.ctx, id, checked...))
	h.must(h.AddRowErrors(h.ctx, id, applied[:300]...))
	h.must(h.AddRowErrors(h.ctx, id, applied[300:]...))
	all := slices.SortedFunc(slices.Values(slices.Concat(checked, applied)), func(a, b roster.RowError) int { return int(a.Row - b.Row) })
	for _, limit := range []int{1, 999, 2000, 10_000} {
		var got []roster.RowError
		for after := int64(0); len(got) < len(all); after = got[len(got)-1].Row {
			page, err := h.RowErrors(h.ctx, id, after, limit)
			h.must(err)
			if len(page) == 0 || len(page) > limit {
				t.Fatalf("pages of %d: %d errors behind row %d", limit, len(page), after)
			}
			if got = append(got, page...); limit == 1 && len(got) == 50 {
				break
			}
		}
		if diff := cmp.Diff(all[:len(got)], got); diff != "" {
			t.Fatalf("pages of %d: %s", limit, diff)
		}
	}
	got, err := h.RowErrorsByCode(h.ctx, id, roster.DuplicateEmail, 4000, 100)
	h.must(err)
	at := slices.IndexFunc(applied, func(r roster.RowError) bool { return r.Row > 4000 })
	if diff := cmp.Diff(applied[at:at+100], got); diff != "" {
		t.Error(diff)
	}
	rows, err := h.FailedRows(h.ctx, id, 4000, 3000)
	h.must(err)
	if len(rows) != 3000 || rows[0] != 4001 || rows[2999] != 7000 {
		t.Errorf("%d rows from %v", len(rows), rows[:1])
	}
}

// TestRowErrorsAreSmallerThanTheFile stores the errors of files in which every row
// is wrong, the shortest there can be among them: what PostgreSQL takes for it
// stays below twice the file's size.
func TestRowErrorsAreSmallerThanTheFile(t *testing.T) {
	t.Parallel()
	letters := "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for name, width := range map[string]int{"one letter": 1, "ten letters": 10, "two hundred": 200, "a kilobyte": 1000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			id := h.receive(roster.Options{}).ID
			random := rand.New(rand.NewPCG(1, 2))
			var file int64
			row := int64(2)
			for file < 1<<20 {
				batch := make([]roster.RowError, 0, 20_000)
				for range 20_000 {
					cell := make([]byte, width)
					for i := range cell {
						cell[i] = letters[random.IntN(len(letters))]
					}
					batch = append(batch, roster.RowError{Row: row, Line: row, Email: string(cell), Problems: []roster.Problem{
						problem("email", roster.InvalidEmail, roster.TruncateValue(string(cell)), "The address has no @."),
						problem("name", roster.MissingRequiredField, "", "The name is empty."),
					}})
					row++
					if file += int64(width) + 1; file > 1<<20 {
						break
					}
				}
				h.must(h.AddRowErrors(h.ctx, id, batch...))
			}
			stored := one[int64](h, `SELECT pg_total_relation_size('import_errors')`)
			t.Logf("%d rows, %d bytes of file: %d bytes stored, %.2f times as much", row-2, file, stored, float64(stored)/float64(file))
			if stored > 2*file {
				t.Errorf("%d bytes stored for a file of %d", stored, file)
			}
		})
	}
}
