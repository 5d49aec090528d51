package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/mail"
	"rollcall/mail/settings"
	"rollcall/roster"
	"rollcall/storage"
)

// emailPath is the page of the mail settings.
const emailPath = "/admin/settings/email"

// emailView is the form of the mail settings and the result of a test.
type emailView struct {
	Stored   *storage.EmailSettings // nil: none were saved
	Encrypt  bool                   // mail to other machines must be encrypted
	Fallback string                 // server from the environment, used if nothing is stored; "" for none
	Form     emailForm
	Problems []string // why the last attempt to save failed
	Saved    bool     // they just were
	Cleared  bool     // the stored settings were just removed
	Retried  bool     // the failed invitations were just queued again
	Sending  storage.MailState

	Retriable storage.RetriableInvitations

	TestTo string
	Test   *emailTest // nil: no test was sent
}

// emailForm is the settings as typed.
type emailForm struct {
	Host, Port, Security, User, From, Rate string
	Auth, TokenURL, ClientID, Scope        string
}

// emailTest is the result of sending a test mail.
type emailTest struct {
	Sent   bool
	To     string
	Advice string // what to do about it
	Stage  string // of the SMTP conversation, where it failed
	Said   string // the server's response with its codes, "" if there was none
}

func (emailView) pageMeta() pageMeta {
	return pageMeta{Template: "settings_email", Title: "Email", Section: sectionSettings}
}

// securityChoice describes a connection security mode.
type securityChoice struct{ Name, Label, Words string }

// Securities are the available modes.
func (v emailView) Securities() []securityChoice {
	plain := "Only for a server on this machine or one without login"
	if v.Encrypt {
		plain = "Only for a server on this machine"
	}
	return []securityChoice{
		{mail.STARTTLS.String(), "STARTTLS", "Default, port 587"},
		{mail.Implicit.String(), "Implicit TLS", "Port 465"},
		{mail.None.String(), "None", plain},
	}
}

// emailSettings builds the view from the stored settings.
func (s *Site) emailSettings(ctx context.Context, admin *roster.User) (emailView, error) {
	v := emailView{Encrypt: s.deps.Mail.Within != nil && s.deps.Mail.Within.MustEncrypt(), TestTo: admin.Email, Form: emailForm{Security: mail.STARTTLS.String(), Rate: "0"}}
	stored, err := s.deps.Store.EmailSettings(ctx)
	if err != nil {
		return v, err
	}
	if v.Sending, err = s.deps.Store.MailState(ctx); err != nil {
		return v, err
	}
	if v.Retriable, err = s.deps.Store.RetriableInvitations(ctx); err != nil {
		return v, err
	}
	if server := s.deps.Mail.Server; server != nil {
		v.Fallback = net.JoinHostPort(server.Host, strconv.Itoa(server.Port))
	}
	if v.Stored = stored; stored != nil {
		v.Form = emailForm{
			Auth: settings.AuthPassword, TokenURL: stored.TokenURL, ClientID: stored.ClientID, Scope: stored.Scope,
			Host: stored.Host, Port: strconv.Itoa(stored.Port), Security: stored.Security, User: stored.User,
			From: stored.From, Rate: strconv.FormatFloat(stored.Rate, 'f', -1, 64),
		}
		if stored.TokenURL != "" {
			v.Form.Auth = settings.AuthOAuth2
		}
		return v, nil
	}
	v.Form.From, v.Form.Auth = s.deps.Mail.From, settings.AuthPassword
	return v, nil
}

func (s *Site) showEmailSettings(c *gin.Context, admin *roster.User) error {
	v, err := s.emailSettings(c.Request.Context(), admin)
	if err != nil {
		return err
	}
	v.Form.fill(c.Query("preset"))
	v.Saved, v.Cleared, v.Retried = c.Query("did") == "save", c.Query("did") == "clear", c.Query("did") == "retry"
	return s.show(c, http.StatusOK, admin, v)
}

func (s *Site) saveEmailSettings(c *gin.Context, admin *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	v, err := s.emailSettings(ctx, admin)
	if err != nil {
		return err
	}
	field := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	v.Form = emailForm{
		Host: field("host"), Port: field("port"), Security: field("security"), User: field("user"), From: field("from"), Rate: field("rate"),
		Auth: field("auth"), TokenURL: field("token_url"), ClientID: field("client_id"), Scope: field("scope"),
	}
	in := v.Form.input()
	if password := form.Get("password"); password != "" { // an empty field keeps the stored one
		in.Password = &password
	}
	if secret := form.Get("client_secret"); secret != "" {
		in.ClientSecret = &secret
	}
	err = s.mailSettings.Save(ctx, in, entry(c, admin))
	if problems, ok := errors.AsType[settings.Problems](err); ok {
		for _, problem := range problems {
			v.Problems = append(v.Problems, problem.Text)
		}
		return s.show(c, http.StatusUnprocessableEntity, admin, v)
	}
	if err != nil {
		return err
	}
	seeOther(c, emailPath+"?did=save")
	return nil
}

