package jobs_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/jobs/importer"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// TestRowsByAction: however the file is cut into batches, each filter lists
// exactly the rows that the preview shows with its action, in order and page by
// page, and the rows that change who is an administrator are told apart.
func TestRowsByAction(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	h.run(h.importer(importer.Config{}), h.upload("external_id,email,name,role,department\n1,a@example.com,N,admin,IT\n2,b@example.com,N,,IT\n3,c@example.com,N,,\n4,d@example.com,N,admin,\n", roster.Options{}).ID)
	const file = "external_id,email,name,role,department\n" +
		"1,b@example.com,N,user,IT\n" + // a swap of addresses, and no administrator any more
		"3,c@example.com,N,,\n" + // unchanged
		"9,bad,N,,\n" +
		"5,e@example.com,N,admin,\n" + // new
		"2,a@example.com,N,admin,\n" + // the other half of the swap
		"4,d@example.com,N,admin,\n" + // unchanged
		"6,f@example.com,N,,\n" // new
	reports := report.New(h.store)
	for _, batch := range []int{1, 2, 100} {
		i := h.run(h.importer(importer.Config{BatchRows: batch}), h.upload(file, roster.Options{OnDuplicate: roster.UpdateDuplicates, Blank: roster.BlankClear, DryRun: true}).ID)
		if want := (roster.Plan{Create: 2, Update: 2, Unchanged: 2, AdminsGained: 2, AdminsLost: 1}); i.Plan != want || i.DepartmentsCleared != 1 {
			t.Errorf("batches of %d: %+v, %d departments cleared", batch, i.Plan, i.DepartmentsCleared)
		}
		all, _, err := reports.Rows(t.Context(), i.ID, 0, 100, false)
		if err != nil || len(all) != 7 {
			t.Fatal(len(all), err)
		}
		for _, action := range []roster.Action{roster.ActionCreate, roster.ActionUpdate, roster.ActionUnchanged, roster.ActionFail} {
			var want []int64
			for _, r := range all {
				if r.Action == action {
					want = append(want, r.Row)
				}
			}
			if got := rowsByAction(t, reports, i.ID, action); !slices.Equal(got, want) {
				t.Errorf("batches of %d: %s rows %v, want %v", batch, action, got, want)
			}
		}
		gained, lost, err := reports.AdminRows(t.Context(), i.ID)
		if err != nil || fmt.Sprint(rowNumbers(gained), rowNumbers(lost)) != "[5 6] [2]" {
			t.Errorf("batches of %d: administrators %v and %v, %v", batch, rowNumbers(gained), rowNumbers(lost), err)
		}
	}
}

func rowNumbers(rows []report.Row) (numbers []int64) {
	for _, r := range rows {
		numbers = append(numbers, r.Row)
	}
	return numbers
}

// rowsByAction pages through the rows with an action, one a page.
func rowsByAction(t *testing.T, reports *report.Reports, id uuid.UUID, action roster.Action) (numbers []int64) {
	t.Helper()
	for next := int64(0); ; {
		rows, after, err := reports.RowsByAction(t.Context(), id, action, next, 1)
		if err != nil || len(rows) > 1 {
			t.Fatalf("%s: %d rows, %v", action, len(rows), err)
		}
		numbers = append(numbers, rowNumbers(rows)...)
		if next = after; next == 0 {
			return numbers
		}
	}
}

// TestActionsOfManyRows: pages of rare rows far behind each other, in a file of
// several blocks, and in an import that does not stop nothing is stored.
func TestActionsOfManyRows(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	const rows, every = 45_000, 9_000
	var before, file strings.Builder
	before.WriteString("email,name\n")
	file.WriteString("email,name\n")
	var want []int64
	for k := range rows {
		fmt.Fprintf(&file, "u%d@example.com,New\n", k)
		if k%every == every-1 {
			fmt.Fprintf(&before, "u%d@example.com,Old\n", k)
			want = append(want, int64(k)+2)
		}
	}
	im := h.importer(importer.Config{})
	h.run(im, h.upload(before.String(), roster.Options{}).ID)
	i := h.run(im, h.upload(file.String(), roster.Options{OnDuplicate: roster.UpdateDuplicates, DryRun: true}).ID)
	reports := report.New(h.store)
	if got := rowsByAction(t, reports, i.ID, roster.ActionUpdate); !slices.Equal(got, want) {
		t.Errorf("updates in rows %v, want %v", got, want)
	}
	created, next, err := reports.RowsByAction(t.Context(), i.ID, roster.ActionCreate, 39_998, 5)
	if got := fmt.Sprint(rowNumbers(created), next); err != nil || got != "[39999 40000 40001 40002 40003] 40003" {
		t.Errorf("new users in rows %s, %v", got, err)
	}
	var blocks, bytes, others int
	if err := h.store.DB().QueryRow(`
		SELECT count(*) FILTER (WHERE import_id = $1), sum(length(data)) FILTER (WHERE import_id = $1), count(*) FILTER (WHERE import_id <> $1)
		  FROM import_actions`, i.ID).Scan(&blocks, &bytes, &others); err != nil {
		t.Fatal(err)
	}
	// One for each action of each batch.
	const batches = (rows + 9_999) / 10_000
	if blocks > 2*batches || bytes > 4000 || others > 0 {
		t.Errorf("%d blocks of %d bytes, and %d of imports that did not stop", blocks, bytes, others)
	}
}

// TestResultsOfWaitingRows: rows that wait for others were not processed by an
// import that is canceled before it gets back to them.
func TestResultsOfWaitingRows(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	update := roster.Options{OnDuplicate: roster.UpdateDuplicates, DryRun: true}
	h.run(h.importer(importer.Config{}), h.upload(keyed("1=a", "2=b"), roster.Options{}).ID)
	im := h.importer(importer.Config{BatchRows: 10})
	i := h.run(im, h.upload(keyed("1=b", "3=c", "2=a"), update).ID)
	if _, err := h.store.ConfirmImport(t.Context(), i.ID, storage.Approval{}, tester); err != nil {
		t.Fatal(err)
	}
	c, err := h.store.ClaimImport(t.Context(), i.ID, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	newcomer := storage.UserRow{ID: uuid.Must(uuid.NewV7()), Row: 3, Line: 3, UserFields: roster.UserFields{Email: "c@example.com", EmailKey: "c@example.com", Name: "N", Role: roster.RoleUser, ExternalID: "3"}}
	b := storage.Batch{Rows: 3, Newcomers: []storage.UserRow{newcomer}, Matching: storage.Matching{HasExternalID: true}, Last: true}
	b.To.Row = 5
	if _, err := h.store.ApplyBatch(t.Context(), c, b); err != nil {
		t.Fatal(err)
	}
	if err := h.store.CancelImport(t.Context(), i.ID, tester); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := report.New(h.store).WriteResults(t.Context(), &out, i.ID); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		cells := strings.Split(line, ",")
		got = append(got, cells[2]+" "+cells[3])
	}
	if want := []string{"email status", "b@example.com unprocessed", "c@example.com imported", "a@example.com unprocessed"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
