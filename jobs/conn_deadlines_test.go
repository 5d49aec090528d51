package jobs_test

import (
	"rollcall/jobs/importer"
	"sync/atomic"
	"testing"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/proxytest"
)

// TestLineThatEndsInMidFile: the connections to PostgreSQL are cut between the
// first chunk of a file and the next, and the first reconnect is closed at
// once, as by a pooler in front of a restarting database. A pass mistakes that
// neither for the end of the file nor for an error in it.
func TestLineThatEndsInMidFile(t *testing.T) {
	t.Parallel()
	const rows = 50_000
	file := people(rows)
	if len(file) < 2*storage.ChunkSize {
		t.Fatal("the file is too short for this test")
	}
	for _, pass := range []roster.Status{roster.Checking, roster.Importing} {
		t.Run(string(pass), func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t)
			id := h.upload(file, roster.Options{}).ID
			line, through := proxytest.Postgres(t, h.url)
			behind, err := storage.Open(through, storage.Options{MaxConns: 4})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { behind.Close() })
			im := importer.New(behind, quiet(), h.meter.Importer, importer.Config{BatchRows: rows})
			var cut atomic.Int64
			im.OnRow(func(now roster.Status, row int64) {
				if now == pass && row == 1000 && cut.Add(1) == 1 {
					line.HangUp(1)
					line.Cut()
				}
			})
			if _, err := im.Run(t.Context(), id); err == nil {
				t.Error("the cut was not noticed")
			}
			if i := h.read(id); i.Status != pass || i.Imported != 0 {
				t.Errorf("%s with %+v, want %s and no user imported", i.Status, i.Counts, pass)
			}
			h.lapse()
			if i := h.run(im, id); i.Status != roster.Completed || i.Imported != rows || *i.Total != rows {
				t.Errorf("%s with %+v, want %d in", i.Status, i.Counts, rows)
			}
		})
	}
}
