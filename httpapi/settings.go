package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/httpapi/problem"
	"rollcall/mail"
	"rollcall/mail/settings"
	"rollcall/roster"
	"rollcall/storage"
)

// emailSettings is the JSON form of the settings. It never contains the
// password.
type emailSettings struct {
	Source      string     `json:"source"` // settings, environment or none
	Host        string     `json:"host"`
	Port        int        `json:"port"` // 0 with source none
	Security    string     `json:"security"`
	User        string     `json:"user"`
	PasswordSet bool       `json:"password_set"`
	Auth        string     `json:"auth"` // password or oauth2
	TokenURL    string     `json:"token_url"`
	ClientID    string     `json:"client_id"`
	Scope       string     `json:"scope"`
	SecretSet   bool       `json:"client_secret_set"`
	From        string     `json:"from"`
	Rate        float64    `json:"rate"`
	UpdatedBy   *string    `json:"updated_by"`
	UpdatedAt   *time.Time `json:"updated_at"`
}

// emailInput is the request that replaces all settings.
type emailInput struct {
	Host     string  `json:"host"`
	Port     int     `json:"port"`     // 0: the default
	Security string  `json:"security"` // "": starttls
	User     string  `json:"user"`
	Password *string `json:"password"` // nil: unchanged; "": none
	From     string  `json:"from"`     // "": from the environment
	Rate     float64 `json:"rate"`

	Auth         string  `json:"auth"` // "": by the presence of token_url
	TokenURL     string  `json:"token_url"`
	ClientID     string  `json:"client_id"`
	ClientSecret *string `json:"client_secret"` // nil: unchanged
	Scope        string  `json:"scope"`

	// Further members of the response to GET may be sent back and are ignored.
	Source      json.RawMessage `json:"source"`
	PasswordSet json.RawMessage `json:"password_set"`
	SecretSet   json.RawMessage `json:"client_secret_set"`
	UpdatedBy   json.RawMessage `json:"updated_by"`
	UpdatedAt   json.RawMessage `json:"updated_at"`
}

// settings converts the request.
func (in emailInput) settings() settings.Input {
	return settings.Input{
		Host: in.Host, Port: in.Port, Security: in.Security, User: in.User, Password: in.Password, From: in.From, Rate: in.Rate,
		Auth: in.Auth, TokenURL: in.TokenURL, ClientID: in.ClientID, ClientSecret: in.ClientSecret, Scope: in.Scope,
	}
}

// showEmail is GET /api/admin/settings/email.
func (a *API) showEmail(c *gin.Context, _ caller) error {
	s, err := a.Store.EmailSettings(c.Request.Context())
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, a.viewEmail(s))
}

func (a *API) viewEmail(s *storage.EmailSettings) emailSettings {
	switch {
	case s != nil:
		v := emailSettings{
			Source: "settings", Host: s.Host, Port: s.Port, Security: s.Security, User: s.User,
			PasswordSet: s.SealedPassword != "", From: s.From, Rate: s.Rate,
			Auth: authOf(s.TokenURL), TokenURL: s.TokenURL, ClientID: s.ClientID, Scope: s.Scope, SecretSet: s.SealedClientSecret != "",
			UpdatedBy: &s.UpdatedBy, UpdatedAt: utc(&s.UpdatedAt),
		}
		if v.From == "" {
			v.From = a.Mail.From
		}
		return v
	case a.Mail.Server != nil:
		e := a.Mail.Server
		return emailSettings{
			Source: "environment", Host: e.Host, Port: portOf(*e), Security: e.Security.String(), User: e.User,
			PasswordSet: e.Password != "", From: a.Mail.From, Rate: a.Mail.Rate,
			Auth: authOf(e.OAuth.TokenURL), TokenURL: e.OAuth.TokenURL, ClientID: e.OAuth.ClientID, Scope: e.OAuth.Scope, SecretSet: e.OAuth.ClientSecret != "",
		}
	}
	return emailSettings{Source: "none", Security: mail.STARTTLS.String(), Auth: settings.AuthPassword, From: a.Mail.From, Rate: a.Mail.Rate}
}

