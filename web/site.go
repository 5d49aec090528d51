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
	"rollcall/privacy"
	"rollcall/report"
	"rollcall/storage"
)

// bell tells the workers that an import waits for them.
type bell interface {
	RingImport(ctx context.Context, id uuid.UUID, dispatch int64) error
}

// reports tells what came of the rows of an import.
type reports interface {
	WriteErrors(ctx context.Context, w io.Writer, id uuid.UUID) error
	WriteResults(ctx context.Context, w io.Writer, id uuid.UUID) error
	Rows(ctx context.Context, id uuid.UUID, after int64, limit int, onlyErrors bool) (rows []report.Row, next int64, err error)
}

// persons erases single persons.
type persons interface {
	Erase(ctx context.Context, p storage.Person, by storage.Entry) (privacy.Erasure, error)
}

// largeUploads is how many files of more than a MiB may arrive from browsers at
// once; what programs send is counted apart.
const largeUploads = 4

// Deps are what the pages are made of. All are required but Mailbox.
type Deps struct {
	Store   *storage.Store
	Watcher *storage.Watcher
	Signer  *auth.Signer
	Hasher  *auth.Hasher
	Reports reports
	Bell    bell
	Sealer  sealer
	Persons persons
	Mail    MailDefaults
	Mailbox mailbox // nil: there are no pages under /dev/mail
	Log     *slog.Logger

	Brand          string        // name shown on every page
	PublicURL      string        // scheme and host under which browsers reach the pages
	InvitationTTL  time.Duration // life of a set-password link, told to administrators
	MaxUploadBytes int64         // largest file accepted, in bytes

	// AdminsNeedFactor opens nothing to administrators before they have set a
	// second factor up.
	AdminsNeedFactor bool

	// Stopping is closed when the server is about to stop: streams end then.
	// nil: they end with their clients.
	Stopping <-chan struct{}
}

// Site is the pages. It is safe for concurrent use.
type Site struct {
	Deps
	public     *url.URL
	uploads    *upload.Receiver
	streams    chan struct{} // one token for each page that follows an import by events
	cookie     sessionCookie
	attempts   attempts // passwords
	codes      attempts // codes of second factors
	mailing    mailing
	resetAsks  *throttle // resets asked for, by network address
	resets     *resetSender
	sameOrigin *http.CrossOriginProtection
	assets     assets
	templates  templates
}

// New makes the pages; they are served once registered with a router.
func New(d Deps) (*Site, error) {
	public, err := url.Parse(d.PublicURL)
	if err != nil || public.Host == "" {
		return nil, fmt.Errorf("make pages: public URL %q is not a URL with a host", d.PublicURL)
	}
	s := &Site{
		Deps: d, public: public, cookie: newSessionCookie(public), sameOrigin: http.NewCrossOriginProtection(),
		uploads:  upload.NewReceiver(d.Store, upload.Limits{FileBytes: d.MaxUploadBytes, Large: largeUploads}),
		streams:  make(chan struct{}, maxStreams),
		attempts: newAttempts(accountPace, addressPace), codes: newAttempts(codePace, codePace), mailing: mailing{d.Store, d.Sealer, d.Mail}, resetAsks: newThrottle(resetBurst, resetPace),
		resets: &resetSender{
			store: d.Store, signer: d.Signer, mailing: mailing{d.Store, d.Sealer, d.Mail}, log: d.Log, brand: d.Brand, public: d.PublicURL, hint: make(chan struct{}, 1),
		},
	}
	// A proxy may change the Host header, with which the origin is compared.
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

// Run sends the mails that pages ask for, until ctx ends. One under way is
// finished first.
func (s *Site) Run(ctx context.Context) { s.resets.run(ctx) }
