package httpapi_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/auth"
	"rollcall/httpapi"
	"rollcall/internal/egress"
	"rollcall/mail"
	mailsettings "rollcall/mail/settings"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/smtptest"
)

const (
	emailPath = "/api/admin/settings/email"
	testPath  = emailPath + "/test"
)

// members is a JSON object in a request.
type members map[string]any

// sendJSON makes a request with a JSON body.
func (h *testEnv) sendJSON(method, path string, body any) answer {
	h.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		h.Fatal(err)
	}
	return h.do(call{method: method, path: path, header: http.Header{"Content-Type": {"application/json"}}, body: strings.NewReader(string(raw))})
}

// mailHouse is a test environment with a sealer and default mail settings.
func mailHouse(t *testing.T, env *mail.Server) *testEnv {
	t.Helper()
	return newTestEnv(t, func(d *httpapi.Deps) {
		d.Sealer = sealer(t)
		d.Mail = mailsettings.Defaults{Server: env, From: "no-reply@example.com", Rate: 3, Brand: "SecureAI"}
	})
}

func sealer(t *testing.T) *auth.Sealer {
	t.Helper()
	s, err := auth.NewSealer("a secret of thirty-two bytes or so")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type settingsBody struct {
	Source, Host, Security, User, From string
	Port                               int
	Rate                               float64
	PasswordSet                        bool    `json:"password_set"`
	UpdatedBy                          *string `json:"updated_by"`
	UpdatedAt                          *string `json:"updated_at"`
}

// TestEmailSettingsKeepToTheirAddresses: only the addresses that the operator
// allows, whether typed or resolved from a name.
func TestEmailSettingsKeepToTheirAddresses(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{})
	within := func(text string) *testEnv {
		allowed, err := egress.ParseAddresses(text)
		if err != nil {
			t.Fatal(err)
		}
		return newTestEnv(t, func(d *httpapi.Deps) {
			d.Sealer = sealer(t)
			d.Mail = mailsettings.Defaults{From: "no-reply@example.com", Brand: "SecureAI", Within: &allowed}
		})
	}
	usual := within("true")
	for _, host := range []string{"169.254.169.254", "::ffff:169.254.169.254", "0.0.0.0", "::", "fe80::1", "64:ff9b::7f00:1", "224.0.0.1"} {
		usual.wantProblem(usual.sendJSON("PUT", emailPath, members{"host": host}), 400, "invalid_parameter")
		usual.wantProblem(usual.sendJSON("POST", emailPath+"/test", members{"settings": members{"host": host}}), 400, "invalid_parameter")
	}
	settings := members{"host": "localhost", "port": server.Port(), "security": "none"}
	if got := as[struct{ OK bool }](t, usual.sendJSON("POST", emailPath+"/test", members{"to": "a@example.com", "settings": settings})); !got.OK {
		t.Error("a relay on this machine is out of reach")
	}
	strict, before := within("false"), server.Connections()
	strict.wantProblem(strict.sendJSON("PUT", emailPath, members{"host": "127.0.0.1"}), 400, "invalid_parameter")
	strict.want(strict.sendJSON("PUT", emailPath, settings), 200) // a name is checked when it is dialed
	got := as[struct {
		OK                 bool
		Stage, Explanation string
	}](t, strict.sendJSON("POST", emailPath+"/test", members{"to": "a@example.com"}))
	if got.OK || got.Stage != "connect" || !strings.Contains(got.Explanation, "ROLLCALL_SMTP_ALLOW_PRIVATE") || server.Connections() != before {
		t.Errorf("%+v, %d connections", got, server.Connections()-before)
	}
}

