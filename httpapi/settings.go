package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/egress"
	"rollcall/httpapi/problem"
	"rollcall/jobs"
	"rollcall/mail"
	"rollcall/storage"
)

// MailDefaults is what the environment says about mail.
type MailDefaults struct {
	Server *mail.Server      // from SMTP_URL; nil: none
	From   string            // address
	Rate   float64           // invitations a second; 0: no limit
	Brand  string            // name shown in the test mail
	Within *egress.Addresses // those that a server named in the settings may have; nil: any
}

// maxRate bounds how many invitations a second may be asked for.
const maxRate = 100_000

// emailSettings are the settings as they are sent. The password never is.
type emailSettings struct {
	Source      string     `json:"source"` // settings, environment or none
	Host        string     `json:"host"`
	Port        int        `json:"port"` // 0 with source none
	Security    string     `json:"security"`
	User        string     `json:"user"`
	PasswordSet bool       `json:"password_set"`
	From        string     `json:"from"`
	Rate        float64    `json:"rate"`
	UpdatedBy   *string    `json:"updated_by"`
	UpdatedAt   *time.Time `json:"updated_at"`
}

// emailInput is what a client sends: the settings it wants, whole.
type emailInput struct {
	Host     string  `json:"host"`
	Port     int     `json:"port"`     // 0: the usual one
	Security string  `json:"security"` // "": starttls
	User     string  `json:"user"`
	Password *string `json:"password"` // nil: as it is; "": none
	From     string  `json:"from"`     // "": from the environment
	Rate     float64 `json:"rate"`

	// What the answer to GET has besides may be sent back, and counts nothing.
	Source      json.RawMessage `json:"source"`
	PasswordSet json.RawMessage `json:"password_set"`
	UpdatedBy   json.RawMessage `json:"updated_by"`
	UpdatedAt   json.RawMessage `json:"updated_at"`
}

// outgoing is how mail goes out.
type outgoing struct {
	server mail.Server
	from   string
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
		}
	}
	return emailSettings{Source: "none", Security: mail.STARTTLS.String(), From: a.Mail.From, Rate: a.Mail.Rate}
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
	ctx := c.Request.Context()
	stored, err := a.Store.EmailSettings(ctx)
	if err != nil {
		return err
	}
	out, err := a.outgoing(in, stored)
	if err != nil {
		return err
	}
	fresh := storage.EmailSettings{
		Host: out.server.Host, Port: out.server.Port, Security: out.server.Security.String(),
		User: out.server.User, From: strings.TrimSpace(in.From), Rate: in.Rate,
	}
	if out.server.Password != "" {
		fresh.SealedPassword = a.Sealer.Seal(out.server.Password, jobs.PasswordContext)
	}
	if err := a.Store.SetEmailSettings(ctx, fresh, by.entry()); err != nil {
		return err
	}
	return a.showEmail(c, by)
}

// clearEmail is DELETE /api/admin/settings/email.
func (a *API) clearEmail(c *gin.Context, by caller) error {
	if err := a.Store.ClearEmailSettings(c.Request.Context(), by.entry()); err != nil {
		return err
	}
	return a.showEmail(c, by)
}

// outgoing judges what a client sent.
func (a *API) outgoing(in emailInput, stored *storage.EmailSettings) (o outgoing, err error) {
	o.server = mail.Server{Host: strings.TrimSpace(in.Host), Port: in.Port, User: in.User, Within: a.Mail.Within}
	if o.from = strings.TrimSpace(in.From); o.from == "" {
		o.from = a.Mail.From
	}
	if in.Security != "" {
		if o.server.Security, err = mail.ParseSecurity(in.Security); err != nil {
			return o, problem.Parameter("security", "security must be starttls, implicit or none.")
		}
	}
	o.server.Port = portOf(o.server)
	switch {
	case o.server.Host == "":
		return o, problem.Parameter("host", "host is missing.")
	case in.Port < 0 || in.Port > 65535:
		return o, problem.Parameter("port", "port must be a number from 1 to 65535, or 0 for the usual one.")
	case !mail.ValidAddress(o.from):
		return o, problem.Parameter("from", "from must be an e-mail address without a display name.")
	case in.Rate < 0 || in.Rate > maxRate:
		return o, problem.Parameter("rate", "rate must be a number from 0, which is no limit, to %d.", maxRate)
	}
	if o.server.Password, err = a.password(in, o.server, stored); err != nil {
		return o, err
	}
	switch err := o.server.Validate(); {
	case errors.Is(err, mail.ErrPlainCredentials):
		return o, problem.Parameter("security", "A password is only sent over an encrypted connection: security must be starttls or implicit.")
	case errors.Is(err, mail.ErrUnencrypted):
		return o, problem.Parameter("security", "Mail leaves the server's machine encrypted only here (ROLLCALL_REQUIRE_TLS): security must be starttls or implicit.")
	case err != nil:
		return o, problem.Parameter(faulty(o.server), "The settings cannot be used: %s.", err)
	}
	return o, nil
}

// faulty is the parameter that [mail.Server.Validate] finds fault with, what is
// judged before it being right.
func faulty(s mail.Server) string {
	switch {
	case s.Password != "" && s.User == "":
		return "user"
	case strings.ContainsRune(s.Password, 0):
		return "password"
	case strings.ContainsRune(s.User, 0):
		return "user"
	}
	return "host"
}

