//go:build unix

package chaos_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"time"

	"rollcall/test/programtest"
)

// answer is a response of the API.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// imported is the part of an import the experiments look at.
type imported struct {
	ID          string
	Status      string
	Total       *int64
	Checked     int64
	Valid       int64
	Processed   int64
	Imported    int64
	Updated     int64
	Unchanged   int64
	Disabled    int64
	Failed      int64
	Plan        struct{ Disable int64 }
	Invitations struct{ Held, Pending, Sent, Failed, Accepted int64 }
}

func (a answer) imported() (i imported) {
	if err := json.Unmarshal(a.body, &i); err != nil || i.ID == "" {
		panic(fmt.Sprintf("not an import: %d %s", a.status, a.body))
	}
	return i
}

// impatient gives up on an API that hangs.
var impatient = &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// try sends a request to the API; an error is one of the connection.
func (h *testEnv) try(method, path string, body io.Reader, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, h.url+path, body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+programtest.Token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := h.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, raw}, err
}

func (h *testEnv) ask(method, path string, body io.Reader, headers ...string) answer {
	h.Helper()
	a, err := h.try(method, path, body, headers...)
	if err != nil {
		h.Fatal(err)
	}
	return a
}

// get retries while the API reports that the database is unavailable.
func (h *testEnv) get(path string, headers ...string) answer {
	h.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		a := h.ask("GET", path, nil, headers...)
		if a.status != http.StatusServiceUnavailable {
			return a
		}
		if time.Now().After(deadline) {
			h.Fatalf("GET %s: %d for a minute\n%s", path, a.status, a.body)
		}
	}
}

// tryPost uploads a file and does not wait for the import; an error is one of
// the connection.
func (h *testEnv) tryPost(file string, headers []string, options ...string) (answer, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, _ := w.CreateFormFile("file", "users.csv")
	io.WriteString(part, file)
	for i := 0; i+1 < len(options); i += 2 {
		w.WriteField(options[i], options[i+1])
	}
	w.Close()
	return h.try("POST", "/api/admin/users/import", &b,
		append([]string{"Content-Type", w.FormDataContentType(), "Prefer", "respond-async"}, headers...)...)
}

// upload posts a file that must be accepted, and returns the import's id.
func (h *testEnv) upload(file string, options ...string) string {
	h.Helper()
	a, err := h.tryPost(file, nil, options...)
	if err != nil {
		h.Fatal(err)
	}
	if a.status != http.StatusAccepted {
		h.Fatalf("an upload was answered with %d\n%s", a.status, a.body)
	}
	return a.imported().ID
}

// until waits until wanted reports true for an import.
func (h *testEnv) until(id string, within time.Duration, wanted func(imported) bool) imported {
	h.Helper()
	if id == "" {
		h.Fatal("a file was never taken")
	}
	for deadline := time.Now().Add(within); ; {
		i := h.get("/api/admin/users/imports/"+id, "Prefer", "wait=1").imported()
		if wanted(i) {
			return i
		}
		if time.Now().After(deadline) {
			h.Fatalf("not within %s: %+v", within, i)
		}
		time.Sleep(50 * time.Millisecond) // changes may be more frequent than the rate limit allows requests
	}
}

func ended(i imported) bool {
	return i.Status == "completed" || i.Status == "failed" || i.Status == "canceled"
}

func mailed(i imported) bool { return ended(i) && i.Invitations.Pending == 0 }
