package web

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/internal/humanize"
	"rollcall/roster"
	"rollcall/storage"
)

// maxTokenName is the longest name of a token, in characters.
const maxTokenName = 100

// tokensPath is the page of the API tokens.
const tokensPath = "/admin/settings/tokens"

// tokensView lists the API tokens below the form that creates one.
type tokensView struct {
	Tokens  []storage.Token
	Now     time.Time // by the database's clock
	Made    *madeToken
	Self    uuid.UUID // the viewing user
	Revoked bool      // one just was
	Moved   bool      // one was just taken over
	Name    string
	Scope   auth.Scope
	Life    string
	Source  string   // of the imports that the token starts
	Sources []string // known ones, as suggestions
	Notify  string   // addresses that are told about its imports, as typed
	Only    bool     // and only about failures
	Every   string   // how often an import is expected
	Problem string   // why the last attempt failed

	ImportsMayGrantAdmin bool // see Deps

	Stopped []*storage.Webhook // changes of users are no longer sent to them
}

// StopReason says why changes of users are no longer sent to a webhook, and what to
// do.
func (tokensView) StopReason(w *storage.Webhook) string {
	switch w.DisabledReason {
	case storage.DisabledGone:
		return "The receiver answered that it no longer wants them (410). If it does, redeliver the delivery that failed."
	case storage.DisabledForbidden:
		return "The token that registered it was revoked, has expired or has no active owner. Delete the webhook, and register it with another token."
	case storage.DisabledExpired:
		return "The changes that come next are no longer kept. Delete the webhook, register it again, and read all users."
	}
	return "The receiver failed for a day. Once it works, redeliver the delivery that failed."
}

// stoppedShown is how many stopped webhooks the page lists.
const stoppedShown = 20

// madeToken is a new token, shown only once.
type madeToken struct {
	storage.Token
	Secret string
	URL    string // of the API
}

// CanImport reports whether the token has the scope that the example needs.
func (t madeToken) CanImport() bool { return t.Scopes[0] != string(auth.ScopeImportsRead) }

func (tokensView) pageMeta() pageMeta {
	return pageMeta{Template: "settings_tokens", Title: "API tokens", Section: sectionSettings}
}

// tokenLife is a choice of how long a token is valid.
type tokenLife struct {
	Name, Label string
	life        time.Duration // 0: for ever
}

// Lives are the available lifetimes.
func (tokensView) Lives() []tokenLife {
	const day = 24 * time.Hour
	return []tokenLife{
		{"30d", "30 days", 30 * day}, {"90d", "90 days", 90 * day}, {"365d", "1 year", 365 * day}, {"never", "Never", 0},
	}
}

// Expectations are the choices of how often an import is expected, each with some
// hours to spare.
func (tokensView) Expectations() []tokenLife {
	const day = 24 * time.Hour
	return []tokenLife{{"", "No", 0}, {"daily", "Daily", day + 2*time.Hour}, {"weekly", "Weekly", 7*day + 12*time.Hour}, {"monthly", "Monthly", 32 * day}}
}

// Expected describes how often an import of a token is expected.
func (tokensView) Expected(t storage.Token) string { return humanize.Duration(t.Every) }

// scopeChoice describes a scope.
type scopeChoice struct {
	Scope        auth.Scope
	Label, Words string
}

// Scopes are the available scopes.
func (v tokensView) Scopes() []scopeChoice {
	imports := "Start imports and read their results. Can't import rows with the role admin"
	if v.ImportsMayGrantAdmin {
		imports = "Start imports and read their results. Rows with the role admin create administrators"
	}
	return []scopeChoice{
		{auth.ScopeImports, "Imports", imports},
		{auth.ScopeImportsRead, "Read imports", "Read all imports, without changing anything"},
		{auth.ScopeAdmin, "Full access", "Everything an administrator can do: create and remove administrators, change settings, export and erase users"},
	}
}

// State is active, expired, revoked, or orphaned.
func (v tokensView) State(t storage.Token) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked"
	case t.ExpiresAt != nil && !v.Now.Before(*t.ExpiresAt):
		return "expired"
	case t.Orphaned:
		return "orphaned"
	}
	return "active"
}

// Transferable reports whether the viewing user may take a token over: it
// belongs to another user and is not revoked.
func (v tokensView) Transferable(t storage.Token) bool {
	return t.OwnerID != nil && *t.OwnerID != v.Self && v.State(t) != "revoked" && v.State(t) != "expired"
}

func newTokensView() tokensView { return tokensView{Scope: auth.ScopeImports, Life: "90d"} }

