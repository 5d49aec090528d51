package report_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

// gauge is a writer that a report is written to, and samples the heap from time
// to time.
type gauge struct {
	began  time.Time
	first  time.Duration // from began to the first byte
	bytes  int64
	looked int64
	peak   uint64
}

func (g *gauge) Write(p []byte) (int, error) {
	if g.bytes == 0 {
		g.first = time.Since(g.began)
	}
	g.bytes += int64(len(p))
	if g.bytes-g.looked > 1<<20 {
		g.looked = g.bytes
		g.peak = max(g.peak, heap())
	}
	return len(p), nil
}

// heap returns the bytes in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestFlatMemory writes the reports of 200,000 failed rows. It is not parallel,
// because other tests' memory would count too.
func TestFlatMemory(t *testing.T) {
	const (
		rows  = 200_000
		limit = 16 << 20
		soon  = 200 * time.Millisecond
	)
	o := newTestEnv(t)
	var file strings.Builder
	file.WriteString("email,name,role,department,note\n")
	for i := range rows {
		fmt.Fprintf(&file, "user%d@example.com,,nobody,Research and Development,%d\n", i, i)
	}
	id := o.receive(file.String(), roster.Options{DryRun: true})
	file.Reset()
	o.checkSome(o.claim(id), -1)
	for name, write := range map[string]func(*gauge, uuid.UUID) error{
		"errors":               func(g *gauge, id uuid.UUID) error { return o.WriteErrors(t.Context(), g, id) },
		"errors as a workbook": func(g *gauge, id uuid.UUID) error { return o.WriteErrorsWorkbook(t.Context(), g, id) },
		"results":              func(g *gauge, id uuid.UUID) error { return o.WriteResults(t.Context(), g, id) },
	} {
		before := heap()
		g := &gauge{began: time.Now(), peak: before}
		o.must(write(g, id))
		t.Logf("%s: %d bytes in %v, the first after %v, %d KiB of heap", name, g.bytes, time.Since(g.began), g.first, (g.peak-before)>>10)
		least, soon := int64(rows*40), soon
		if name == "errors as a workbook" { // compressed, which takes longer on a busy machine
			least, soon = rows*10, time.Minute
		}
		if g.bytes < least {
			t.Errorf("%s: only %d bytes for %d rows", name, g.bytes, rows)
		}
		if g.peak-before > limit {
			t.Errorf("%s: the heap grew by %d bytes", name, g.peak-before)
		}
		if g.first > soon {
			t.Errorf("%s: first byte after %v", name, g.first)
		}
	}
}
