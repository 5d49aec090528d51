package httpapi

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/httpapi/problem"
	"rollcall/roster"
)

// Events bounds the listening to events. Zero values take the default.
type Events struct {
	// Gap is the least time between two events of one stream. Default 500 ms.
	Gap time.Duration
	// Heartbeat is how long a stream may be silent: proxies close connections
	// on which nothing happens. Default 15 s.
	Heartbeat time.Duration
	// Life is how long a stream lasts; its client then connects anew, with its
	// token looked at afresh. Default 15 min.
	Life time.Duration
	// Listeners is how many streams a process serves at once. Default 10,000.
	Listeners int
}

func (e *Events) fill() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&e.Gap, 500*time.Millisecond)
	def(&e.Heartbeat, 15*time.Second)
	def(&e.Life, 15*time.Minute)
	if e.Listeners == 0 {
		e.Listeners = 10_000
	}
}

const (
	// sending is how long one event may take to get through to a listener.
	sending = 10 * time.Second
	// reconnect is when a listener comes back after a stream has broken off, at
	// the least and at the most: not all at once after a restart.
	reconnectLeast, reconnectMost = time.Second, 4 * time.Second
	// reconnectEnded is the same behind the end, for those who do not stop there.
	reconnectEnded = time.Minute
)

// events is GET …/imports/{id}/events: Server-Sent Events (WHATWG HTML,
// section 9.2). An event's id is the revision it shows.
func (a *API) events(c *gin.Context, _ caller, i *roster.Import) error {
	select {
	case a.listeners <- struct{}{}:
		defer func() { <-a.listeners }()
	default:
		return problem.New(problem.Unavailable, "As many are listening as this server takes at once. Ask for the import itself instead.").RetryAfter(10 * time.Second)
	}
	h := c.Writer.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx passes each event on at once
	if c.Request.Method == http.MethodHead {
		c.Writer.WriteHeaderNow()
		return nil
	}
	known, err := strconv.ParseInt(c.Request.Header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		known = -1 // none, or none of ours: begin with what is
	}
	l := &listener{w: c.Writer, conn: http.NewResponseController(c.Writer), known: known}
	if err := a.tell(c, l, i); err != nil && c.Request.Context().Err() == nil {
		a.Log.Debug("listener lost", "import_id", i.ID, "request_id", h.Get("X-Request-Id"), "error", err)
	}
	return nil
}

// tell sends the changes of an import until it is at rest, the client leaves,
// the stream's life is over or the server stops. The error is that of writing.
func (a *API) tell(c *gin.Context, l *listener, i *roster.Import) error {
	s, leave := a.board.follow(i.ID)
	defer leave()
	life, heartbeat := time.NewTimer(a.Events.Life), time.NewTimer(a.Events.Heartbeat)
	defer life.Stop()
	defer heartbeat.Stop()
	if err := l.begin(); err != nil {
		return err
	}
	due := time.NewTimer(0) // for next; at rest without one
	defer due.Stop()
	var early time.Time // until then it is too early for another event
	for next := (&snapshot{Import: i}); ; {
		now, turned := s.look()
		if now != nil && now.Revision > i.Revision {
			if next == nil || atRest(now.Import) {
				due.Reset(max(time.Until(early), s.lag(now)))
			}
			next, i = now, now.Import
		}
		select {
		case <-due.C:
			told, ended, err := l.show(next)
			if err != nil || ended {
				return err
			}
			next, early = nil, time.Now().Add(a.Events.Gap)
			if told {
				heartbeat.Reset(a.Events.Heartbeat)
			}
		case <-turned:
		case <-heartbeat.C:
			if err := l.comment(); err != nil {
				return err
			}
			heartbeat.Reset(a.Events.Heartbeat)
		case <-life.C:
			return nil
		case <-a.Stopping:
			return nil
		case <-c.Request.Context().Done():
			return nil
		}
	}
}

// listener is a client at the other end of a stream of events.
type listener struct {
	w     http.ResponseWriter
	conn  *http.ResponseController
	known int64 // the revision the client has; -1: none
}

// begin opens the stream.
func (l *listener) begin() error {
	return l.send(fmt.Appendf(nil, "retry: %d\n\n", (reconnectLeast + rand.N(reconnectMost-reconnectLeast)).Milliseconds()))
}

// show sends an import unless the client has it. One that is at rest ends the
// stream; its end is sent again to whoever asks again, because it cannot be
// known whether it arrived.
func (l *listener) show(i *snapshot) (told, ended bool, err error) {
	ended = atRest(i.Import)
	if i.Revision == l.known && !ended {
		return false, false, nil
	}
	data := i.json()
	var b bytes.Buffer
	if i.Revision != l.known {
		fmt.Fprintf(&b, "id: %d\nevent: progress\ndata: %s\n\n", i.Revision, data)
	}
	if ended {
		fmt.Fprintf(&b, "retry: %d\nid: %d\nevent: end\ndata: %s\n\n", reconnectEnded.Milliseconds(), i.Revision, data)
	}
	l.known = i.Revision
	return true, ended, l.send(b.Bytes())
}

// comment keeps proxies from taking silence for death.
func (l *listener) comment() error { return l.send([]byte(":\n\n")) }

func (l *listener) send(p []byte) error {
	_ = l.conn.SetWriteDeadline(time.Now().Add(sending))
	if _, err := l.w.Write(p); err != nil {
		return err
	}
	return l.conn.Flush()
}