func (s *Site) showTokens(c *gin.Context, admin *roster.User) error {
	v := newTokensView()
	v.Revoked, v.Moved = c.Query("did") == "revoke", c.Query("did") == "transfer"
	return s.listTokens(c, http.StatusOK, admin, v)
}

func (s *Site) listTokens(c *gin.Context, status int, admin *roster.User, v tokensView) error {
	ctx := c.Request.Context()
	v.Self, v.ImportsMayGrantAdmin = admin.ID, s.deps.ImportsMayGrantAdmin
	var err error
	if v.Tokens, err = s.deps.Store.Tokens(ctx); err != nil {
		return err
	}
	if v.Now, err = s.deps.Store.Now(ctx); err != nil {
		return err
	}
	if v.Stopped, err = s.deps.Store.DisabledWebhooks(ctx, stoppedShown); err != nil {
		return err
	}
	if v.Sources, err = s.deps.Store.Sources(ctx); err != nil {
		return err
	}
	return s.show(c, status, admin, v)
}

// createToken creates a token and shows it: its secret appears in this response
// only.
func (s *Site) createToken(c *gin.Context, admin *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	v := tokensView{Name: strings.TrimSpace(form.Get("name")), Scope: auth.Scope(form.Get("scope")), Life: form.Get("expires"), Source: strings.TrimSpace(form.Get("source"))}
	v.Notify, v.Only, v.Every = strings.TrimSpace(form.Get("notify")), form.Get("notify_failures") == "true", form.Get("expected")
	life, problem := v.check()
	tell, unusable := v.notices()
	if problem = cmp.Or(problem, unusable); problem != "" {
		v.Problem = problem
		return s.listTokens(c, http.StatusUnprocessableEntity, admin, v)
	}
	secret, hash := auth.NewToken()
	token, err := s.deps.Store.CreateSourceToken(c.Request.Context(), v.Name, hash, []string{string(v.Scope)}, cmp.Or(v.Source, roster.DefaultSource), life, tell, entry(c, admin))
	if err != nil {
		return err
	}
	v = newTokensView()
	v.Made = &madeToken{Token: token, Secret: secret, URL: s.deps.PublicURL}
	return s.listTokens(c, http.StatusOK, admin, v)
}

// check returns the chosen lifetime, or what the user should correct.
func (v tokensView) check() (life time.Duration, problem string) {
	switch {
	case v.Name == "":
		return 0, "Enter a name for the token."
	case utf8.RuneCountInString(v.Name) > maxTokenName || !utf8.ValidString(v.Name) || strings.ContainsFunc(v.Name, unicode.IsControl):
		return 0, fmt.Sprintf("The name can have at most %d characters, on one line.", maxTokenName)
	case !slices.ContainsFunc(v.Scopes(), func(s scopeChoice) bool { return s.Scope == v.Scope }):
		return 0, "Choose the token's permissions."
	case v.Source != "" && !roster.ValidSource(v.Source):
		return 0, sourceProblem
	}
	for _, l := range v.Lives() {
		if l.Name == v.Life {
			return l.life, ""
		}
	}
	return 0, "Choose an expiration."
}

// notices returns who is told about the token's imports, or what the user should
// correct.
func (v tokensView) notices() (tell storage.TokenNotices, problem string) {
	emails, err := roster.ParseNotify(v.Notify)
	if err != nil {
		return tell, fmt.Sprintf("Enter up to %d email addresses to notify, separated by commas: %s.", roster.MaxNotify, strings.TrimSuffix(err.Error(), "."))
	}
	for _, e := range v.Expectations() {
		if e.Name == v.Every {
			return storage.TokenNotices{Notify: emails, FailuresOnly: v.Only, Every: e.life}, ""
		}
	}
	return tell, "Choose how often an import is expected."
}

func (s *Site) revokeToken(c *gin.Context, admin *roster.User) error {
	id, err := uuid.Parse(c.Param("id"))
	if err != nil {
		return storage.ErrNotFound
	}
	if err := s.deps.Store.RevokeToken(c.Request.Context(), id, entry(c, admin)); err != nil {
		return err
	}
	seeOther(c, tokensPath+"?did=revoke")
	return nil
}

// transferToken makes the administrator the owner of another user's token.
func (s *Site) transferToken(c *gin.Context, admin *roster.User) error {
	id, err := uuid.Parse(c.Param("id"))
	if err != nil {
		return storage.ErrNotFound
	}
	if err := s.deps.Store.TransferToken(c.Request.Context(), id, entry(c, admin)); err != nil {
		return err
	}
	seeOther(c, tokensPath+"?did=transfer")
	return nil
}
