//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"time"
)

// imported is the part of an import that measurements look at.
type imported struct {
	ID          string
	Status      string
	Total       int64
	Valid       int64
	Imported    int64
	Updated     int64
	Unchanged   int64
	Disabled    int64
	Failed      int64
	Invitations struct{ Held, Pending, Sent int64 }
	CreatedAt   time.Time `json:"created_at"`
	StartedAt   time.Time `json:"started_at"`
	FinishedAt  time.Time `json:"finished_at"`
}

// post uploads a file, streaming it, and returns the response: a finished import
// if it finished within wait, else one in progress. Options are names and values
// in turn.
func (h *installation) post(ctx context.Context, path string, wait time.Duration, options ...string) (i imported, err error) {
	body, contentType, err := form(path, options)
	if err != nil {
		return i, err
	}
	defer body.Close()
	headers := http.Header{"Content-Type": {contentType}, "Prefer": {fmt.Sprintf("wait=%d", int(wait.Seconds()))}}
	raw, err := h.ask(ctx, http.MethodPost, "/api/admin/users/import", body, headers, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return i, err
	}
	return i, json.Unmarshal(raw, &i)
}

// form streams a multipart body with the options and the file.
func form(path string, options []string) (io.ReadCloser, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	for i := 0; i+1 < len(options); i += 2 {
		if err := w.WriteField(options[i], options[i+1]); err != nil {
			return nil, "", err
		}
	}
	if _, err := w.CreateFormFile("file", "users.csv"); err != nil {
		return nil, "", err
	}
	tail := bytes.NewBufferString("\r\n--" + w.Boundary() + "--\r\n")
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&head, f, tail), f}, w.FormDataContentType(), nil
}

// until waits until wanted reports true for an import.
func (h *installation) until(ctx context.Context, i imported, wanted func(imported) bool) (imported, error) {
	for !wanted(i) {
		raw, err := h.ask(ctx, http.MethodGet, "/api/admin/users/imports/"+i.ID, nil, http.Header{"Prefer": {"wait=60"}}, http.StatusOK)
		if err != nil {
			return i, err
		}
		id := i.ID
		i = imported{}
		if err := json.Unmarshal(raw, &i); err != nil {
			return i, err
		}
		if i.ID = id; i.Status == "failed" || i.Status == "canceled" {
			return i, fmt.Errorf("the import %s: %.300s", i.Status, raw)
		}
	}
	return i, nil
}

func atRest(i imported) bool { return i.Status == "completed" || i.Status == "ready" }

// run uploads a file and waits for its end. It returns how long that took, from
// the first byte of the request to the response that reports the end.
func (h *installation) run(ctx context.Context, path string, options ...string) (imported, time.Duration, error) {
	began := time.Now()
	i, err := h.post(ctx, path, time.Minute, options...)
	if err == nil {
		i, err = h.until(ctx, i, atRest)
	}
	return i, time.Since(began), err
}
