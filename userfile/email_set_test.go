package userfile_test

import (
	"fmt"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"rollcall/userfile"
)

// TestSeenIsAMap compares Seen with what it stands for.
func TestSeenIsAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seen, model := userfile.NewEmailSet(), map[string]int64{}
		row := int64(0)
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint(rapid.IntRange(0, 2000).Draw(t, "key")) })
		t.Repeat(map[string]func(*rapid.T){
			"add many": func(t *rapid.T) { // enough for the tables to grow
				for range rapid.IntRange(1, 500).Draw(t, "n") {
					row++
					k := fmt.Sprint("many", row%1700)
					if got := seen.Add(k, row); got != model[k] {
						t.Fatalf("Add(%s, %d) = %d, want %d", k, row, got, model[k])
					}
					if model[k] == 0 {
						model[k] = row
					}
				}
			},
			"add": func(t *rapid.T) {
				row++
				k := key.Draw(t, "key")
				if got := seen.Add(k, row); got != model[k] {
					t.Fatalf("Add(%s, %d) = %d, want %d", k, row, got, model[k])
				}
				if model[k] == 0 {
					model[k] = row
				}
			},
			"": func(t *rapid.T) {
				k := key.Draw(t, "key")
				if got := seen.Row(k); got != model[k] {
					t.Fatalf("First(%s) = %d, want %d", k, got, model[k])
				}
			},
		})
		for k, want := range model {
			if got := seen.Row(k); got != want {
				t.Fatalf("First(%s) = %d, want %d", k, got, want)
			}
		}
	})
}

func TestSeenKeepsTheHighestRow(t *testing.T) {
	t.Parallel()
	seen := userfile.NewEmailSet()
	const last = 1<<32 - 1
	seen.Add("a", last)
	if got := seen.Add("a", 7); got != last {
		t.Errorf("row %d", got)
	}
}

// TestSeenMemory: a million addresses fit in 32 bytes each. Not parallel: it
// reads the heap of the whole process, which other tests would change.
func TestSeenMemory(t *testing.T) {
	const addresses = 1_000_000
	before := heap()
	seen := userfile.NewEmailSet()
	for i := range addresses {
		if first := seen.Add(fmt.Sprintf("person.%d@example.com", i), int64(i+2)); first != 0 {
			t.Fatalf("address %d looks like that of row %d", i, first)
		}
	}
	each := float64(heap()-before) / addresses
	if each > 32 {
		t.Errorf("%.1f bytes an address", each)
	}
	t.Logf("%.1f bytes an address", each)
	runtime.KeepAlive(seen)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkSeen(b *testing.B) {
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = fmt.Sprintf("person.%d@example.com", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		seen := userfile.NewEmailSet()
		for i, k := range keys {
			seen.Add(k, int64(i+2))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(keys)), "ns/address")
}
