// Package httpapi is the JSON API: each handler decodes the request, makes one
// call and encodes the result. api/openapi.yaml describes the responses, and
// tests check that both agree. Errors become RFC 9457 problems in package
// problem; package upload receives files.
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
	"golang.org/x/sync/singleflight"

	"rollcall/api"
	"rollcall/auth"
	"rollcall/httpapi/upload"
	"rollcall/internal/broadcast"
	"rollcall/internal/egress"
	"rollcall/jobs/importer"
	"rollcall/mail/settings"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// importQueue tells the workers that an import is waiting for them.
type importQueue interface {
	EnqueueImport(ctx context.Context, id uuid.UUID, dispatch int64) error
}

// reports writes the results of an import's rows.
type reports interface {
	WriteErrors(ctx context.Context, w io.Writer, id uuid.UUID) error
	WriteErrorsWorkbook(ctx context.Context, w io.Writer, id uuid.UUID) error
	WriteResults(ctx context.Context, w io.Writer, id uuid.UUID) error
	Rows(ctx context.Context, id uuid.UUID, after int64, limit int, onlyErrors bool) (rows []report.Row, next int64, err error)
}

// rowEditor changes rows of imports that wait to be confirmed.
type rowEditor interface {
	Edit(ctx context.Context, id uuid.UUID, rows map[int64]importer.CellChanges, by storage.AuditEntry) (tied []int64, err error)
	ApplySuggestions(ctx context.Context, id uuid.UUID, reason roster.Code, by storage.AuditEntry) (applied, left int, err error)
}

// Deps are the dependencies and settings of the API. All are required unless
// noted otherwise.
type Deps struct {
	Store       *storage.Store
	Broadcaster *broadcast.Broadcaster
	Changes     changeWatcher
	Reports     reports
	RowEditor   rowEditor
	Queue       importQueue
	Log         *slog.Logger

	// AdminToken is accepted as a token with full access. "": there is none.
	AdminToken string
	// MaxUploadBytes is the largest file accepted, in bytes.
	MaxUploadBytes int64
	// ImportWait is how long POST waits for an import to end when the client
	// states no preference. 0: not at all.
	ImportWait time.Duration
	// PublicURL is the scheme and host under which clients reach the API;
	// problem types begin with it.
	PublicURL string
	// InvitationTTL is how long a set-password link works, for previews. 0: 72 hours.
	InvitationTTL time.Duration
	// Version is returned by /healthz.
	Version string

	// SchemaCheck returns nil if the database responds and its schema is
	// current.
	SchemaCheck func(context.Context) error
	// RedisCheck writes to Redis and returns why that failed, by the end of its
	// context; see [queue.Reason].
	RedisCheck func(context.Context) error

	// Stopping is closed when the server begins to shut down: requests that
	// wait for an undo then return at once. Nil: never.
	Stopping <-chan struct{}

	// Uploads bounds the receiving of files. MaxUploadBytes replaces its
	// FileBytes. The zero value takes the defaults.
	Uploads upload.Limits
	// Events bounds event streams. The zero value takes the defaults.
	Events broadcast.StreamLimits
	// Limits bounds how often a client may call. The zero value takes the
	// defaults.
	Limits Limits

	// Attributes are the declared attributes: columns of files beside the usual ones.
	Attributes []string

	// WebhookAddresses are the addresses that webhooks may be sent to in
	// addition to the public Internet.
	WebhookAddresses egress.Addresses

	// DataSubjects exports and erases the data of individual people.
	DataSubjects dataSubjects
	// Sealer encrypts the stored SMTP password and the secrets of webhooks.
	Sealer *auth.Sealer
	// MailEvents are the mail providers whose events are accepted.
	MailEvents MailEvents
	// Mail holds the settings to use while Settings > Email is empty.
	Mail settings.Defaults
}

// API handles requests. It is safe for concurrent use.
type API struct {
	Deps
	admin        [32]byte // hash of AdminToken
	receiver     *upload.Receiver
	mailSettings *settings.Settings
	types        string // prefix of problem types
	ready        readiness

	reads   singleflight.Group // see coalesce
	cached  pollCache
	pacer   pollPacer
	streams *broadcast.Streams
	limits  limiters

	described *api.Description
	docsPage  []byte // HTML
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
	docsPage, err := renderDocs()
	if err != nil {
		return nil, fmt.Errorf("make API: %w", err)
	}
	d.Uploads.FileBytes = d.MaxUploadBytes
	d.Limits.setDefaults()
	a := &API{
		Deps:         d,
		described:    described,
		docsPage:     docsPage,
		admin:        auth.HashToken(d.AdminToken),
		receiver:     upload.NewReceiver(d.Store, d.Uploads),
		mailSettings: settings.New(d.Store, d.Sealer, d.Mail),
		types:        strings.TrimSuffix(d.PublicURL, "/") + "/docs#",
		pacer:        newPollPacer(),
		streams:      broadcast.NewStreams(d.Broadcaster, d.Events),
		limits:       newLimiters(d.Limits),
	}
	return a, nil
}
