package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
)

// stallLimit is how long an upload may make no progress.
const stallLimit = 2 * time.Minute

var errStalled = errors.New("the upload made no progress for two minutes")

// Options are the import options of a file. Zero values leave the choice to the
// server.
type Options struct {
	DryRun        bool              // stop at Ready, write nothing
	OnDuplicate   string            // skip or update
	NoInvitations bool              // hold all invitations
	Encoding      string            // a WHATWG name, or auto
	Delimiter     string            // one of , ; tab |
	Mapping       map[string]string // our column -> header in the file, or [roster.Headers]
	Blank         string            // keep or clear
	Missing       string            // keep or disable
	MaxDisable    string            // safety limit of missing=disable: a number or percentage
	Source        string            // whose keys the file has; "": the token's own

	// ValueMap is JSON: our column -> value in the file -> our value.
	ValueMap string `json:",omitempty"`
	// Profile names an import profile. ProfileTag, from [Client.ProfileTag], is not
	// sent: it makes another Key after the profile was changed.
	Profile    string `json:",omitempty"`
	ProfileTag string `json:",omitempty"`
	Sheet      string `json:",omitempty"` // of a workbook; "": the first visible one with cells
	HeaderRow  int64  `json:",omitempty"` // the row with the names of the columns; 0: the first that isn't blank
}

// field is one option as a part of the form.
type field struct{ name, value string }

// fields returns the options that are set, in a fixed order.
func (o Options) fields() ([]field, error) {
	var fields []field
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, field{name, value})
		}
	}
	if o.DryRun {
		add("dry_run", "true")
	}
	add("on_duplicate", o.OnDuplicate)
	if o.NoInvitations {
		add("send_invitations", "false")
	}
	add("blank", o.Blank)
	add("source", o.Source)
	add("missing", o.Missing)
	add("max_disable", o.MaxDisable)
	add("value_map", o.ValueMap)
	add("profile", o.Profile)
	add("encoding", o.Encoding)
	add("delimiter", o.Delimiter)
	add("sheet", o.Sheet)
	if o.HeaderRow > 0 {
		add("header_row", strconv.FormatInt(o.HeaderRow, 10))
	}
	if len(o.Mapping) > 0 {
		headers := make(map[string]roster.Headers, len(o.Mapping))
		for column, header := range o.Mapping {
			headers[column] = roster.Headers(header)
		}
		mapping, err := json.Marshal(headers) // keys come sorted
		if err != nil {
			return nil, fmt.Errorf("encode mapping: %w", err)
		}
		add("mapping", string(mapping))
	}
	return fields, nil
}

// Upload is a file to import with its options.
type Upload struct {
	Filename string // as shown to people; no path
	Options  Options

	// Open returns the file's content from its beginning. It is called again
	// for each retry, which needs a Key; without one a lost response is an
	// error, because a second upload might import the file twice.
	Open func() (io.ReadCloser, error)
	// Size is the content's length in bytes, so that the server can reject a
	// file that is too large before it is sent; -1: not known.
	Size int64
	// Key is the Idempotency-Key; "" for none. See [Client.Key].
	Key string

	// Sent, if not nil, is called with the number of bytes sent so far. It
	// starts at 0 again for each attempt.
	Sent func(bytes int64)
}

// Upload sends a file and returns the import that was started: once it returns
// without an error, the file is committed. It streams the file and, if u has a
// Key, retries after lost connections and when the server asks to come back.
// The error is a *Problem if the server rejects the upload, a *ConnectionError
// if it does not respond, and otherwise local.
func (c *Client) Upload(ctx context.Context, u Upload) (*Import, error) {
	var received *Import
	try := func() (err error) {
		received, err = c.upload(ctx, u)
		return err
	}
	var err error
	if u.Key == "" {
		err = try()
	} else {
		err = c.retry(ctx, false, try)
	}
	// An import that failed immediately is an error response with its id: still
	// an import.
	if problem, ok := errors.AsType[*Problem](err); ok && problem.Status == http.StatusUnprocessableEntity {
		if id, err := uuid.Parse(problem.ImportID); err == nil {
			return c.Import(ctx, id)
		}
	}
	return received, err
}

func (c *Client) upload(ctx context.Context, u Upload) (*Import, error) {
	content, err := u.Open()
	if err != nil {
		return nil, err
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(stallLimit, func() { cancel(errStalled) })
	defer stall.Stop()
	file := &outgoing{content: content, size: u.Size, moved: func(sent int64, ended bool) {
		if stall.Reset(stallLimit); ended {
			stall.Stop() // from here on the wait is for the response
		}
		if u.Sent != nil {
			u.Sent(sent)
		}
	}}
	defer file.Close()
	form, err := newForm(u, file)
	if err != nil {
		return nil, err
	}

	r, err := c.request(ctx, http.MethodPost, "users/import", io.NopCloser(form))
	if err != nil {
		return nil, err
	}
	r.ContentLength = form.length
	r.Header.Set("Content-Type", form.contentType)
	r.Header.Set("Expect", "100-continue")
	r.Header.Set("Prefer", "respond-async")
	if u.Key != "" {
		r.Header.Set("Idempotency-Key", u.Key)
	}
	answer, err := c.send(r, http.StatusOK, http.StatusAccepted)
	if local := file.fault(); err != nil && local != nil {
		return nil, fmt.Errorf("read the file: %w", local)
	}
	if err != nil {
		return nil, err
	}
	return readImport(answer)
}
