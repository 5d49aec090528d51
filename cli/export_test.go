package cli

import (
	"io"
	"time"

	"rollcall/client"
)

// What is shown, as pure functions of what is known.
var (
	ParseLife = parseLife
	Span      = span
	InClear   = inTheClear
	Loopback  = loopback
)

// Explained is the block for an error.
func Explained(w io.Writer, err error) { explain(w, err) }

// Stage is a stage of an import that began spent ago.
type Stage struct {
	Phase             string
	Done, Total, From int64
	Spent, Away       time.Duration
}

// Line is the plain line for it, Draw that of a terminal.
func (s Stage) Line() string          { st, now := s.stage(); return st.line(now) }
func (s Stage) Draw(width int) string { st, now := s.stage(); return st.draw(now, width) }

func (s Stage) stage() (stage, time.Time) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	st := stage{done: s.Done, total: s.Total, from: s.From, since: now.Add(-s.Spent)}
	for p := notBegun; p <= importing; p++ {
		if p.String() == s.Phase {
			st.phase = p
		}
	}
	if s.Away > 0 {
		st.awayUntil = now.Add(s.Away)
	}
	return st, now
}

// Summary is the summary of an import of users.csv.
func Summary(i *client.Import, report string) string {
	return summary(i, summaryFacts{file: "users.csv", report: report, page: "http://localhost:8080/admin/imports/1"})
}

// Progress is a progress line on a terminal of this width, 0 for none.
type Progress struct{ *progress }

// NewProgress starts one.
func NewProgress(w io.Writer, width int) Progress {
	return Progress{newProgress(w, func() int { return width })}
}

func (p Progress) Follow(i *client.Import)                  { p.follow(i) }
func (p Progress) Retrying(cause error, wait time.Duration) { p.retrying(cause, wait) }
func (p Progress) Note(text string)                         { p.note(text) }
func (p Progress) Sent(bytes, size int64)                   { p.sent(bytes, size) }
func (p Progress) Stop()                                    { p.stop() }
