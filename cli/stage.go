package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// phase is what is going on.
type phase int

const (
	notBegun  phase = iota
	sending         // the file goes out; counted in bytes
	waiting         // no worker has begun
	checking        // counted in rows
	importing       // counted in rows
)

func (p phase) String() string {
	return [...]string{"", "Sending", "Waiting for a worker", "Checking", "Importing"}[p]
}

// unknown is a total that is not known.
const unknown = -1

// stage is how far a phase has come.
type stage struct {
	phase       phase
	done, total int64     // bytes or rows; total may be unknown
	since       time.Time // the phase began, as seen from here
	from        int64     // done then
	awayUntil   time.Time // the server is away and asked again then; zero: it answers
}

const (
	leastBar = 10 // columns within the brackets; narrower says nothing
	mostBar  = 40

	// settling is how long a phase must have lasted before its speed is told.
	settling = time.Second
)

// line says it in one line of less than width columns, or of any length for
// width 0. Where it is narrow the bar is worth more than the speed, and the
// bare figures are worth more than the bar.
func (s stage) line(now time.Time, width int) string {
	head := s.phase.String()
	if !s.awayUntil.IsZero() {
		return cut(joined(head, "no answer, trying again in "+span(max(s.awayUntil.Sub(now), 0))), width)
	}
	share, amount, speed, left := s.figures(now)
	if width <= 0 {
		return joined(head, share, amount, speed, left)
	}
	tails := []string{joined(share, amount, speed, left), joined(share, amount, left), joined(share, amount), share}
	if s.total > 0 {
		for _, tail := range tails {
			taken := utf8.RuneCountInString(joined(head, tail)) + len("  []")
			if room := width - 1 - taken; room >= leastBar {
				return joined(head, bar(s.share(), min(room, mostBar)), tail)
			}
		}
	}
	for _, tail := range tails {
		if line := joined(head, tail); utf8.RuneCountInString(line) < width {
			return line
		}
	}
	return cut(head, width)
}

// joined puts two spaces between the parts that are not empty.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), "  ")
}

// figures are the percentage, the amount, the speed and the time left, those
// not known empty.
func (s stage) figures(now time.Time) (share, amount, speed, left string) {
	if s.total > 0 {
		share = fmt.Sprintf("%3.0f%%", 100*s.share())
	}
	switch {
	case s.phase == waiting:
	case s.phase == sending && s.total >= 0:
		amount = fmt.Sprintf("%s of %s", size(s.done), size(s.total))
	case s.phase == sending:
		amount = size(s.done)
	case s.total >= 0:
		amount = fmt.Sprintf("%s of %s", grouped(s.done), counted(s.total, "row", "rows"))
	default:
		amount = counted(s.done, "row", "rows")
	}
	spent := now.Sub(s.since)
	if spent < settling || s.done <= s.from {
		return share, amount, "", ""
	}
	rate := float64(s.done-s.from) / spent.Seconds()
	speed = grouped(int64(rate)) + " rows/s"
	if s.phase == sending {
		speed = size(int64(rate)) + "/s"
	}
	if s.total > s.done {
		left = span(time.Duration(float64(s.total-s.done)/rate*float64(time.Second))) + " left"
	}
	return share, amount, speed, left
}

// share is how much is done, from 0 to 1; 100 % is shown only for all of it.
func (s stage) share() float64 {
	if s.done >= s.total {
		return 1
	}
	return min(float64(s.done)/float64(s.total), 0.99)
}

func bar(share float64, columns int) string {
	full := int(share * float64(columns))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", columns-full) + "]"
}

// cut keeps a line below width, for the last column of some terminals wraps;
// 0 is any width.
func cut(line string, width int) string {
	if width <= 0 || utf8.RuneCountInString(line) < width {
		return line
	}
	return string([]rune(line)[:width-1])
}

// grouped writes a number with commas between its thousands.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// counted writes a number and what it counts.
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// size writes a number of bytes in decimal units.
func size(bytes int64) string {
	switch {
	case bytes < 1000:
		return counted(bytes, "byte", "bytes")
	case bytes < 1_000_000:
		return fmt.Sprintf("%.0f kB", float64(bytes)/1e3)
	case bytes < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
	default:
		return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
	}
}

// span writes a duration in its two largest units.
func span(d time.Duration) string {
	switch s := int64(d.Round(time.Second).Seconds()); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	default:
		return fmt.Sprintf("%d h %02d min", s/3600, s%3600/60)
	}
}
