//go:build unix

package chaos_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/test/smtptest"
)

// draining is a state in which programs are stopped.
type draining struct {
	name string
	// arrange brings about the state and returns when it is reached; the
	// function it returns, if any, is called after the drain.
	arrange func(*drainEnv) (after func())
	// cut says that the database is unreachable: claims may remain until they
	// expire, and the exit code may report it.
	cut bool
	// away says that errors may be logged.
	away bool
}

// drainEnv is a test environment with a slow mail server and webhook
// receiver.
type drainEnv struct {
	*testEnv
	slow  atomic.Bool // mails and webhooks take two seconds
	under atomic.Int64
	hook  string
	ids   []string
	files int
}

var drainings = []draining{
	{name: "idle", arrange: func(h *drainEnv) func() { return nil }},
	{name: "checking", arrange: func(h *drainEnv) func() {
		h.big("checking")
		return nil
	}},
	{name: "importing", arrange: func(h *drainEnv) func() {
		h.big("importing")
		return nil
	}},
	{name: "sending mail", arrange: func(h *drainEnv) func() {
		h.slow.Store(true)
		h.small("true")
		h.eventually(20*time.Second, "mails are on their way", func() bool { return h.under.Load() > 0 })
		return func() { h.slow.Store(false) }
	}},
	{name: "delivering a webhook", arrange: func(h *drainEnv) func() {
		h.slow.Store(true)
		h.small("false", "webhook_url", h.hook)
		h.eventually(20*time.Second, "a webhook is on its way", func() bool { return h.under.Load() > 0 })
		return func() { h.slow.Store(false) }
	}},
	{name: "an upload arrives", arrange: func(h *drainEnv) func() {
		answered := h.slowUpload(3 * time.Second)
		return func() {
			if status := <-answered; status != http.StatusAccepted {
				h.Errorf("an upload in progress when the API was told to stop was answered with %d", status)
			}
		}
	}},
	{name: "a client waits for a change", arrange: func(h *drainEnv) func() {
		id := h.small("false")
		h.until(id, time.Minute, ended)
		answered := make(chan int, 1)
		go func() {
			a, _ := h.try("GET", "/api/admin/users/imports/"+id, nil, "Prefer", "wait=60", "If-None-Match", `"none"`)
			answered <- a.status
		}()
		time.Sleep(200 * time.Millisecond)
		return func() {
			if status := <-answered; status != http.StatusOK && status != http.StatusNotModified {
				h.Errorf("a waiting client was answered with %d", status)
			}
		}
	}},
	{name: "Redis is away", away: true, arrange: func(h *drainEnv) func() {
		h.redis.Stop()
		h.small("true")
		return h.redis.Restart
	}},
	{name: "importing, and PostgreSQL falls silent", cut: true, arrange: func(h *drainEnv) func() {
		h.big("importing")
		h.line.Silence(true)
		return func() { h.line.Silence(false) }
	}},
}

// TestDrain: SIGTERM in every state. The programs end in time with exit code 0,
// and leave no claim behind that other workers would have to wait for.
func TestDrain(t *testing.T) {
	parallel(t)
	h := &drainEnv{}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.take() }))
	defer receiver.Close()
	h.hook = receiver.URL
	h.testEnv = newTestEnv(t, envOptions{
		Env: []string{"ROLLCALL_WEBHOOK_ALLOW_PRIVATE=127.0.0.0/8"},
		SMTP: smtptest.Config{Script: func(e *smtptest.Event) {
			if e.Verb == "." && h.slow.Load() {
				gone := make(chan struct{})
				e.Hold = gone
				go func() { h.take(); close(gone) }()
			}
		}},
	})
	var longest time.Duration
	var told []any
	for _, d := range drainings {
		if d.cut && !full {
			continue // it is slow on purpose
		}
		api, worker := h.startAPI(), h.startWorker()
		after := d.arrange(h)
		stopped := make(chan time.Duration, 1)
		go func() {
			code, took := api.Stop()
			if code != 0 && !d.cut {
				t.Errorf("%s: the API ended with %d", d.name, code)
			}
			stopped <- took
		}()
		code, took := worker.Stop()
		apiTook := <-stopped
		if code != 0 && !d.cut {
			t.Errorf("%s: the worker ended with %d\n%s", d.name, code, worker.Output())
		}
		if log := worker.Output(); strings.Contains(log, `"level":"ERROR"`) && !d.cut && !d.away {
			t.Errorf("%s: the worker met an error:\n%s", d.name, log)
		}
		if left := h.claims(); left != "" && !d.cut {
			t.Errorf("%s: claims are left: %s", d.name, left)
		}
		if after != nil {
			after()
		}
		longest = max(longest, took, apiTook)
		told = append(told, d.name, fmt.Sprintf("worker %s, API %s", took.Round(10*time.Millisecond), apiTook.Round(10*time.Millisecond)))
	}
	h.startAPI()
	h.startWorker()
	for _, id := range h.ids {
		if i := h.until(id, time.Minute, mailed); i.Status != "completed" || i.Failed != 0 {
			t.Errorf("%+v", i)
		}
	}
	h.consistent()
	h.figures(append(told, "longest", longest, "imports, all completed afterwards", len(h.ids))...)
}

