package login

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/auth"
	"rollcall/internal/i18n"
	"rollcall/internal/ratelimit"
	"rollcall/mail/settings"
	"rollcall/roster"
	"rollcall/storage"
)

// HomePath is the page users get when they did not request a specific one.
const HomePath = "/admin/users"

// maxSessionsListed is how many sessions the account page lists.
const maxSessionsListed = 50

// queryTimeout bounds the lookup of a session.
const queryTimeout = 10 * time.Second

// Page describes how one of this package's pages is presented.
type Page struct {
	Template string      // name of the template
	Title    string      // of the page, without the brand
	Reader   i18n.Reader // who reads the page; zero: in English
	Account  bool        // part of the user's own account
	Bare     bool        // no navigation except sign-out, because no other page is allowed yet
}

// view is the content of one page: a struct with everything its template shows.
type view interface{ page() Page }

// frame is what the surrounding panel provides to these pages.
type frame interface {
	// Render answers with a page: content in the common layout. user is the
	// signed-in user, nil if no one is signed in.
	Render(c *gin.Context, status int, user *roster.User, p Page, content any) error
	// LogRefusal logs that a request was denied, without personal data.
	LogRefusal(c *gin.Context, message string)
}

// sealer encrypts stored secrets; see auth.Sealer.
type sealer interface {
	Seal(plain, context string) string
	Open(sealed, context string) (string, error)
}

// Config holds the dependencies and settings of a [Service]. All are required
// except AdminsNeedFactor.
type Config struct {
	Store  *storage.Store
	Signer *auth.Signer
	Hasher *auth.Hasher
	Sealer sealer
	Mail   *settings.Settings
	Log    *slog.Logger
	Frame  frame

	Brand  string   // shown on pages, in mail and in authenticator apps
	Public *url.URL // base URL of the pages in browsers

	// AdminsNeedFactor locks administrators out of all other pages until they
	// have set up a second factor.
	AdminsNeedFactor bool
}

// Service manages sessions and serves the pages around them. It is safe for
// concurrent use.
type Service struct {
	store            *storage.Store
	signer           *auth.Signer
	hasher           *auth.Hasher
	sealer           sealer
	mailSettings     *settings.Settings
	frame            frame
	brand            string
	adminsNeedFactor bool

	cookie       sessionCookie
	attempts     loginLimiter       // passwords
	codes        loginLimiter       // codes of authenticator apps
	recovery     *ratelimit.Limiter // recovery codes, by network address
	inFlight     inFlight
	resetLimiter *ratelimit.Limiter // requested resets, by network address
	resets       *resetSender
}

// New makes the service. Its pages are handlers; the panel's route table maps
// them to paths.
func New(cfg Config) *Service {
	return &Service{
		store: cfg.Store, signer: cfg.Signer, hasher: cfg.Hasher, sealer: cfg.Sealer, mailSettings: cfg.Mail, frame: cfg.Frame,
		brand: cfg.Brand, adminsNeedFactor: cfg.AdminsNeedFactor,
		cookie:   newSessionCookie(cfg.Public),
		attempts: newLoginLimiter(accountPace, addressPace), codes: newLoginLimiter(codePace, codePace),
		recovery:     ratelimit.New(failuresAnAddress, addressPace),
		resetLimiter: ratelimit.New(resetBurst, resetPace),
		resets: &resetSender{
			store: cfg.Store, signer: cfg.Signer, settings: cfg.Mail, log: cfg.Log, brand: cfg.Brand,
			public: cfg.Public.Scheme + "://" + cfg.Public.Host, hint: make(chan struct{}, 1),
		},
	}
}

// Run sends the mails that these pages request until ctx ends. A mail that is
// being sent is finished first.
func (s *Service) Run(ctx context.Context) { s.resets.run(ctx) }

// show renders a page.
func (s *Service) show(c *gin.Context, status int, user *roster.User, v view) error {
	return s.frame.Render(c, status, user, v.page(), v)
}
