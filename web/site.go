package web

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/httpapi/upload"
	"rollcall/internal/broadcast"
	"rollcall/jobs/importer"
	"rollcall/mail/settings"
	"rollcall/privacy"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/login"
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
	AdminRows(ctx context.Context, id uuid.UUID) (gained, lost []report.Row, err error)
	RowsByAction(ctx context.Context, id uuid.UUID, action roster.Action, after int64, limit int) (rows []report.Row, next int64, err error)
	Rows(ctx context.Context, id uuid.UUID, after int64, limit int, onlyErrors bool) (rows []report.Row, next int64, err error)
	RowsNumbered(ctx context.Context, id uuid.UUID, numbers []int64) ([]report.Row, error)
}

// rowEditor changes rows of imports that wait to be confirmed.
type rowEditor interface {
	Edit(ctx context.Context, id uuid.UUID, rows map[int64]importer.CellChanges, by storage.AuditEntry) (tied []int64, err error)
	Suggestions(ctx context.Context, id uuid.UUID, reason roster.Code) (all []importer.Suggestion, left int, err error)
	ApplySuggestions(ctx context.Context, id uuid.UUID, reason roster.Code, by storage.AuditEntry) (applied, left int, err error)
}

// dataSubjects deletes the data of individual people.
type dataSubjects interface {
	Erase(ctx context.Context, p storage.DataSubject, by storage.AuditEntry) (privacy.Erasure, error)
}

// sealer encrypts stored secrets; see auth.Sealer.
type sealer interface {
	Seal(plain, context string) string
	Open(sealed, context string) (string, error)
}

// largeUploads is how many uploads of more than 1 MiB browsers may send at
// once; uploads through the API have their own limit.
const largeUploads = 4

// Deps are the dependencies and settings of the pages. All are required except
// Mailbox.
type Deps struct {
	Store        *storage.Store
	Broadcaster  *broadcast.Broadcaster
	Signer       *auth.Signer
	Hasher       *auth.Hasher
	Reports      reports
	RowEditor    rowEditor
	Queue        importQueue
	Sealer       sealer
	DataSubjects dataSubjects
	Mail         settings.Defaults // of the environment
	Mailbox      mailbox           // nil: there are no pages under /dev/mail
	Log          *slog.Logger

	Brand          string        // name shown on every page
	PublicURL      string        // scheme and host under which browsers reach the pages
	InvitationTTL  time.Duration // life of a set-password link, told to administrators
	MaxUploadBytes int64         // largest file accepted, in bytes
	// DailyUploadBytes is how many bytes of files one person may upload on a day
	// (UTC); 0: any number.
	DailyUploadBytes int64

	// AdminsNeedFactor locks administrators out of all other pages until they
	// have set up a second factor.
	AdminsNeedFactor bool

	// Attributes are the declared attributes: columns of files beside the usual ones.
	Attributes []string

	// ImportsMayGrantAdmin: tokens with the scope imports may import rows with
	// the role admin. The pages only display this; the worker enforces it.
	ImportsMayGrantAdmin bool
}

// Site serves the pages. It is safe for concurrent use.
type Site struct {
	deps         Deps
	public       *url.URL
	uploads      *upload.Receiver
	streams      *broadcast.Streams
	login        *login.Service
	mailSettings *settings.Settings
	onboarding   *onboardingCache
	sameOrigin   *http.CrossOriginProtection
	assets       assets
	templates    templates
}

// New makes the pages; they are served once registered with a router.
func New(d Deps) (*Site, error) {
	public, err := url.Parse(d.PublicURL)
	if err != nil || public.Host == "" {
		return nil, fmt.Errorf("make pages: public URL %q is not a URL with a host", d.PublicURL)
	}
	mailSettings := settings.New(d.Store, d.Sealer, d.Mail)
	s := &Site{
		deps: d, public: public, mailSettings: mailSettings, sameOrigin: http.NewCrossOriginProtection(),
		uploads:    upload.NewReceiver(d.Store, upload.Limits{FileBytes: d.MaxUploadBytes, DailyBytes: d.DailyUploadBytes, Large: largeUploads}),
		streams:    broadcast.NewStreams(d.Broadcaster, streamLimits),
		onboarding: &onboardingCache{store: d.Store, counts: map[storage.OnboardingScope]*onboardingCount{}},
	}
	s.login = login.New(login.Config{
		Store: d.Store, Signer: d.Signer, Hasher: d.Hasher, Sealer: d.Sealer, Mail: mailSettings, Log: d.Log, Frame: loginFrame{s},
		Brand: d.Brand, Public: public, AdminsNeedFactor: d.AdminsNeedFactor,
	})
	// A proxy may change the Host header that the origin is compared with.
	if err := s.sameOrigin.AddTrustedOrigin(public.Scheme + "://" + public.Host); err != nil {
		return nil, fmt.Errorf("make pages: %w", err)
	}
	if s.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("make pages: %w", err)
	}
	if s.templates, err = loadTemplates(); err != nil {
		return nil, fmt.Errorf("make pages: %w", err)
	}
	return s, nil
}

// Run sends the mails that pages request until ctx ends. A mail that is being
// sent is finished first.
func (s *Site) Run(ctx context.Context) { s.login.Run(ctx) }