// TestEmailSettingsAreEncrypted: if the operator requires it, a mail server on
// another machine is rejected without TLS, with its field named, and one that
// was stored before is not used.
func TestEmailSettingsAreEncrypted(t *testing.T) {
	t.Parallel()
	any, err := egress.ParseAddresses("127.0.0.0/8,::1,0.0.0.0,10.0.0.1") // 0.0.0.0 reaches this machine too, but is not a loopback address
	if err != nil {
		t.Fatal(err)
	}
	encrypted := any.OnlyEncrypted()
	h := newTestEnv(t, func(d *httpapi.Deps) {
		d.Sealer = sealer(t)
		d.Mail = mailsettings.Defaults{From: "no-reply@example.com", Brand: "SecureAI", Within: &encrypted}
	})
	refused := func(a answer) {
		t.Helper()
		h.wantProblem(a, 400, "invalid_parameter")
		if !strings.Contains(string(a.body), `"security"`) || !strings.Contains(string(a.body), "ROLLCALL_REQUIRE_TLS") {
			t.Errorf("the field or the reason is missing: %s", a.body)
		}
	}
	plain := members{"host": "relay.example.com", "port": 25, "security": "none"}
	refused(h.sendJSON("PUT", emailPath, plain))
	refused(h.sendJSON("POST", testPath, members{"to": "a@example.com", "settings": plain}))
	if s, err := h.store.EmailSettings(t.Context()); s != nil || err != nil {
		t.Errorf("stored: %+v, %v", s, err)
	}
	server := smtptest.Start(t, smtptest.Config{})
	here := members{"host": "localhost", "port": server.Port(), "security": "none"}
	if got := as[struct{ OK bool }](t, h.sendJSON("POST", testPath, members{"to": "a@example.com", "settings": here})); !got.OK {
		t.Error("a relay on this machine is out of reach")
	}
	h.want(h.sendJSON("PUT", emailPath, members{"host": "relay.example.com"}), 200) // STARTTLS

	before := storage.EmailSettings{Host: "0.0.0.0", Port: server.Port(), Security: "none", From: "no-reply@example.com"}
	if err := h.store.SetEmailSettings(t.Context(), before, storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem}}); err != nil {
		t.Fatal(err)
	}
	connections := server.Connections()
	a := h.sendJSON("POST", testPath, members{"to": "a@example.com"})
	h.wantProblem(a, 409, "wrong_state")
	if !strings.Contains(string(a.body), "ROLLCALL_REQUIRE_TLS") || server.Connections() != connections {
		t.Errorf("%s, %d connections", a.body, server.Connections()-connections)
	}
}

func TestEmailSettingsComeFromTheEnvironmentUntilStored(t *testing.T) {
	t.Parallel()
	a := mailHouse(t, nil).get(emailPath)
	if s := as[settingsBody](t, a); s.Source != "none" || s.Host != "" || s.From != "no-reply@example.com" {
		t.Errorf("without a server: %s", a.body)
	}
	h := mailHouse(t, &mail.Server{Host: "mx.example.com", User: "env", Password: "environment's"})
	a = h.get(emailPath)
	if s := as[settingsBody](t, a); s.Source != "environment" || s.Host != "mx.example.com" || s.Port != 587 || s.Security != "starttls" ||
		s.User != "env" || !s.PasswordSet || s.Rate != 3 || s.UpdatedBy != nil || s.UpdatedAt != nil {
		t.Errorf("from the environment: %s", a.body)
	}
	a = h.sendJSON("PUT", emailPath, members{"host": "smtp.example.com", "security": "implicit", "user": "u", "password": "p4ss", "from": "hr@example.com", "rate": 2.5})
	h.want(a, 200)
	if s := as[settingsBody](t, a); s.Source != "settings" || s.Host != "smtp.example.com" || s.Port != 465 || s.Security != "implicit" ||
		s.User != "u" || !s.PasswordSet || s.From != "hr@example.com" || s.Rate != 2.5 || *s.UpdatedBy != "ADMIN_API_TOKEN" || s.UpdatedAt == nil {
		t.Errorf("stored: %s", a.body)
	}
	if got := h.get(emailPath); string(got.body) != string(a.body) {
		t.Errorf("GET %s, PUT %s", got.body, a.body)
	}
	for range 2 { // the second time there is nothing to delete
		a = h.do(call{method: "DELETE", path: emailPath})
		h.want(a, 200)
		if s := as[settingsBody](t, a); s.Source != "environment" || s.Host != "mx.example.com" || s.UpdatedBy != nil {
			t.Errorf("cleared: %s", a.body)
		}
	}
}