// authOf is the way to sign in of settings with this token URL.
func authOf(tokenURL string) string {
	if tokenURL == "" {
		return settings.AuthPassword
	}
	return settings.AuthOAuth2
}

func portOf(s mail.Server) int {
	if s.Port == 0 {
		return s.Security.DefaultPort()
	}
	return s.Port
}

// setEmail is PUT /api/admin/settings/email.
func (a *API) setEmail(c *gin.Context, by caller) error {
	var in emailInput
	if _, err := readJSON(c, &in); err != nil {
		return err
	}
	if err := a.mailSettings.Save(c.Request.Context(), in.settings(), by.entry()); err != nil {
		return settingsProblem(err)
	}
	return a.showEmail(c, by)
}

// settingsProblem reports the first invalid setting.
func settingsProblem(err error) error {
	if problems, ok := errors.AsType[settings.Problems](err); ok {
		return problem.Parameter(problems[0].Field, "%s", problems[0].Text)
	}
	return err
}

// clearEmail is DELETE /api/admin/settings/email.
func (a *API) clearEmail(c *gin.Context, by caller) error {
	if err := a.Store.ClearEmailSettings(c.Request.Context(), by.entry()); err != nil {
		return err
	}
	return a.showEmail(c, by)
}

// mailTest is the request to test settings.
type mailTest struct {
	To       string      `json:"to"`       // "": the From address
	Settings *emailInput `json:"settings"` // nil: the current ones
}

// testResult is the result of a test mail.
type testResult struct {
	OK          bool       `json:"ok"`
	Stage       mail.Stage `json:"stage"` // how far the conversation got
	Code        *int       `json:"code"`  // nil: the server did not respond
	Reply       string     `json:"reply"` // the server's response
	Explanation string     `json:"explanation"`
}

// testEmail is POST /api/admin/settings/email/test.
func (a *API) testEmail(c *gin.Context, by caller) error {
	allowTime(c, settings.TestTimeout+requestTimeout+writeTimeout)
	var in mailTest
	if _, err := readJSON(c, &in); err != nil {
		return err
	}
	out, err := a.testServer(c.Request.Context(), in.Settings)
	if err != nil {
		return err
	}
	to := cmp.Or(strings.TrimSpace(in.To), out.From)
	if _, err := roster.MailAddress(to); err != nil {
		return problem.Parameter("to", "to must be an email address without a display name.")
	}
	result, err := a.mailSettings.Test(c.Request.Context(), out, to)
	if err != nil {
		return err
	}
	if err := a.Store.AuditEmailTest(c.Request.Context(), out.Server.Host, portOf(out.Server), to, result.Failure == nil, by.entry()); err != nil {
		return err
	}
	t := testResult{OK: true, Stage: mail.StageEnd, Reply: result.Reply, Explanation: "The mail server accepted the message. Check that inbox and its spam folder."}
	if f := result.Failure; f != nil {
		t.OK, t.Stage, t.Explanation = false, f.Stage, f.Advice()
	}
	if result.Code != 0 {
		t.Code = &result.Code
	}
	return a.json(c, http.StatusOK, t)
}

// testServer returns the server to test: the requested one, or the current one.
func (a *API) testServer(ctx context.Context, in *emailInput) (settings.Outgoing, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if in != nil {
		out, err := a.mailSettings.Propose(ctx, in.settings())
		return out, settingsProblem(err)
	}
	out, err := a.mailSettings.Current(ctx)
	unusable, ok := errors.AsType[settings.Problem](err)
	switch {
	case errors.Is(err, settings.ErrNoServer):
		return out, problem.New(problem.WrongState, "No mail server is configured: send settings to test, store some, or set SMTP_URL.")
	case errors.Is(err, settings.ErrSealed):
		return out, problem.New(problem.WrongState, settings.SealedText)
	case ok: // stored while more addresses were allowed
		return out, problem.New(problem.WrongState, "The stored settings cannot be used: %s", unusable.Text)
	}
	return out, err
}
