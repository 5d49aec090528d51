package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cheggaaa/pb/v3"

	"rollcall/internal/humanize"
)

// phase is the part of an import that is in progress.
type phase int

const (
	notBegun  phase = iota
	sending         // the file is uploaded; counted in bytes
	waiting         // no worker has started
	checking        // counted in rows
	importing       // counted in rows
)

func (p phase) String() string {
	return [...]string{"", "Uploading", "Waiting for a worker", "Checking", "Importing"}[p]
}

// unknown is a total that is not known.
const unknown = -1

// stage is the progress of a phase.
type stage struct {
	phase       phase
	done, total int64     // bytes or rows; total may be unknown
	since       time.Time // local time when the phase began
	from        int64     // done at that time
	awayUntil   time.Time // the server is not responding until this retry; zero: it responds
}

const (
	leastBar  = 12  // columns with the brackets; a narrower bar shows nothing useful
	mostWidth = 100 // columns of a line with a bar

	// settling is how long a phase must have lasted before its speed is shown.
	settling = time.Second
)

// line describes the stage in one line of text.
func (s stage) line(now time.Time) string {
	if !s.awayUntil.IsZero() {
		return joined(s.phase.String(), "no response, retrying in "+span(max(s.awayUntil.Sub(now), 0)))
	}
	full, _ := s.figures(now)
	return joined(s.phase.String(), full)
}

const barTemplate = `{{string . "head"}}  {{bar . "[" "#" "#" "." "]"}}  {{string . "figures"}}`

// draw is line with a bar, for a terminal of this width. If space is short it
// drops the speed first, then the bar.
func (s stage) draw(now time.Time, width int) string {
	width-- // some terminals wrap at the last column
	if s.total > 0 && s.awayUntil.IsZero() {
		full, short := s.figures(now)
		for _, figures := range []string{full, short} {
			if pb.CellCount(joined(s.phase.String(), figures))+len("  ")+leastBar <= width {
				return pb.New64(s.total).SetCurrent(s.done).SetWidth(min(width, mostWidth)).SetTemplateString(barTemplate).
					Set("head", s.phase.String()).Set("figures", figures).String()
			}
		}
	}
	return pb.StripString(s.line(now), max(width, 0))
}

// joined puts two spaces between the parts that are not empty.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), "  ")
}

// figures returns the percentage, the amount, the speed and the time left, as
// far as they are known; short leaves out the speed.
func (s stage) figures(now time.Time) (full, short string) {
	var share, amount, speed, left string
	if s.total > 0 {
		share = fmt.Sprintf("%3.0f%%", 100*s.share())
	}
	switch {
	case s.phase == waiting:
	case s.phase == sending && s.total >= 0:
		amount = fmt.Sprintf("%s of %s", humanize.Size(s.done), humanize.Size(s.total))
	case s.phase == sending:
		amount = humanize.Size(s.done)
	case s.total >= 0:
		amount = fmt.Sprintf("%s of %s", humanize.Number(s.done), humanize.Count(s.total, "row", "rows"))
	default:
		amount = humanize.Count(s.done, "row", "rows")
	}
	if spent := now.Sub(s.since); spent >= settling && s.done > s.from {
		rate := float64(s.done-s.from) / spent.Seconds()
		speed = humanize.Number(int64(rate)) + " rows/s"
		if s.phase == sending {
			speed = humanize.Size(int64(rate)) + "/s"
		}
		if s.total > s.done {
			left = span(time.Duration(float64(s.total-s.done)/rate*float64(time.Second))) + " left"
		}
	}
	return joined(share, amount, speed, left), joined(share, amount, left)
}

// share is the completed fraction, from 0 to 1. It is 1 only when everything is
// done.
func (s stage) share() float64 {
	if s.done >= s.total {
		return 1
	}
	return min(float64(s.done)/float64(s.total), 0.99)
}

// span formats a duration in its two largest units.
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
