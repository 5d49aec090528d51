package jobs_test

import (
	"context"
	"rollcall/jobs/importer"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

// TestRowsAtFaultCostFewCrashes: if a row kills the process, each crash costs a
// worker restart and an expired lease. So there are no more than it takes to be
// sure, wherever the row is in the file, and fewer for another one close behind
// it.
func TestRowsAtFaultCostFewCrashes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pass roster.Status
		rows []int64
		most int
	}{
		// With batches of 5,000 rows: one crash each at 5,000, 500, 50 and 5
		// rows, four with the row alone, and one more if a batch of the same
		// run was committed before, in the check too.
		"checking, the first row":    {roster.Checking, []int64{2}, 8},
		"checking, in the middle":    {roster.Checking, []int64{4_444}, 8},
		"checking, a later batch":    {roster.Checking, []int64{7_001}, 9},
		"importing, the first row":   {roster.Importing, []int64{2}, 9},
		"importing, in the middle":   {roster.Importing, []int64{3_210}, 9},
		"importing, the last row":    {roster.Importing, []int64{8_001}, 9},
		"importing, close together":  {roster.Importing, []int64{3_210, 3_211, 3_215}, 9 + 4 + 4},
		"importing, far apart":       {roster.Importing, []int64{100, 7_900}, 9 + 9},
		"importing, within the next": {roster.Importing, []int64{100, 900}, 9 + 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			id := h.upload(people(8_000), roster.Options{}).ID
			im := h.importer(importer.Config{Slice: time.Hour})
			im.OnRow(func(p roster.Status, row int64) {
				if p == c.pass && slices.Contains(c.rows, row) {
					panic("planted")
				}
			})
			crashes := 0
			for ; !h.read(id).Status.Ended(); h.lapse() {
				if _, err := im.Run(t.Context(), id); err != nil {
					if crashes++; crashes > 100 {
						t.Fatal(err)
					}
				}
			}
			if crashes > c.most {
				t.Errorf("%d crashes, want at most %d", crashes, c.most)
			}
			var refused []int64
			for _, r := range h.ending(id).RowErrors {
				if refused = append(refused, r.Row); r.Reason() != roster.InternalError {
					t.Errorf("row %d: %s", r.Row, r.Reason())
				}
			}
			if i := h.read(id); !slices.Equal(refused, c.rows) || i.Imported != 8_000-int64(len(c.rows)) {
				t.Errorf("refused rows %v, want %v; %+v", refused, c.rows, i.Counts)
			}
		})
	}
}

// TestImportAtFaultIsAlone: an import that has crashed repeatedly at one
// position runs alone in the process, so that no other import is charged with
// its next crash.
func TestImportAtFaultIsAlone(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	im := h.importer(importer.Config{})
	bad, good := h.upload(people(20), roster.Options{}).ID, h.upload("email,name\nother@example.com,Other\n", roster.Options{}).ID
	im.OnRow(func(roster.Status, int64) { panic("planted") })
	for range 3 {
		if _, err := im.Run(t.Context(), bad); err == nil {
			t.Fatal("no crash")
		}
		h.lapse()
	}
	there, goOn := make(chan struct{}), make(chan struct{})
	im.OnRow(func(_ roster.Status, row int64) {
		if row == 2 && there != nil {
			close(there)
			there = nil
			<-goOn
		}
	})
	done := make(chan error, 2)
	run := func(id uuid.UUID) {
		_, err := im.Run(context.Background(), id)
		done <- err
	}
	reached := there
	go run(bad)
	<-reached
	go run(good)
	time.Sleep(200 * time.Millisecond) // it would have finished by now
	if i := h.read(good); i.Status != roster.Queued {
		t.Errorf("%s while an import at fault was running", i.Status)
	}
	close(goOn)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for _, id := range []uuid.UUID{bad, good} {
		if i := h.run(im, id); i.Status != roster.Completed || i.Failed != 0 {
			t.Errorf("%s %+v", i.Status, i.Counts)
		}
	}
}
