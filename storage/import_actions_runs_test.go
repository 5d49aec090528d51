package storage

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRuns: row numbers come back from a block, and damaged blocks are an error or
// other numbers, but neither a panic nor a huge slice.
func TestRuns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfNDistinct(rapid.Int64Range(1, 400), 0, 300, rapid.ID).Draw(t, "rows")
		slices.Sort(rows)
		data := packRuns(rows)
		if got, err := unpackRuns(data); err != nil || !slices.Equal(got, rows) {
			t.Fatalf("%v come back as %v, %v", rows, got, err)
		}
		damaged := rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "damaged")
		if got, err := unpackRuns(damaged); err == nil && len(got) > 30*maxBlockRows {
			t.Fatalf("%d rows from %d bytes", len(got), len(damaged))
		}
	})
	if n := len(packRuns(slices.Collect(func(yield func(int64) bool) {
		for row := int64(1); row <= maxBlockRows && yield(row); row++ {
		}
	}))); n > 4 {
		t.Errorf("consecutive rows take %d bytes", n)
	}
}
