package web

import (
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
	"rollcall/roster"
	"rollcall/storage"
)

// maxTokenName is the longest name of a token, in characters.
const maxTokenName = 100

// tokensView lists the API tokens under the form that makes one.
type tokensView struct {
	Tokens  []storage.Token
	Now     time.Time // by the database's clock
	Made    *madeToken
	Revoked bool // one just was
	Name    string
	Scope   auth.Scope
	Life    string
	Problem string // why the last try did not work
}

// madeToken is a new token, shown this once.
type madeToken struct {
	storage.Token
	Secret string
	URL    string // of the API
}

// CanImport reports whether the token may be used in the example.
func (t madeToken) CanImport() bool { return t.Scopes[0] != string(auth.ScopeImportsRead) }

func (tokensView) frame() frame {
	return frame{Template: "tokens", Title: "API tokens", Section: sectionSettings}
}

// tokenLife is how long a token may be good for.
type tokenLife struct {
	Name, Label string
	life        time.Duration // 0: for ever
}

// Lives are the lives to choose from.
func (tokensView) Lives() []tokenLife {
	const day = 24 * time.Hour
	return []tokenLife{
		{"30d", "30 days", 30 * day}, {"90d", "90 days", 90 * day}, {"365d", "1 year", 365 * day}, {"never", "Never (until it is revoked)", 0},
	}
}

// scopeChoice is a scope in words.
type scopeChoice struct {
	Scope        auth.Scope
	Label, Words string
}

// Scopes are the scopes to choose from.
func (tokensView) Scopes() []scopeChoice {
	return []scopeChoice{
		{auth.ScopeImports, "Imports", "start imports, and read its own"},
		{auth.ScopeImportsRead, "Read imports", "read all imports, change nothing"},
		{auth.ScopeAdmin, "Everything", "all that an administrator may do"},
	}
}

// State is whether a token is good: active, expired or revoked.
func (v tokensView) State(t storage.Token) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked"
	case t.ExpiresAt != nil && !v.Now.Before(*t.ExpiresAt):
		return "expired"
	}
	return "active"
}

func newTokensView() tokensView { return tokensView{Scope: auth.ScopeImports, Life: "90d"} }

func (s *Site) showTokens(c *gin.Context, admin *roster.User) error {
	v := newTokensView()
	v.Revoked = c.Query("did") == "revoke"
	return s.listTokens(c, http.StatusOK, admin, v)
}

func (s *Site) listTokens(c *gin.Context, status int, admin *roster.User, v tokensView) error {
	ctx := c.Request.Context()
	var err error
	if v.Tokens, err = s.Store.Tokens(ctx); err != nil {
		return err
	}
	if v.Now, err = s.Store.Now(ctx); err != nil {
		return err
	}
	return s.show(c, status, admin, v)
}

// createToken makes a token and shows it: this answer is the only place its
// secret ever stands in.
func (s *Site) createToken(c *gin.Context, admin *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	v := tokensView{Name: strings.TrimSpace(form.Get("name")), Scope: auth.Scope(form.Get("scope")), Life: form.Get("expires")}
	life, problem := v.check()
	if problem != "" {
		v.Problem = problem
		return s.listTokens(c, http.StatusUnprocessableEntity, admin, v)
	}
	secret, hash := auth.NewToken()
	token, err := s.Store.CreateToken(c.Request.Context(), v.Name, hash, []string{string(v.Scope)}, life, entry(c, admin))
	if err != nil {
		return err
	}
	v = newTokensView()
	v.Made = &madeToken{Token: token, Secret: secret, URL: s.PublicURL}
	return s.listTokens(c, http.StatusOK, admin, v)
}

// check returns the life chosen, or what a person should mend.
func (v tokensView) check() (life time.Duration, problem string) {
	switch {
	case v.Name == "":
		return 0, "Give the token a name, so that you know it again."
	case utf8.RuneCountInString(v.Name) > maxTokenName || !utf8.ValidString(v.Name) || strings.ContainsFunc(v.Name, unicode.IsControl):
		return 0, fmt.Sprintf("The name may have at most %d characters, on one line.", maxTokenName)
	case !slices.ContainsFunc(v.Scopes(), func(s scopeChoice) bool { return s.Scope == v.Scope }):
		return 0, "Choose what the token may do."
	}
	for _, l := range v.Lives() {
		if l.Name == v.Life {
			return l.life, ""
		}
	}
	return 0, "Choose when the token expires."
}

func (s *Site) revokeToken(c *gin.Context, admin *roster.User) error {
	id, err := uuid.Parse(c.Param("id"))
	if err != nil {
		return storage.ErrNotFound
	}
	if err := s.Store.RevokeToken(c.Request.Context(), id, entry(c, admin)); err != nil {
		return err
	}
	seeOther(c, "/admin/settings/tokens?did=revoke")
	return nil
}