// clearEmailSettings goes back to the settings from the environment.
func (s *Site) clearEmailSettings(c *gin.Context, admin *roster.User) error {
	if err := s.deps.Store.ClearEmailSettings(c.Request.Context(), entry(c, admin)); err != nil {
		return err
	}
	seeOther(c, emailPath+"?did=clear")
	return nil
}

// retryFailedInvitations sends new links to everyone whose invitation failed, and to
// those whose mail bounced if the form says so.
func (s *Site) retryFailedInvitations(c *gin.Context, admin *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	if _, err := s.deps.Store.RetryAllFailedInvitations(c.Request.Context(), form.Get("bounced") == "true", entry(c, admin)); err != nil {
		return err
	}
	seeOther(c, emailPath+"?did=retry")
	return nil
}

// fill sets the fields that are the same for everyone at a provider.
func (f *emailForm) fill(preset string) {
	switch preset {
	case "microsoft365":
		f.Host, f.Port, f.Security, f.Auth = "smtp.office365.com", "587", mail.STARTTLS.String(), settings.AuthOAuth2
		f.TokenURL, f.Scope = "https://login.microsoftonline.com/YOUR-TENANT-ID/oauth2/v2.0/token", "https://outlook.office365.com/.default"
	case "google":
		f.Host, f.Port, f.Security, f.Auth = "smtp.gmail.com", "587", mail.STARTTLS.String(), settings.AuthOAuth2
		f.TokenURL, f.Scope = "https://oauth2.googleapis.com/token", "https://mail.google.com/"
	}
}

// input converts what was typed. Text that is not a number becomes one out of
// range.
func (f emailForm) input() settings.Input {
	in := settings.Input{Host: f.Host, Security: f.Security, User: f.User, From: f.From}
	if in.Auth = f.Auth; f.Auth == settings.AuthOAuth2 {
		in.TokenURL, in.ClientID, in.Scope = f.TokenURL, f.ClientID, f.Scope
	}
	var err error
	if f.Port != "" {
		if in.Port, err = strconv.Atoi(f.Port); err != nil || in.Port == 0 {
			in.Port = -1
		}
	}
	if f.Rate != "" {
		if in.Rate, err = strconv.ParseFloat(f.Rate, 64); err != nil {
			in.Rate = math.NaN()
		}
	}
	return in
}

// testEmailSettings sends a mail with the current settings over a separate
// connection and shows the result.
func (s *Site) testEmailSettings(c *gin.Context, admin *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	v, err := s.emailSettings(ctx, admin)
	if err != nil {
		return err
	}
	v.TestTo = strings.TrimSpace(form.Get("to"))
	v.Test = &emailTest{To: v.TestTo}
	if err := s.sendTest(c, v.Test, func(out settings.Outgoing) error { return s.tryServer(ctx, out, v.Test, entry(c, admin)) }); err != nil {
		return err
	}
	return s.show(c, http.StatusOK, admin, v)
}

// sendTest calls send with the server that mail goes through now. That there is none
// is a result of the test.
func (s *Site) sendTest(c *gin.Context, test *emailTest, send func(settings.Outgoing) error) error {
	out, err := s.mailSettings.Current(c.Request.Context())
	problem, unusable := errors.AsType[settings.Problem](err)
	switch {
	case errors.Is(err, settings.ErrNoServer):
		test.Advice = "No mail server is configured. Save the mail server settings first."
	case errors.Is(err, settings.ErrSealed):
		s.log(c, "stored email settings cannot be used", err)
		test.Advice = settings.SealedText
	case unusable:
		test.Advice = problem.Text
	case err != nil:
		return err
	default:
		return send(out)
	}
	return nil
}

// tryServer sends a test mail.
func (s *Site) tryServer(ctx context.Context, out settings.Outgoing, test *emailTest, by storage.AuditEntry) error {
	result, err := s.mailSettings.Test(ctx, out, test.To)
	if err != nil {
		return err
	}
	if err := s.deps.Store.AuditEmailTest(ctx, out.Server.Host, out.Server.Port, test.To, result.Failure == nil, by); err != nil {
		return err
	}
	test.fill(result)
	return nil
}

// fill says what the server did.
func (t *emailTest) fill(result settings.TestResult) {
	if t.Sent = result.Failure == nil; t.Sent {
		return
	}
	t.Advice, t.Stage = result.Failure.Advice(), string(result.Failure.Stage)
	if result.Code != 0 {
		t.Said = strings.Join(strings.Fields(fmt.Sprintf("%d %s %s", result.Code, result.Failure.Enhanced, result.Reply)), " ")
	}
}
