// Package httpapi is the JSON API: decode, one call, encode. What it answers is
// described in api/openapi.yaml, and tests hold the two together. Errors become
// RFC 9457 problems in package problem; bodies come in through package upload.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall/api"
	"rollcall/auth"
	"rollcall/egress"
	"rollcall/httpapi/upload"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// bell tells the workers that an import waits for them.
type bell interface {
	RingImport(ctx context.Context, id uuid.UUID, dispatch int64) error
}

// reports tell what became of the rows of an import.
type reports interface {
	WriteErrors(ctx context.Context, w io.Writer, id uuid.UUID) error
	WriteResults(ctx context.Context, w io.Writer, id uuid.UUID) error
	Rows(ctx context.Context, id uuid.UUID, after int64, limit int, onlyErrors bool) (rows []report.Row, next int64, err error)
}

// Deps are what the API is made of. All are required unless they say otherwise.
type Deps struct {
	Store   *storage.Store
	Watcher *storage.Watcher // must be running for waits to end before their time
	Reports reports
	Bell    bell
	Log     *slog.Logger

	// AdminToken is accepted as a token that may do everything. "": there is
	// no such token.
	AdminToken string
	// MaxUploadBytes is the largest file accepted, in bytes.
	MaxUploadBytes int64
	// ImportWait is how long POST waits for an import to end when the client
	// says nothing. 0: not at all.
	ImportWait time.Duration
	// PublicURL is scheme and host under which clients reach the API; the
	// types of problems begin with it.
	PublicURL string
	// Version is told by /healthz.
	Version string

	// SchemaCheck returns nil if the database answers and its schema is current.
	SchemaCheck func(context.Context) error
	// RedisPing returns nil if Redis answers.
	RedisPing func(context.Context) error

	// Stopping is closed when the server begins to shut down: whoever waits
	// for an import is answered at once. Nil: never.
	Stopping <-chan struct{}

	// Uploads bounds the receiving of files. FileBytes is MaxUploadBytes,
	// whatever it says. The zero value takes the defaults.
	Uploads upload.Limits
	// Events bounds the listening to events. The zero value takes the defaults.
	Events Events
	// Limits bounds how often a client may ask. The zero value takes the
	// defaults.
	Limits Limits

	// WebhookAddresses are those that webhooks may go to beside the public
	// Internet's.
	WebhookAddresses egress.Addresses

	// Persons exports and erases single persons.
	Persons persons
	// Sealer encrypts the stored SMTP password and the secrets of webhooks.
	Sealer *auth.Sealer
	// Mail is what mail is sent by while Settings > Email is empty.
	Mail MailDefaults
}

// API answers requests. It is safe for concurrent use.
type API struct {
	Deps
	admin    [32]byte // hash of AdminToken
	receiver *upload.Receiver
	types    string // beginning of the types of problems
	ready    readiness

	imports   *shared[uuid.UUID, *roster.Import]
	pages     *pages
	crowd     crowd // of those who poll
	tokens    *shared[[32]byte, storage.Token]
	board     *board
	limits    limiters
	listeners chan struct{} // one token for each

	described *api.Description
}

// New makes the API; it is served once registered with a router.
func New(d Deps) (*API, error) {
	public, err := url.Parse(d.PublicURL)
	if err != nil || public.Host == "" {
		return nil, fmt.Errorf("make API: public URL %q is not a URL with a host", d.PublicURL)
	}
	if d.MaxUploadBytes < 1 {
		return nil, errors.New("make API: MaxUploadBytes must be positive")
	}
	described, err := api.Load()
	if err != nil {
		return nil, fmt.Errorf("make API: %w", err)
	}
	d.Uploads.FileBytes = d.MaxUploadBytes
	d.Events.fill()
	d.Limits.fill()
	a := &API{
		Deps:      d,
		described: described,
		admin:     auth.HashToken(d.AdminToken),
		receiver:  upload.NewReceiver(d.Store, d.Uploads),
		types:     strings.TrimSuffix(d.PublicURL, "/") + "/docs#",
		imports:   newShared(d.Store.Import),
		tokens:    newShared(d.Store.TokenByHash),
		limits:    newLimiters(d.Limits),
		listeners: make(chan struct{}, d.Events.Listeners),
	}
	a.pages = newPages(d.Store.Import, a.viewWithErrors)
	a.board = newBoard(d.Watcher, a.imports.get, d.Events.Gap)
	return a, nil
}
