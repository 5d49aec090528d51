package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	netmail "net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/jobs"
	"rollcall/mail"
	"rollcall/roster"
	"rollcall/storage"
)

// testTimeout bounds the conversation with a mail server that is tried out.
const testTimeout = 30 * time.Second

// maxMailRate is the highest rate that can be set, in mails a second.
const maxMailRate = 100_000

// emailView is the form of the mail settings, and the trial of them.
type emailView struct {
	Stored   *storage.EmailSettings // nil: nobody has set any
	Encrypt  bool                   // mail to other machines goes encrypted only
	Fallback string                 // server of the environment, in use where nothing is stored; "" for none
	Form     emailForm
	Problems []string // why the last try to save did not work
	Saved    bool     // they just were
	Cleared  bool     // what was stored is gone, just now
	TestTo   string
	Test     *emailTest // nil: none was sent
}

// emailForm is the settings as typed.
type emailForm struct {
	Host, Port, Security, User, From, Rate string
}

// emailTest is how the sending of a test mail went.
type emailTest struct {
	Sent   bool
	To     string
	Advice string // what to do about it
	Stage  string // of the conversation, where it broke off
	Said   string // the server's words with their codes, "" if it said nothing
}

func (emailView) frame() frame {
	return frame{Template: "email", Title: "E-mail", Section: sectionSettings}
}

// securityChoice is a way to protect the connection, in words.
type securityChoice struct{ Name, Label, Words string }

// Securities are the ways to choose from.
func (v emailView) Securities() []securityChoice {
	plain := "only for a server on this machine or one that needs no login"
	if v.Encrypt {
		plain = "only for a server on this machine"
	}
	return []securityChoice{
		{mail.STARTTLS.String(), "STARTTLS", "usual, port 587"},
		{mail.Implicit.String(), "TLS from the start", "port 465"},
		{mail.None.String(), "None", plain},
	}
}

// emailSettings reads what is stored into a view.
func (s *Site) emailSettings(ctx context.Context, admin *roster.User) (emailView, error) {
	v := emailView{Encrypt: s.Mail.Within != nil && s.Mail.Within.MustEncrypt(), TestTo: admin.Email, Form: emailForm{Security: mail.STARTTLS.String(), Rate: "0"}}
	stored, err := s.Store.EmailSettings(ctx)
	if err != nil {
		return v, err
	}
	if server := s.Mail.Server; server != nil {
		v.Fallback = net.JoinHostPort(server.Host, strconv.Itoa(server.Port))
	}
	if v.Stored = stored; stored != nil {
		v.Form = emailForm{
			Host: stored.Host, Port: strconv.Itoa(stored.Port), Security: stored.Security, User: stored.User,
			From: stored.From, Rate: strconv.FormatFloat(stored.Rate, 'f', -1, 64),
		}
		return v, nil
	}
	v.Form.From = s.Mail.From
	return v, nil
}

func (s *Site) showEmailSettings(c *gin.Context, admin *roster.User) error {
	v, err := s.emailSettings(c.Request.Context(), admin)
	if err != nil {
		return err
	}
	v.Saved, v.Cleared = c.Query("did") == "save", c.Query("did") == "clear"
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
	}
	settings, problems := v.Form.read()
	server := s.Mail.serverOf(settings)
	server.Password = form.Get("password")
	sealed, problem := s.sealPassword(v.Stored, server)
	if problem != "" {
		problems = append(problems, problem)
	}
	if len(problems) == 0 {
		if err := server.Validate(); err != nil {
			problems = append(problems, serverProblem(err))
		}
	}
	if v.Problems = problems; len(problems) > 0 {
		return s.show(c, http.StatusUnprocessableEntity, admin, v)
	}
	settings.SealedPassword = sealed
	if err := s.Store.SetEmailSettings(ctx, settings, entry(c, admin)); err != nil {
		return err
	}
	seeOther(c, "/admin/settings/email?did=save")
	return nil
}

// clearEmailSettings goes back to the settings of the environment.
func (s *Site) clearEmailSettings(c *gin.Context, admin *roster.User) error {
	if err := s.Store.ClearEmailSettings(c.Request.Context(), entry(c, admin)); err != nil {
		return err
	}
	seeOther(c, "/admin/settings/email?did=clear")
	return nil
}