// take is slow while slow is set.
func (h *drainEnv) take() {
	h.under.Add(1)
	defer h.under.Add(-1)
	for end := time.Now().Add(2 * time.Second); h.slow.Load() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
}

// file makes a file with addresses of its own.
func (h *drainEnv) file(rows int) string {
	h.files++
	var b strings.Builder
	b.WriteString("email,name\n")
	for i := range rows {
		fmt.Fprintf(&b, "drain-%d-%d@example.com,Somebody\n", h.files, i)
	}
	return b.String()
}

// small uploads a few rows.
func (h *drainEnv) small(invite string, options ...string) string {
	h.Helper()
	id := h.upload(h.file(20), append([]string{"send_invitations", invite}, options...)...)
	h.ids = append(h.ids, id)
	return id
}

// big uploads many rows and returns when their check or import is partly done.
func (h *drainEnv) big(status string) {
	h.Helper()
	h.line.Delay(5 * time.Millisecond)
	defer h.line.Delay(0)
	id := h.upload(h.file(sized(40_000, 60_000)), "send_invitations", "false")
	h.ids = append(h.ids, id)
	h.eventually(time.Minute, status, func() bool {
		return one[bool](h.testEnv, `SELECT status = $2 AND cursor_row > 0 FROM imports WHERE id = $1`, id, status)
	})
}

// slowUpload starts an upload with a slow body, and returns when some of it has
// arrived; the channel receives the status of the response.
func (h *drainEnv) slowUpload(takes time.Duration) <-chan int {
	h.Helper()
	const boundary = "a-boundary"
	body, w := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		a, err := h.try("POST", "/api/admin/users/import", body, "Content-Type", "multipart/form-data; boundary="+boundary, "Prefer", "respond-async")
		if err != nil {
			h.Errorf("an upload broke off: %v", err)
		}
		if a.status == http.StatusAccepted {
			h.ids = append(h.ids, a.imported().ID)
		}
		answered <- a.status
	}()
	io.WriteString(w, "--"+boundary+"\r\nContent-Disposition: form-data; name=\"file\"; filename=\"users.csv\"\r\n\r\n")
	lines := strings.SplitAfter(h.file(20), "\n")
	go func() {
		for _, line := range lines {
			io.WriteString(w, line)
			time.Sleep(takes / time.Duration(len(lines)))
		}
		io.WriteString(w, "\r\n--"+boundary+"--\r\n")
		w.Close()
	}()
	time.Sleep(300 * time.Millisecond)
	return answered
}

// claims lists the claims that are left, "" if none.
func (h *testEnv) claims() string {
	h.Helper()
	imports := one[int](h, `SELECT count(*) FROM imports WHERE lease_until > clock_timestamp()`)
	mails := one[int](h, `SELECT count(*) FROM invitations WHERE claimed_until > clock_timestamp()`)
	webhooks := one[int](h, `SELECT count(*) FROM webhook_deliveries WHERE status = 'pending' AND claimed_until > clock_timestamp()`)
	if imports+mails+webhooks == 0 {
		return ""
	}
	return fmt.Sprintf("%d imports, %d invitations, %d webhooks", imports, mails, webhooks)
}