// password is the one to use: the one sent, or the one stored. That is given to
// the host it was stored for and no other, or whoever may write settings could
// have it sent to a host of their own and read it there.
func (a *API) password(in emailInput, to mail.Server, stored *storage.EmailSettings) (string, error) {
	switch {
	case in.Password != nil:
		return *in.Password, nil
	case stored == nil || stored.SealedPassword == "" || to.User == "":
		return "", nil
	case !strings.EqualFold(stored.Host, to.Host):
		return "", problem.Parameter("password", "The stored password belongs to another host. Send password with the new one, or empty for none.")
	}
	return a.openPassword(stored)
}

// openPassword is the stored password, "" if there is none.
func (a *API) openPassword(s *storage.EmailSettings) (string, error) {
	if s.SealedPassword == "" {
		return "", nil
	}
	password, err := a.Sealer.Open(s.SealedPassword, jobs.PasswordContext)
	if err != nil {
		return "", fmt.Errorf("open the stored SMTP password: %w", err)
	}
	return password, nil
}

// These bound a test mail: connecting, each answer, and all of it.
const (
	testConnect = 10 * time.Second
	testAnswer  = 10 * time.Second
	testAll     = 40 * time.Second
)

// mailTest is what a client sends to test settings.
type mailTest struct {
	To       string      `json:"to"`       // "": the From address
	Settings *emailInput `json:"settings"` // nil: those in use
}

// mailTested is what came of a test mail.
type mailTested struct {
	OK          bool       `json:"ok"`
	Stage       mail.Stage `json:"stage"` // how far it came
	Code        *int       `json:"code"`  // nil: the server did not answer
	Reply       string     `json:"reply"` // the server's words
	Explanation string     `json:"explanation"`
}

// testEmail is POST /api/admin/settings/email/test.
func (a *API) testEmail(c *gin.Context, _ caller) error {
	allowTime(c, testAll+ordinary+answering)
	var in mailTest
	if _, err := readJSON(c, &in); err != nil {
		return err
	}
	out, err := a.tested(c.Request.Context(), in.Settings)
	if err != nil {
		return err
	}
	to := strings.TrimSpace(in.To)
	if to == "" {
		to = out.from
	}
	if !mail.ValidAddress(to) {
		return problem.Parameter("to", "to must be an e-mail address without a display name.")
	}
	tested, err := a.tryMail(c.Request.Context(), out, to)
	if err != nil {
		return err
	}
	return a.json(c, http.StatusOK, tested)
}

// tested is the server to test: as sent, or the one in use.
func (a *API) tested(ctx context.Context, in *emailInput) (o outgoing, err error) {
	ctx, cancel := context.WithTimeout(ctx, ordinary)
	defer cancel()
	stored, err := a.Store.EmailSettings(ctx)
	switch {
	case err != nil:
		return o, err
	case in != nil:
		return a.outgoing(*in, stored)
	case stored != nil:
		return a.storedOutgoing(stored)
	case a.Mail.Server != nil:
		return outgoing{*a.Mail.Server, a.Mail.From}, nil
	}
	return o, problem.New(problem.WrongState, "No mail server is configured: send settings to test, store some, or set SMTP_URL.")
}

// storedOutgoing is how mail goes out by stored settings.
func (a *API) storedOutgoing(s *storage.EmailSettings) (o outgoing, err error) {
	o = outgoing{mail.Server{Host: s.Host, Port: s.Port, User: s.User, Within: a.Mail.Within}, s.From}
	if o.from == "" {
		o.from = a.Mail.From
	}
	if o.server.Security, err = mail.ParseSecurity(s.Security); err != nil {
		return o, fmt.Errorf("read the stored mail settings: %w", err)
	}
	o.server.Password, err = a.openPassword(s)
	return o, err
}

// tryMail sends the test mail on a connection of its own.
func (a *API) tryMail(ctx context.Context, o outgoing, to string) (mailTested, error) {
	ctx, cancel := context.WithTimeout(ctx, testAll)
	defer cancel()
	pool, err := mail.NewPool(o.server, mail.PoolConfig{
		Size: 1, ConnectTimeout: testConnect, CommandTimeout: testAnswer, DataTimeout: testAnswer,
	})
	if err != nil { // stored while more was allowed
		return mailTested{}, problem.New(problem.WrongState, "The stored settings cannot be used: %s.", o.server.Validate())
	}
	defer pool.Close()
	t := mailTested{OK: true, Stage: mail.StageEnd, Explanation: "The server took the mail. Look into the mailbox, its spam folder too."}
	err = pool.Send(ctx, mail.Message{
		From: o.from, FromName: a.Mail.Brand, To: to, Subject: a.Mail.Brand + ": test of the e-mail settings",
		Text:     "This mail was sent to test the e-mail settings of " + a.Mail.Brand + ". It asks nothing of you.\n",
		Accepted: func(code int, reply string) { t.Code, t.Reply = &code, reply },
	})
	failure, failed := errors.AsType[*mail.Failure](err)
	switch {
	case failed && failure.Class == mail.Canceled && ctx.Err() == nil, err != nil && !failed:
		return t, err
	case failed:
		t = mailTested{Stage: failure.Stage, Reply: failure.Reply, Explanation: failure.Advice()}
		if failure.Code != 0 {
			t.Code = &failure.Code
		}
	}
	return t, nil
}
