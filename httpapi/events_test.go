package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"rollcall/httpapi"
)

// event is a Server-Sent Event as a client gets it.
type event struct{ id, name, data string }

// stream is an open stream of events.
type stream struct {
	h     *testEnv
	lines *bufio.Scanner
	close func()
	retry string // the last one told
	beats int    // comments so far
}

// listen opens a stream that is closed with the test at the latest.
func (h *testEnv) listen(path, lastID string) *stream {
	h.Helper()
	ctx, cancel := context.WithCancel(h.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", h.url+path, nil)
	if err != nil {
		h.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		h.Fatal(err)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no",
	} {
		if got := res.Header.Get(name); got != want || res.StatusCode != 200 {
			h.Errorf("status %d, %s %q, want %q", res.StatusCode, name, got, want)
		}
	}
	s := &stream{h: h, lines: bufio.NewScanner(res.Body), close: func() { cancel(); res.Body.Close() }}
	s.lines.Buffer(nil, 1<<20)
	h.Cleanup(s.close)
	return s
}

// next reads up to the next event, false if the stream ends before one.
func (s *stream) next() (e event, ok bool) {
	s.h.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "retry":
			s.retry = value
		case "":
			if s.lines.Text() != "" {
				s.beats++
			} else if e.data != "" {
				s.h.checkEvent(e)
				return e, true
			}
		}
	}
	return event{}, false
}

// checkEvent checks an event against the API description of an import.
func (h *testEnv) checkEvent(e event) {
	h.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(e.data), &v); err != nil {
		h.Fatalf("%v in %s", err, e.data)
	}
	if err := h.spec.doc.Components.Schemas["Import"].Value.VisitJSON(v, openapi3.EnableJSONSchema2020(), openapi3.VisitAsResponse()); err != nil {
		h.Errorf("%s: %v", e.data, err)
	}
	if _, there := v["errors"]; there {
		h.Errorf("an event holds errors: %s", e.data)
	}
}

// want reads the next event and fails the test unless it is of that name and
// status.
func (s *stream) want(name, status string) event {
	s.h.Helper()
	e, ok := s.next()
	var i importBody
	if ok {
		i = as[importBody](s.h, answer{body: []byte(e.data)})
	}
	if e.name != name || i.Status != status {
		s.h.Fatalf("event %+v, want %s of an import that is %s", e, name, status)
	}
	return e
}

// wantOver fails the test unless the stream has ended.
func (s *stream) wantOver() {
	s.h.Helper()
	if e, ok := s.next(); ok {
		s.h.Errorf("event %+v where the stream was to end", e)
	}
}

// queued uploads a file that no worker processes.
func (h *testEnv) queued(content string) importBody {
	h.Helper()
	a := silent(h).do(uploadCall([]field{file(content)}, "Prefer", "respond-async"))
	h.want(a, 202)
	return as[importBody](h, a)
}

func TestEventsFollowAnImportToItsEnd(t *testing.T) {
	t.Parallel()
	h := newTestEnvWithInterval(t, time.Millisecond, nil)
	i := h.queued(mixed(50))
	s := h.listen(i.Links.Self+"/events", "")
	id, err := strconv.Atoi(s.want("progress", "queued").id)
	if err != nil {
		t.Fatal(err)
	}
	h.queue.start(uuid.MustParse(i.ID))
	var last event
	for {
		e, ok := s.next()
		now, err := strconv.Atoi(e.id)
		if !ok || err != nil || now < id || now == id && e.name != "end" {
			t.Fatalf("event %+v (%v) after id %d", e, ok, id)
		}
		if id = now; e.name == "end" {
			if last.name != "progress" || last.data != e.data {
				t.Errorf("end %+v, but the last progress was %+v", e, last)
			}
			break
		}
		last = e
	}
	if body := as[importBody](t, answer{body: []byte(last.data)}); body.Status != "completed" || body.Failed != 50 {
		t.Errorf("%+v", body)
	}
	s.wantOver()
	if s.retry != "60000" {
		t.Errorf("behind the end clients come back after %s ms", s.retry)
	}
}

func TestEventsGoOnFromTheLastOne(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	i := h.imported(people(1))
	path := i.Links.Self + "/events"
	s := h.listen(path, "")
	at := s.want("progress", "completed").id
	if end := s.want("end", "completed"); end.id != at {
		t.Errorf("end has id %s, want %s", end.id, at)
	}
	s.wantOver()
	for _, old := range []string{"0", "-1", "x"} {
		h.listen(path, old).want("progress", "completed")
	}
	h.listen(path, at).want("end", "completed") // the client may have missed it

	i = h.queued(people(2))
	path = i.Links.Self + "/events"
	at = h.listen(path, "").want("progress", "queued").id
	s = h.listen(path, at)
	h.want(h.post(i.Links.Self+"/cancel"), 202)
	if e := s.want("progress", "canceled"); e.id == at {
		t.Errorf("a change has the id of what was before: %+v", e)
	}
	s.want("end", "canceled")
}

