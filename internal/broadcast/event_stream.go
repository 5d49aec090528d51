package broadcast

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"rollcall/roster"
)

// StreamLimits limit event streams. Zero values take the default.
type StreamLimits struct {
	// Heartbeat is how long a stream may be silent, because proxies close idle
	// connections. Default 15 s.
	Heartbeat time.Duration
	// MaxAge is how long a stream lasts. The client then reconnects and is
	// authenticated again. Default 15 min.
	MaxAge time.Duration
	// MaxStreams is how many streams are open at once. Default 10,000.
	MaxStreams int
}

const (
	// eventWriteTimeout bounds writing one event to a client.
	eventWriteTimeout = 10 * time.Second
	// A client reconnects after minReconnect to maxReconnect if its stream
	// breaks, so that not all reconnect at once after a restart. After the last
	// event, when clients should not reconnect at all, it is endReconnect.
	minReconnect, maxReconnect = time.Second, 4 * time.Second
	endReconnect               = time.Minute
)

// ErrTooManyStreams is returned when MaxStreams are open.
var ErrTooManyStreams = errors.New("too many event streams")

// Streams sends imports as server-sent events (WHATWG HTML, section 9.2). It is
// safe for concurrent use.
type Streams struct {
	broadcaster *Broadcaster
	limits      StreamLimits
	slots       chan struct{} // one token for each stream
}

// NewStreams makes Streams for what b publishes.
func NewStreams(b *Broadcaster, l StreamLimits) *Streams {
	l.Heartbeat = cmp.Or(l.Heartbeat, 15*time.Second)
	l.MaxAge = cmp.Or(l.MaxAge, 15*time.Minute)
	l.MaxStreams = cmp.Or(l.MaxStreams, 10_000)
	return &Streams{b, l, make(chan struct{}, l.MaxStreams)}
}

// Events says what the events of a stream contain.
type Events struct {
	// Body returns the data of an event, which is sent as JSON.
	Body func(*roster.Import) any
	// Ended reports whether the import has changed for the last time.
	Ended func(*roster.Import) bool
}

// Serve sends an import, as it was just read, and its changes: "progress" after
// each change, but no more often than the Broadcaster's interval, and "end"
// after the last one. An event's id is the revision it shows. A client that
// sends the revision it has as Last-Event-ID continues from there.
//
// Serve returns after the end, or when the client disconnects, the stream has
// reached MaxAge or the server stops. The error is nil or ErrTooManyStreams; in
// that case nothing has been written.
func (s *Streams) Serve(w http.ResponseWriter, r *http.Request, i *roster.Import, e Events) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return ErrTooManyStreams
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // makes nginx pass each event on at once
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	known, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		known = -1 // none, or not one of ours: start with the current revision
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.limits.MaxAge)
	defer cancel()
	s.follow(ctx, &eventWriter{w, http.NewResponseController(w), e, known}, i)
	return nil
}

// follow sends an import and its changes until the stream is over. A client
// that cannot be written to has disconnected.
func (s *Streams) follow(ctx context.Context, w *eventWriter, i *roster.Import) {
	subscription := s.broadcaster.Subscribe(i.ID)
	defer subscription.Close()
	if w.send(retry(minReconnect+rand.N(maxReconnect-minReconnect))+"\n") != nil {
		return
	}
	for {
		if w.show(i) != nil || w.events.Ended(i) {
			return
		}
		next, err := s.next(ctx, w, subscription, i.Revision)
		if err != nil {
			return
		}
		i = next
	}
}

// next waits for the next revision to send, sending heartbeats meanwhile.
func (s *Streams) next(ctx context.Context, w *eventWriter, subscription *Subscription, after int64) (*roster.Import, error) {
	notBefore := time.Now().Add(s.broadcaster.Interval)
	for {
		beat, cancel := context.WithTimeout(ctx, s.limits.Heartbeat)
		i, err := subscription.Next(beat, after, notBefore)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return i, err
		}
		if err := w.send(":\n\n"); err != nil {
			return nil, err
		}
	}
}

// eventWriter writes to one client.
type eventWriter struct {
	w      http.ResponseWriter
	conn   *http.ResponseController
	events Events
	known  int64 // the revision the client has; -1: none
}

// show sends an import, unless the client has it. The last event is sent again
// to a client that asks again: we cannot know whether it arrived.
func (w *eventWriter) show(i *roster.Import) error {
	ended := w.events.Ended(i)
	if i.Revision == w.known && !ended {
		return nil
	}
	data, err := json.Marshal(w.events.Body(i))
	if err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	var b bytes.Buffer
	if i.Revision != w.known {
		fmt.Fprintf(&b, "id: %d\nevent: progress\ndata: %s\n\n", i.Revision, data)
	}
	if ended {
		fmt.Fprintf(&b, "%sid: %d\nevent: end\ndata: %s\n\n", retry(endReconnect), i.Revision, data)
	}
	w.known = i.Revision
	return w.send(b.String())
}

func retry(after time.Duration) string { return fmt.Sprintf("retry: %d\n", after.Milliseconds()) }

func (w *eventWriter) send(text string) error {
	_ = w.conn.SetWriteDeadline(time.Now().Add(eventWriteTimeout)) // a test's recorder does not support deadlines
	if _, err := w.w.Write([]byte(text)); err != nil {
		return err
	}
	return w.conn.Flush()
}