func TestPasswordIsWriteOnly(t *testing.T) {
	t.Parallel()
	h := mailHouse(t, nil)
	const secret = "correct horse battery staple"
	stored := func() string {
		t.Helper()
		s, err := h.store.EmailSettings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(s.SealedPassword, secret) {
			t.Error("the password is stored as it is")
		}
		if s.SealedPassword == "" {
			return ""
		}
		password, err := sealer(t).Open(s.SealedPassword, storage.SMTPPasswordContext)
		if err != nil {
			t.Fatal(err)
		}
		return password
	}
	put := func(in members) answer { t.Helper(); return h.sendJSON("PUT", emailPath, in) }
	first := members{"host": "a.example.com", "port": 2525, "user": "u"}
	with := func(name string, value any) members {
		in := maps.Clone(first)
		in[name] = value
		return in
	}
	for _, step := range []struct {
		name string
		in   members
		want string
	}{
		{"set", with("password", secret), secret},
		{"left out", with("rate", 7), secret},
		{"null", with("password", nil), secret},
		{"the same host", with("host", "A.example.com"), secret},
		{"cleared", with("password", ""), ""},
		{"none to keep", members{"host": "b.example.com", "user": "u"}, ""},
		{"set again", with("password", secret), secret},
		{"no user, no password", members{"host": "a.example.com"}, ""},
		{"and once more", with("password", secret), secret},
	} {
		a := put(step.in)
		if a.status != 200 || stored() != step.want || as[settingsBody](t, a).PasswordSet != (step.want != "") {
			t.Errorf("%s: status %d, stored %q, want %q: %s", step.name, a.status, stored(), step.want, a.body)
		}
		if strings.Contains(string(a.body), secret) || strings.Contains(string(h.get(emailPath).body), secret) {
			t.Errorf("%s: the password is shown", step.name)
		}
	}
	// The password is sent only to the server it was stored for, not even in a
	// test to another.
	for name, value := range map[string]any{"host": "elsewhere.example.com", "port": 2526, "security": "implicit", "user": "v"} {
		in := with(name, value)
		for _, a := range []answer{put(in), h.sendJSON("POST", testPath, members{"settings": in})} {
			p := h.wantProblem(a, 400, "invalid_parameter")
			if p.Errors[0].Parameter != "password" || stored() != secret {
				t.Errorf("another %s: %+v", name, p)
			}
		}
	}
	if strings.Contains(h.log.String(), secret) {
		t.Error("the password is in the log")
	}
}

func TestWhatGetSaysMayBePutBack(t *testing.T) {
	t.Parallel()
	h := mailHouse(t, nil)
	h.want(h.sendJSON("PUT", emailPath, members{"host": "a.example.com", "user": "u", "password": "p"}), 200)
	s := as[map[string]any](t, h.get(emailPath))
	s["rate"] = 7
	a := h.sendJSON("PUT", emailPath, s)
	h.want(a, 200)
	if now := as[settingsBody](t, a); now.Rate != 7 || !now.PasswordSet || now.Host != "a.example.com" {
		t.Errorf("%s", a.body)
	}
}

func TestEmailSettingsAreValidated(t *testing.T) {
	t.Parallel()
	h := mailHouse(t, nil)
	for _, tt := range []struct {
		parameter string
		in        members
	}{
		{"host", members{}},
		{"host", members{"host": "no host"}},
		{"host", members{"host": 7}},
		{"port", members{"host": "a.example.com", "port": 65536}},
		{"port", members{"host": "a.example.com", "port": -1}},
		{"security", members{"host": "a.example.com", "security": "tls"}},
		{"security", members{"host": "a.example.com", "security": "none", "user": "u", "password": "p"}},
		{"user", members{"host": "a.example.com", "password": "p"}},
		{"from", members{"host": "a.example.com", "from": "HR <hr@example.com>"}},
		{"from", members{"host": "a.example.com", "from": "ä@example.com"}},
		{"from", members{"host": "a.example.com", "from": "a@[127.0.0.1]"}},
		{"rate", members{"host": "a.example.com", "rate": -1}},
		{"rate", members{"host": "a.example.com", "rate": 1e9}},
	} {
		p := h.wantProblem(h.sendJSON("PUT", emailPath, tt.in), 400, "invalid_parameter")
		if len(p.Errors) != 1 || p.Errors[0].Parameter != tt.parameter {
			t.Errorf("%v: %+v, want %s", tt.in, p, tt.parameter)
		}
	}
	for _, body := range []string{"{", "[]", "{} {}", `{"host":"a.example.com","hots":"b"}`, `{"host":"` + strings.Repeat("a", 70_000) + `"}`} {
		a := h.do(call{method: "PUT", path: emailPath, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, body: strings.NewReader(body)})
		h.wantProblem(a, 400, "invalid_parameter")
	}
	a := h.do(call{method: "PUT", path: emailPath, header: http.Header{"Content-Type": {"text/plain"}}, body: strings.NewReader(`{"host":"a.example.com"}`)})
	h.wantProblem(a, 415, "unsupported_media_type")
	if s := as[settingsBody](t, h.get(emailPath)); s.Source != "none" {
		t.Errorf("something was stored: %+v", s)
	}
}