func TestEventsOfADryRunEndWhenItIsReady(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	path := h.dryRun(people(1)).Links.Self + "/events"
	s := h.listen(path, "")
	s.want("progress", "ready")
	s.want("end", "ready")
	s.wantOver()
}

// TestEventsKeepTheirDistance changes an import continuously.
func TestEventsKeepTheirDistance(t *testing.T) {
	t.Parallel()
	const gap = 100 * time.Millisecond
	h := newTestEnvWithInterval(t, gap, nil)
	i := h.queued(people(1))
	busy, rest := context.WithCancel(t.Context())
	var changing sync.WaitGroup
	defer changing.Wait()
	defer rest()
	changing.Go(func() {
		for busy.Err() == nil {
			_, err := h.store.DB().ExecContext(busy, `UPDATE imports SET admins = admins + 1 WHERE id = $1`, i.ID)
			if err != nil && busy.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	began := time.Now()
	s := h.listen(i.Links.Self+"/events", "")
	const n = 5
	for range n {
		s.want("progress", "queued")
	}
	if took := time.Since(began); took < (n-1)*gap {
		t.Errorf("%d events within %s, want %s between two", n, took, gap)
	}
}

func TestSilentStreamBeats(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Events.Heartbeat, d.Events.MaxAge = time.Millisecond, 200*time.Millisecond })
	i := h.queued(people(1))
	s := h.listen(i.Links.Self+"/events", "")
	s.want("progress", "queued")
	s.wantOver() // the stream's time is up, the import goes on
	if s.beats == 0 {
		t.Error("a silent stream showed no sign of life")
	}
	if ms, err := strconv.Atoi(s.retry); err != nil || ms < 1000 || ms >= 4000 {
		t.Errorf("retry: %s", s.retry)
	}
}

func TestShutdownEndsStreams(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Stopping = stopping })
	s := h.listen(h.queued(people(1)).Links.Self+"/events", "")
	s.want("progress", "queued")
	close(stopping)
	s.wantOver()
}

func TestListenersAreBounded(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Events.MaxStreams = 1 })
	path := h.queued(people(1)).Links.Self + "/events"
	s := h.listen(path, "")
	s.want("progress", "queued")
	h.wantProblem(h.get(path), 503, "unavailable")
	s.close()
	ended := h.queued(people(2)).Links.Self
	h.want(h.post(ended+"/cancel"), 202)
	for { // the place is free once the server has noticed
		if a := h.get(ended + "/events"); a.status == 200 {
			break
		}
	}
}

// TestManyListenersHearTheEnd: one reader serves many streams.
func TestManyListenersHearTheEnd(t *testing.T) {
	t.Parallel()
	h := newTestEnvWithInterval(t, time.Millisecond, nil)
	i := h.queued(people(20))
	const n = 100
	var ready, all sync.WaitGroup
	ready.Add(n)
	ends := make([]string, n)
	for k := range n {
		all.Go(func() {
			s := h.listen(i.Links.Self+"/events", "")
			s.next()
			ready.Done()
			for e, ok := s.next(); ok; e, ok = s.next() {
				if e.name == "end" {
					ends[k] = e.data
				}
			}
		})
	}
	ready.Wait()
	h.queue.start(uuid.MustParse(i.ID))
	all.Wait()
	if same := slices.Compact(ends); len(same) != 1 || !strings.Contains(same[0], `"status":"completed"`) {
		t.Errorf("listeners were told %d different ends: %.300q", len(same), same)
	}
}

func TestEventsAreForThoseWhoMaySeeTheImport(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	path := h.imported(people(1)).Links.Self + "/events"
	h.wantProblem(h.do(call{method: "GET", path: path, token: h.token("imports")}), 404, "not_found")
	h.wantProblem(h.do(call{method: "GET", path: path, token: "-"}), 401, "unauthorized")
	h.want(h.do(call{method: "GET", path: path, token: h.token("imports:read")}), 200)
	h.wantProblem(h.get(importsPath+"/"+uuid.NewString()+"/events"), 404, "not_found")
	if a := h.do(call{method: "HEAD", path: path}); a.status != 200 || a.header.Get("Content-Type") != "text/event-stream" || len(a.body) != 0 {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
}
