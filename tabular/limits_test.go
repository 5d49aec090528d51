package tabular_test

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"rollcall/tabular"
)

// repeat gives a text over and over, n bytes in all.
type repeat struct {
	text string
	at   int
	n    int64
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.n)]
	done := 0
	for done < len(p) {
		n := copy(p[done:], r.text[r.at:])
		done += n
		r.at = (r.at + n) % len(r.text)
	}
	r.n -= int64(done)
	return done, nil
}

// allocated returns how many bytes f allocates in all, freed again or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestFlatMemory reads files that are hostile by size. What a Reader allocates
// in all its life, let alone at a time, stays within a few times the record
// limit. It is not parallel: it counts the allocations of the process.
func TestFlatMemory(t *testing.T) {
	const (
		mib   = 1 << 20
		limit = 8 * mib
	)
	latin := tabular.Options{Encoding: "windows-1252"}
	for name, test := range map[string]struct {
		head, text, tail string
		size             int64
		opts             tabular.Options
		fault            tabular.FaultKind
		last             int64 // row number of the tail
	}{
		"a line of 1 GiB":                 {"a,b\n1,", "x", "\nz,z", 1024 * mib, tabular.Options{}, tabular.FaultTooLong, 3},
		"a line of 100 MiB, windows-1252": {"a,b\n1,", "\xE9", "\nz,z", 100 * mib, latin, tabular.FaultTooLong, 3},
		"a quoted cell of 100 MiB":        {"a,b\n1,\"", "x", "\"\nz,z", 100 * mib, tabular.Options{}, tabular.FaultUnbalancedQuote, 3},
		"a quote never closed":            {"a,b\n1,\"", strings.Repeat("x", 62) + ",\n", "z,z", 256 * mib, tabular.Options{}, tabular.FaultUnbalancedQuote, 4*mib + 2},
		"half a million cells":            {"a,b\n", "x,", "\nz,z", 1_000_000, tabular.Options{}, tabular.FaultTooManyCells, 3},
		"a line of commas of 100 MiB":     {"a,b\n", ",", "\nz,z", 100 * mib, tabular.Options{}, tabular.FaultTooLong, 3},
		"a line of quotes of 100 MiB":     {"a,b\n", `"`, "\nz,z", 100 * mib, tabular.Options{}, tabular.FaultTooLong, 3},
		"blank lines":                     {"a,b\n", "\n", "z,z", 16 * mib, tabular.Options{}, "", 16*mib + 2},
	} {
		t.Run(name, func(t *testing.T) {
			var first, last row
			bytes := allocated(func() {
				r, err := tabular.Open(io.MultiReader(strings.NewReader(test.head),
					&repeat{text: strings.Repeat(test.text, 4096), n: test.size}, strings.NewReader(test.tail)), test.opts)
				if err != nil {
					t.Fatal(err)
				}
				for n := 0; ; n++ {
					rec, err := r.Next()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if n == 1 {
						first = keep(rec)
					}
					if rec.Row == test.last {
						last = keep(rec)
					}
				}
			})
			if first.fault != test.fault {
				t.Errorf("the second record: %.200v, want fault %q", first, test.fault)
			}
			if strings.Join(last.cells, "|") != "z|z" {
				t.Errorf("the last record: %.200v, want z,z in row %d", last, test.last)
			}
			if bytes > limit {
				t.Errorf("allocated %d bytes, want at most %d", bytes, limit)
			}
		})
	}
}

// TestNextAllocatesNothing covers the fast path and quoted cells. It is not
// parallel: it counts the allocations of the process.
func TestNextAllocatesNothing(t *testing.T) {
	for name, text := range map[string]string{
		"plain":  "ada@example.com,Ada Lovelace,user,Engines\r\n",
		"quoted": "\"ada@example.com\",\"Lovelace, \"\"Ada\"\"\",user,\"En\ngines\"\n",
	} {
		for _, encoding := range []string{"utf-8", "windows-1252"} {
			r, err := tabular.Open(&repeat{text: text, n: 8 << 20}, tabular.Options{Encoding: encoding})
			if err != nil {
				t.Fatal(err)
			}
			for range 10_000 { // until the buffers have their size
				if _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
			}
			if n := testing.AllocsPerRun(50_000, func() {
				if _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%s, %s: %v allocations a record", name, encoding, n)
			}
		}
	}
}
