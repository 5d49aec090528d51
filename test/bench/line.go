//go:build unix

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// Line is a row of the table: what was measured, and what it is compared with.
type Line struct {
	Name    string    `json:"name"` // of the measurement; set by the harness
	What    string    `json:"what"`
	Unit    string    `json:"unit"` // of Ours and Theirs
	Ours    []float64 `json:"ours"` // one value a round
	Against string    `json:"against,omitempty"`
	Theirs  []float64 `json:"theirs,omitempty"` // in the order of the rounds; empty: Wanted applies to Ours alone
	Wanted  goal      `json:"wanted"`
	Note    string    `json:"note,omitempty"`

	Median      float64 `json:"median"`
	TheirMedian float64 `json:"their_median,omitempty"`
	Value       float64 `json:"value"` // what is compared with the goal
	Lowest      float64 `json:"lowest"`
	Highest     float64 `json:"highest"` // of single rounds
	Met         bool    `json:"met"`
}

// goal is the goal of a line. The zero goal always holds.
type goal struct {
	Kind  kind    `json:"kind,omitempty"`
	Bound float64 `json:"bound,omitempty"`
}

type kind string

const (
	ratioAtLeast kind = "ratio at least" // Ours / Theirs
	ratioAtMost  kind = "ratio at most"
	atMostUnits  kind = "at most"          // Ours
	apartAtMost  kind = "apart at most"    // |Ours - Theirs|
	aboveAtMost  kind = "above by at most" // Ours - Theirs
)

// atLeastTimes wants Ours to be at least n times Theirs: for rates.
func atLeastTimes(n float64) goal { return goal{ratioAtLeast, n} }

// atMostTimes wants Ours to be at most n times Theirs: for durations.
func atMostTimes(n float64) goal { return goal{ratioAtMost, n} }

// atMost wants Ours to be at most n.
func atMost(n float64) goal { return goal{atMostUnits, n} }

// within wants Ours and Theirs to be at most n apart.
func within(n float64) goal { return goal{apartAtMost, n} }

// aboveBy wants Ours to be above Theirs by at most n.
func aboveBy(n float64) goal { return goal{aboveAtMost, n} }

// of computes the value that the goal is compared with.
func (g goal) of(ours, theirs float64) float64 {
	switch g.Kind {
	case ratioAtLeast, ratioAtMost:
		return ours / theirs
	case apartAtMost:
		return math.Abs(ours - theirs)
	case aboveAtMost:
		return ours - theirs
	}
	return ours
}

// compares reports whether the goal needs both sides.
func (g goal) compares() bool { return g.Kind != "" && g.Kind != atMostUnits }

func (g goal) met(value float64) bool {
	switch g.Kind {
	case "":
		return true
	case ratioAtLeast:
		return value >= g.Bound
	}
	return value <= g.Bound
}

// text formats the goal for the table.
func (g goal) text(unit string) string {
	switch g.Kind {
	case ratioAtLeast:
		return fmt.Sprintf("≥ %g ×", g.Bound)
	case ratioAtMost:
		return fmt.Sprintf("≤ %g ×", g.Bound)
	case apartAtMost:
		return fmt.Sprintf("within %g %s", g.Bound, unit)
	case aboveAtMost:
		return fmt.Sprintf("≤ %g %s more", g.Bound, unit)
	case atMostUnits:
		return fmt.Sprintf("≤ %g %s", g.Bound, unit)
	}
	return "–"
}

// judge computes the values derived from the measured ones.
func (l *Line) judge() {
	l.Median, l.TheirMedian = median(l.Ours), median(l.Theirs)
	l.Value = l.Wanted.of(l.Median, l.TheirMedian)
	l.Lowest, l.Highest = l.Value, l.Value
	if len(l.Theirs) == 0 || len(l.Theirs) == len(l.Ours) {
		for i, ours := range l.Ours {
			theirs := 0.0
			if len(l.Theirs) > 0 {
				theirs = l.Theirs[i]
			}
			v := l.Wanted.of(ours, theirs)
			l.Lowest, l.Highest = min(l.Lowest, v), max(l.Highest, v)
		}
	}
	l.Met = len(l.Ours) > 0 && l.Wanted.met(l.Value)
}

// median of no values is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile returns the value that a share p, 0 to 1, of all values do not
// exceed.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// cells are the columns of the table.
func (l Line) cells() []string {
	value, spread := number(l.Value), fmt.Sprintf("%s–%s", number(l.Lowest), number(l.Highest))
	if l.Wanted.Kind == ratioAtLeast || l.Wanted.Kind == ratioAtMost {
		value += " ×"
	}
	met := "yes"
	switch {
	case l.Wanted.Kind == "":
		met = ""
	case !l.Met:
		met = "NO"
	}
	theirs := ""
	if len(l.Theirs) > 0 {
		theirs = fmt.Sprintf("%s %s", number(l.TheirMedian), l.Unit)
	}
	return []string{l.What, fmt.Sprintf("%s %s", number(l.Median), l.Unit), l.Against, theirs, value, spread, l.Wanted.text(l.Unit), met}
}

var columns = []string{"what", "median", "against", "median", "value", "spread", "wanted", "met"}

// print prints a line as soon as it is measured.
func (l Line) print(out io.Writer) {
	fmt.Fprintf(out, "  %s\n", strings.Join(slices.DeleteFunc(l.cells(), func(c string) bool { return c == "" }), " · "))
	if l.Note != "" {
		fmt.Fprintf(out, "    %s\n", l.Note)
	}
}

// print prints the table, in the form of docs/performance.md.
func (r Report) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s; %s\n", r.At.Format("2006-01-02 15:04"), r.Machine)
	if r.Scale != 1 {
		fmt.Fprintf(out, "At %g of the full size: nothing here says what the full size would.\n", r.Scale)
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	row := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, "\t| ")) }
	row(columns)
	row(slices.Repeat([]string{"---"}, len(columns)))
	for _, l := range r.Lines {
		row(l.cells())
	}
	w.Flush()
}

// number formats a value with three significant digits.
func number(v float64) string {
	switch abs := math.Abs(v); {
	case abs >= 100:
		return fmt.Sprintf("%.0f", v)
	case abs >= 10:
		return fmt.Sprintf("%.1f", v)
	case abs >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}
