package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/httpapi"
)

// pageBytes is what a page of a list may take.
const pageBytes = 4 << 20

// TestPagesOfRowsAreBounded: pages of rows and errors end at 4 MiB with next,
// whatever the cells hold, and the pages together have every row.
func TestPagesOfRowsAreBounded(t *testing.T) {
	t.Parallel()
	const cell = 480
	wide := strings.Repeat(","+strings.Repeat("x", cell), 8)
	var many strings.Builder
	many.WriteString("email,name,a,b,c,d,e,f,g,h\n")
	rows := 0
	for ; many.Len() < 7<<20; rows++ {
		fmt.Fprintf(&many, "bad%d,Name%s\n", rows, wide)
	}
	for name, c := range map[string]struct {
		file string
		rows int
	}{
		"cells of a megabyte": {"email,name,note\n" + strings.Repeat("bad,Name,"+strings.Repeat("y", 1<<20-100)+"\n", 7), 7},
		"many rows":           {many.String(), rows},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t, nil)
			i := h.imported(c.file, field{"dry_run", "", "true"})
			for _, list := range []string{"/rows?limit=1000&only=errors", "/rows?limit=1000", "/errors?limit=1000"} {
				seen, next := 0, ""
				for first := true; first || next != ""; first = false {
					a := h.get(i.Links.Self + list + "&after=" + next)
					h.want(a, 200)
					if len(a.body) > pageBytes {
						t.Fatalf("%s: a page of %d bytes", list, len(a.body))
					}
					page := as[listBody[rowBody]](h, a)
					if seen += len(page.Items); len(page.Items) == 0 {
						t.Fatalf("%s: an empty page", list)
					}
					next = ""
					if page.Next != nil {
						next = *page.Next
					}
				}
				if seen != c.rows {
					t.Errorf("%s: %d rows on all pages, want %d", list, seen, c.rows)
				}
			}
		})
	}
}

// TestImportsWithLongWarningsArePaged: a header of thousands of names is not
// repeated in full in every import of a list.
func TestImportsWithLongWarningsArePaged(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	var header strings.Builder
	header.WriteString("email,name")
	for n := range 900 {
		fmt.Fprintf(&header, ",column %d%s", n, strings.Repeat("-", 900))
	}
	const imports = 6
	for range imports {
		h.imported(header.String()+"\n", field{"dry_run", "", "true"})
	}
	a := h.get(importsPath + "?limit=200")
	h.want(a, 200)
	if n := len(as[listBody[importBody]](h, a).Items); n != imports || len(a.body) > pageBytes {
		t.Errorf("%d imports in %d bytes", n, len(a.body))
	}
	if first := as[listBody[importBody]](h, a).Items[0]; len(first.Warnings) != 1 || len(first.Warnings[0].Columns) != 100 {
		t.Errorf("%d warnings", len(first.Warnings))
	}
}

// TestListsAreLimitedAsPolls: what is asked for page by page counts as polls.
func TestListsAreLimitedAsPolls(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Limits.Polls = httpapi.Quota{Count: 1, Window: time.Minute} })
	i := h.imported(people(1))
	for _, path := range []string{i.Links.Self + "/rows", i.Links.Errors, importsPath, "/api/admin/users", "/api/admin/webhooks"} {
		own := &http.Transport{}
		t.Cleanup(own.CloseIdleConnections)
		for n, status := range []int{200, 429} {
			a, err := h.over(own, call{method: "GET", path: path})
			if err != nil {
				t.Fatal(err)
			}
			if a.status != status {
				t.Errorf("%s, request %d: status %d, want %d", path, n+1, a.status, status)
			}
		}
	}
}

func TestRedeliveriesAreLimitedByToken(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) { d.Limits.Redeliveries = httpapi.Quota{Count: 2, Window: time.Minute} })
	path := fmt.Sprintf("/api/admin/webhooks/%s/deliveries/%s/redeliver", uuid.New(), uuid.New())
	h.wantProblem(h.post(path), 404, "not_found")
	h.wantProblem(h.post(path), 404, "not_found")
	h.wantLimited(h.post(path), `"redeliveries";q=2;w=60`)
}

// TestBodyThatNeverEndsIsGivenUp: be it good so far or not, a JSON body that does
// not come to its end holds its connection no longer than a request may take.
func TestBodyThatNeverEndsIsGivenUp(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for _, begin := range []string{`{"url": "https://`, `[`, `{"url": 1}`} {
		t.Run(begin, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST /api/admin/webhooks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n%s", adminToken, begin)
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(200 * time.Millisecond):
						_, _ = io.WriteString(conn, " ")
					}
				}
			}()
			_ = conn.SetReadDeadline(time.Now().Add(14 * time.Second))
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, _ = io.Copy(io.Discard, res.Body); res.StatusCode != 400 {
				t.Errorf("status %d", res.StatusCode)
			}
			if _, err := in.ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
				t.Errorf("the connection is still open: %v", err)
			}
		})
	}
}
