package mail_test

import (
	"strings"
	"testing"

	"rollcall/mail"
	"rollcall/test/smtptest"
)

// TestRefusalsOfEverything: replies that are about every mail are told apart from
// those about one recipient, and those that ask for fewer mails from both.
func TestRefusalsOfEverything(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]struct{ systemic, throttled bool }{
		"554 5.7.1 <a@example.com>: Relay access denied":                                                  {true, false},
		"550 Relaying denied":                                                                             {true, false},
		"553 sorry, that domain isn't in my list of allowed rcpthosts":                                    {true, false},
		"554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied":                             {true, false},
		"550 Sender rejected":                                                                             {true, false},
		"552 5.3.4 Message size exceeds fixed limit":                                                      {true, false},
		"503 5.5.1 Error: need MAIL command":                                                              {true, false},
		"550 5.1.1 No such user":                                                                          {false, false},
		"550 5.1.1 <a@example.com>: User unknown in relay recipient table":                                {false, false},
		"552 5.2.2 Mailbox full":                                                                          {false, false},
		"550 No such user here":                                                                           {false, false},
		"451 4.7.1 Too many messages, slow down":                                                          {false, true},
		"421 4.4.2 Message submission rate for this client has exceeded the configured limit":             {false, true},
		"450 4.7.1 Error: too much mail from 192.0.2.1":                                                   {false, true},
		"452 4.2.2 Mailbox over quota, limit exceeded":                                                    {false, false},
		"450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents delivery": {false, false},
		"451 4.7.1 Greylisted, come back later":                                                           {false, false},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, smtptest.Config{Script: reply("RCPT", line)})
			f := failureOf(t, newPool(t, plain(server), mail.PoolConfig{}).Send(t.Context(), message()))
			if f.Systemic != want.systemic || f.Throttled != want.throttled {
				t.Errorf("systemic %v, throttled %v; want %+v", f.Systemic, f.Throttled, want)
			}
			if !strings.HasPrefix(line, f.Key()) {
				t.Errorf("key %q", f.Key())
			}
		})
	}
}

// TestHelloName: SMTP_URL sets the name sent in EHLO.
func TestHelloName(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{})
	through, err := mail.ParseURL("smtp://" + server.Address() + "?tls=none&hello=rollcall.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if err := newPool(t, through, mail.PoolConfig{}).Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if line := server.Lines()[0]; line != "EHLO rollcall.example.com" {
		t.Errorf("sent %q", line)
	}
	for _, raw := range []string{"smtp://mx.example.com?hello=", "smtp://mx.example.com?hello=a_b", "smtp://mx.example.com?hello=a&hello=b"} {
		if _, err := mail.ParseURL(raw); err == nil {
			t.Errorf("%s is accepted", raw)
		}
	}
}