func TestEmailSettingsAreForAdministrators(t *testing.T) {
	t.Parallel()
	h := mailHouse(t, nil)
	token := h.token("imports", "imports:read")
	for _, c := range []call{{method: "GET", path: emailPath}, {method: "PUT", path: emailPath}, {method: "POST", path: testPath}} {
		c.token = token
		h.wantProblem(h.do(c), 403, "insufficient_scope")
	}
}

type testedBody struct {
	OK                        bool
	Stage, Reply, Explanation string
	Code                      *int
}

func TestTestMailIsReallySent(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{Auth: "PLAIN"})
	local := members{"host": "localhost", "port": server.Port(), "security": "none", "user": smtptest.User, "password": smtptest.Password}
	h := mailHouse(t, nil)
	h.wantProblem(h.post(testPath), 409, "wrong_state")

	sent := func(body any) testedBody {
		t.Helper()
		a := h.sendJSON("POST", testPath, body)
		h.want(a, 200)
		return as[testedBody](t, a)
	}
	if r := sent(members{"to": "anna@example.com", "settings": local}); !r.OK || r.Stage != "end" || r.Code == nil || *r.Code != 250 || r.Explanation == "" {
		t.Errorf("%+v", r)
	}
	if s := as[settingsBody](t, h.get(emailPath)); s.Source != "none" {
		t.Errorf("a test stored its settings: %+v", s)
	}
	h.want(h.sendJSON("PUT", emailPath, local), 200)
	if a := h.post(testPath); !as[testedBody](t, a).OK { // by what is stored, to the From address
		t.Errorf("%s", a.body)
	}
	mails := server.Mails()
	if len(mails) != 2 || mails[0].To != "anna@example.com" || mails[1].To != "no-reply@example.com" || !strings.Contains(mails[0].Data, "SecureAI") {
		t.Errorf("%+v", mails)
	}
	local["password"] = "wrong"
	if r := sent(members{"settings": local}); r.OK || r.Stage != "auth" || r.Code == nil || *r.Code != 535 || r.Reply == "" || r.Explanation == "" {
		t.Errorf("%+v", r)
	}
	h.wantProblem(h.sendJSON("POST", testPath, members{"to": "nobody"}), 400, "invalid_parameter")
}

func TestTestMailTellsTheServersAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, verb, reply string
		config            smtptest.Config
		stage, words      string
		code              int
	}{
		{name: "taken", verb: ".", reply: "250 2.0.0 Ok: queued as 4F2A1", stage: "end", words: "Ok: queued as 4F2A1", code: 250},
		{name: "refused recipient", verb: "RCPT", reply: "550 5.1.1 No such user here", stage: "rcpt", words: "No such user here", code: 550},
		{name: "later", verb: "MAIL", reply: "451 4.3.2 Come back later", stage: "mail", words: "Come back later", code: 451},
		{name: "no STARTTLS", stage: "tls"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.config.Script = func(e *smtptest.Event) {
				if e.Verb == tt.verb {
					e.Reply = tt.reply
				}
			}
			server := smtptest.Start(t, tt.config)
			env := &mail.Server{Host: "localhost", Port: server.Port(), Security: mail.None}
			if tt.code == 0 {
				env.Security = mail.STARTTLS
			}
			h := mailHouse(t, env)
			a := h.post(testPath)
			h.want(a, 200)
			r := as[testedBody](t, a)
			if r.OK != (tt.code == 250) || r.Stage != tt.stage || r.Reply != tt.words || (r.Code == nil) != (tt.code == 0) || r.Code != nil && *r.Code != tt.code || r.Explanation == "" {
				t.Errorf("%s", a.body)
			}
		})
	}
}

func TestTestMailWithNobodyThere(t *testing.T) {
	t.Parallel()
	h := mailHouse(t, &mail.Server{Host: "localhost", Port: 1, Security: mail.None})
	a := h.post(testPath)
	h.want(a, 200)
	if r := as[testedBody](t, a); r.OK || r.Stage != "connect" || r.Code != nil || r.Explanation == "" {
		t.Errorf("%s", a.body)
	}
}

func TestTestMailsAreLimited(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(d *httpapi.Deps) {
		d.Mail = mailsettings.Defaults{Server: &mail.Server{Host: "localhost", Port: 1, Security: mail.None}, From: "no-reply@example.com"}
		d.Limits.MailTests = httpapi.Quota{Count: 1, Window: time.Minute}
	})
	h.want(h.post(testPath), 200)
	h.wantLimited(h.post(testPath), `"mail-tests";q=1;w=60`)
}