// sealPassword returns the password to store: the one typed or, if none was,
// the one stored. That is kept for its own server and user only: nobody may send
// it elsewhere who does not know it.
func (s *Site) sealPassword(stored *storage.EmailSettings, server mail.Server) (sealed, problem string) {
	switch {
	case server.Password != "":
		return s.Sealer.Seal(server.Password, jobs.PasswordContext), ""
	case server.User == "" || stored == nil || stored.SealedPassword == "":
		return "", ""
	case stored.Host != server.Host || stored.Port != server.Port || stored.User != server.User || stored.Security != server.Security.String():
		return "", "Type the password again: the stored one is kept for the server, security and user it was typed for."
	}
	return stored.SealedPassword, ""
}

// read checks what was typed and says all that is wrong with it.
func (f emailForm) read() (e storage.EmailSettings, problems []string) {
	e = storage.EmailSettings{Host: f.Host, Security: f.Security, User: f.User, From: f.From}
	security, err := mail.ParseSecurity(f.Security)
	if err != nil {
		problems = append(problems, "Choose how the connection is protected.")
	}
	e.Port = security.DefaultPort()
	if f.Port != "" {
		if e.Port, err = strconv.Atoi(f.Port); err != nil || e.Port < 1 || e.Port > 65535 {
			problems = append(problems, "The port is a number from 1 to 65535.")
		}
	}
	if from, err := netmail.ParseAddress(f.From); err != nil || from.Name != "" || from.Address != f.From {
		problems = append(problems, "The From address is not an e-mail address.")
	}
	if f.Rate != "" {
		if e.Rate, err = strconv.ParseFloat(f.Rate, 64); err != nil || !(e.Rate >= 0 && e.Rate <= maxMailRate) {
			problems = append(problems, fmt.Sprintf("The rate is a number from 0 to %s.", number(maxMailRate)))
		}
	}
	return e, problems
}

// serverOf is the server of settings that have been read, without a password.
func (d MailDefaults) serverOf(e storage.EmailSettings) mail.Server {
	security, _ := mail.ParseSecurity(e.Security) // unknown: said by read
	return mail.Server{Host: e.Host, Port: e.Port, Security: security, User: e.User, Within: d.Within}
}

// serverProblem is a fault of the settings as a sentence.
func serverProblem(err error) string {
	if errors.Is(err, mail.ErrPlainCredentials) {
		return "Without encryption anybody on the way could read the password. Choose STARTTLS or TLS, or leave the user empty."
	}
	if errors.Is(err, mail.ErrUnencrypted) {
		return "Here mail leaves the server's machine encrypted only (ROLLCALL_REQUIRE_TLS). Choose STARTTLS or TLS."
	}
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// testEmailSettings sends a mail by the settings in use, over a connection of
// its own, and shows how the conversation went.
func (s *Site) testEmailSettings(c *gin.Context, admin *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), testTimeout)
	defer cancel()
	v, err := s.emailSettings(ctx, admin)
	if err != nil {
		return err
	}
	v.TestTo = strings.TrimSpace(form.Get("to"))
	server, from, err := s.mailing.settings(ctx)
	switch {
	case errors.Is(err, errNoMailServer):
		v.Test = &emailTest{To: v.TestTo, Advice: "There is no mail server yet. Fill in the form above and save it first."}
	case errors.Is(err, errSealed):
		s.log(c, "stored e-mail settings cannot be used", err)
		v.Test = &emailTest{To: v.TestTo, Advice: "The stored password cannot be read: the secret of this server (ROLLCALL_SECRET) has changed. Type the password again and save."}
	case err != nil:
		return err
	case server.Validate() != nil: // stored while more was allowed
		v.Test = &emailTest{To: v.TestTo, Advice: serverProblem(server.Validate())}
	default:
		v.Test = s.tryServer(ctx, server, from, v.TestTo)
	}
	return s.show(c, http.StatusOK, admin, v)
}

// tryServer sends a test mail.
func (s *Site) tryServer(ctx context.Context, server mail.Server, from, to string) *emailTest {
	test := &emailTest{To: to}
	message, err := mail.RenderTest(mail.Test{Brand: s.Brand, From: from, To: to})
	if err == nil {
		err = send(ctx, server, message)
	}
	failure, ok := errors.AsType[*mail.Failure](err)
	switch {
	case err == nil:
		test.Sent = true
	case !ok:
		test.Advice = "The settings cannot be used as they are. Check them and save again."
	case failure.Class == mail.Canceled:
		test.Advice, test.Stage = "The server took too long to answer. Check host and port, and that the firewall lets connections to it through.", string(failure.Stage)
	default:
		test.Advice, test.Stage = failure.Advice(), string(failure.Stage)
		if failure.Code != 0 {
			test.Said = strings.Join(strings.Fields(fmt.Sprintf("%d %s %s", failure.Code, failure.Enhanced, failure.Reply)), " ")
		}
	}
	return test
}
