//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSmoke runs every measurement on a handful of rows: speed does not matter,
// but each must finish and give numbers.
func TestSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the programs and starts servers")
	}
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bench.json")
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-scale", "0.0001", "-rounds", "1", "-out", file}, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report Report
	if err := json.Unmarshal(raw, &report); err != nil {
		t.Fatal(err)
	}
	measured := map[string]bool{}
	for _, line := range report.Lines {
		measured[line.Name] = true
		if line.What == "" || line.Unit == "" || len(line.Ours) == 0 {
			t.Errorf("an empty line: %+v", line)
		}
		if !strings.Contains(out.String(), line.What) {
			t.Errorf("the table does not have %q", line.What)
		}
	}
	for _, m := range measurements {
		if !measured[m.name] {
			t.Errorf("%s gave no line", m.name)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	rates := Line{Ours: []float64{10, 30, 20}, Theirs: []float64{10, 10, 10}, Unit: "rows/s"}
	for _, c := range []struct {
		wanted              goal
		value, lowest, high float64
		met                 bool
		text                string
	}{
		{atLeastTimes(2), 2, 1, 3, true, "≥ 2 ×"},
		{atLeastTimes(2.1), 2, 1, 3, false, "≥ 2.1 ×"},
		{atMostTimes(2), 2, 1, 3, true, "≤ 2 ×"},
		{atMostTimes(1.9), 2, 1, 3, false, "≤ 1.9 ×"},
		{atMost(20), 20, 10, 30, true, "≤ 20 rows/s"},
		{within(9), 10, 0, 20, false, "within 9 rows/s"},
		{aboveBy(10), 10, 0, 20, true, "≤ 10 rows/s more"},
		{goal{}, 20, 10, 30, true, "–"},
	} {
		line := rates
		line.Wanted = c.wanted
		line.judge()
		if line.Value != c.value || line.Lowest != c.lowest || line.Highest != c.high || line.Met != c.met {
			t.Errorf("%s: value %g (%g–%g), met %v; want %g (%g–%g), %v",
				c.text, line.Value, line.Lowest, line.Highest, line.Met, c.value, c.lowest, c.high, c.met)
		}
		if text := line.Wanted.text(line.Unit); text != c.text {
			t.Errorf("wanted is written %q; want %q", text, c.text)
		}
	}
	nothing := Line{Wanted: atMost(1)}
	if nothing.judge(); nothing.Met {
		t.Error("a line without values meets its goal")
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	values := []float64{4, 1, 3, 2}
	for p, want := range map[float64]float64{0: 1, 0.5: 3, 0.99: 4, 1: 4} {
		if got := percentile(values, p); got != want {
			t.Errorf("percentile %g is %g; want %g", p, got, want)
		}
	}
	if got := median(values); got != 2.5 {
		t.Errorf("median %g; want 2.5", got)
	}
}
