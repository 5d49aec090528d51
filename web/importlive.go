package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/roster"
)

const (
	// maxStreams is how many pages may follow an import by events at once;
	// the others poll.
	maxStreams = 128
	// streamLife ends a stream; the browser opens another, and is asked again
	// who it is.
	streamLife = 5 * time.Minute
	// streamPace is the least time between two events.
	streamPace = 500 * time.Millisecond
	// streamBeat is how often a silent stream gives a sign of life.
	streamBeat = 15 * time.Second
	// streamWrite bounds a write to a client that takes nothing.
	streamWrite = 10 * time.Second
)

// errCrowded: as many streams are open as may be. The page polls instead.
var errCrowded = errors.New("too many streams")

// progress is what a page that follows an import is told. Texts stand in the
// elements whose data-live attribute has their name.
type progress struct {
	Status roster.Status     `json:"status"`
	Done   int64             `json:"done"`
	All    int64             `json:"all"` // 0: not known yet
	Live   bool              `json:"live"`
	Texts  map[string]string `json:"texts"`
}

func newProgress(i *roster.Import) progress {
	v := importView{Import: i}
	rows := "–"
	if i.Total != nil {
		rows = number(*i.Total)
	}
	return progress{
		Status: i.Status, Done: done(i), All: all(i), Live: moving(i),
		Texts: map[string]string{
			"counted":  v.Counted(),
			"rows":     rows,
			"valid":    number(i.Valid),
			"imported": number(i.Imported),
			"updated":  number(i.Updated),
			"failed":   number(i.Failed),
			"mailed":   v.Mailed(),
			"held":     number(i.Invitations.Held),
			"pending":  number(i.Invitations.Pending),
			"sent":     number(i.Invitations.Sent),
			"accepted": number(i.Invitations.Accepted),
			"bounced":  number(i.Invitations.Failed),
		},
	}
}

// Counted says how far the work under way has come: "1,234 of 5,000 rows".
func (v importView) Counted() string {
	switch {
	case v.All() > 0:
		return number(v.Done()) + " of " + counted(v.All(), "row", "rows")
	case v.Done() > 0:
		return counted(v.Done(), "row", "rows") + " so far"
	}
	return ""
}

// showCounts answers with the progress of an import once, as JSON.
func (s *Site) showCounts(c *gin.Context, _ *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	i, err := s.Store.Import(c.Request.Context(), id)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newProgress(i))
	return nil
}

// streamImport sends the progress of an import as Server-Sent Events (WHATWG
// HTML §9.2) until it moves no more: "progress" after each change, at most
// twice a second, and "end".
func (s *Site) streamImport(c *gin.Context, _ *roster.User) error {
	id, err := importID(c)
	if err != nil {
		return err
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return errCrowded
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), streamLife)
	defer cancel()
	changed, stop := s.Watcher.Watch(id) // before the first look, so that no change is missed
	defer stop()
	w := eventWriter{c.Writer, http.NewResponseController(c.Writer)}
	defer w.conn.SetWriteDeadline(time.Time{}) // it is the stream's, not the connection's
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	for {
		moves, err := s.sendProgress(ctx, c, w, id)
		if err != nil || !moves {
			return err
		}
		if !s.rest(ctx, streamPace) {
			return nil
		}
		for waiting := true; waiting; {
			select {
			case <-changed:
				waiting = false
			case <-beat.C:
				if err := w.send(": still here\n\n"); err != nil {
					return err
				}
			case <-s.Stopping:
				return nil
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// sendProgress tells how an import stands, and whether it moves still.
func (s *Site) sendProgress(ctx context.Context, c *gin.Context, w eventWriter, id uuid.UUID) (moves bool, err error) {
	i, err := s.Store.Import(ctx, id)
	if err != nil {
		return false, err
	}
	p := newProgress(i)
	if !c.Writer.Written() {
		c.Header("Content-Type", "text/event-stream")
		c.Header("X-Accel-Buffering", "no") // nginx would gather events
		if err := w.send("retry: 2000\n\n"); err != nil {
			return false, err
		}
	}
	if err := w.event("progress", p); err != nil || p.Live {
		return p.Live, err
	}
	return false, w.event("end", p)
}

// rest waits; it returns false if the stream is to end meanwhile.
func (s *Site) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.Stopping:
	case <-ctx.Done():
	}
	return false
}

// eventWriter writes to a client that may have stopped reading.
type eventWriter struct {
	w    gin.ResponseWriter
	conn *http.ResponseController
}

func (w eventWriter) event(name string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	return w.send("event: " + name + "\ndata: " + string(text) + "\n\n")
}

func (w eventWriter) send(text string) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("bound the stream: %w", err)
	}
	if _, err := w.w.WriteString(text); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	w.w.Flush()
	return nil
}
