package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// stallLimit is how long an upload may make no headway at all.
const stallLimit = 2 * time.Minute

var errStalled = errors.New("the upload made no headway for two minutes")

// Options are the wishes that go with a file. Zero values leave the choice to
// the server.
type Options struct {
	DryRun        bool              // stop at Ready, write nothing
	OnDuplicate   string            // skip or update
	NoInvitations bool              // hold all invitations
	Encoding      string            // a WHATWG name, or auto
	Delimiter     string            // one of , ; tab |
	Mapping       map[string]string // our column -> header in the file
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
	add("encoding", o.Encoding)
	add("delimiter", o.Delimiter)
	if len(o.Mapping) > 0 {
		mapping, err := json.Marshal(o.Mapping) // keys come sorted
		if err != nil {
			return nil, fmt.Errorf("encode mapping: %w", err)
		}
		add("mapping", string(mapping))
	}
	return fields, nil
}

// Upload is a file to import.
type Upload struct {
	Filename string // as shown to people; no path
	Options  Options

	// Open returns the file's content from its beginning. It is called again
	// for each further try, and only if there is a Key; without one a lost
	// answer is an error, for a second upload might import the file twice.
	Open func() (io.ReadCloser, error)
	// Size is the content's length in bytes, so that the server can refuse a
	// file that is too large before it is sent; -1: not known.
	Size int64
	// Key is the Idempotency-Key; "" for none. See [Client.Key].
	Key string

	// Sent, if not nil, is told how many bytes of the file have gone out, from
	// 0 again for each try.
	Sent func(bytes int64)
}

// Upload sends a file and returns the import that has begun: once it returns
// without an error the file is committed. It streams, and tries again through
// lost connections and a server that says to come back, if u has a Key. The
// error is a *Problem when the server refuses, an *Unanswered when it does not
// answer, else it is local.
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
		err = c.persist(ctx, false, try)
	}
	// An import that failed at once is refused with its id: still an import.
	if problem, ok := errors.AsType[*Problem](err); ok && problem.ImportID != "" && problem.Status == http.StatusUnprocessableEntity {
		return c.Import(ctx, problem.ImportID)
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
			stall.Stop() // from here on the wait is for the answer
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
