package mail_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/mail"
	"rollcall/test/smtptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func message() mail.Message {
	return mail.Message{
		From:      "no-reply@example.com",
		FromName:  "SecureAI",
		To:        "ada@example.org",
		Subject:   "Hello",
		Text:      "Hello.\n",
		HTML:      "<p>Hello.</p>",
		MessageID: "fixed@example.com",
		Date:      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

// plain returns the settings of a server without encryption or sign-in.
func plain(s *smtptest.Server) mail.Server {
	return mail.Server{Host: smtptest.Host, Port: s.Port(), Security: mail.None}
}

func newPool(tb testing.TB, server mail.Server, config mail.PoolConfig) *mail.Pool {
	tb.Helper()
	pool, err := mail.NewPool(server, config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

func failureOf(tb testing.TB, err error) *mail.Failure {
	tb.Helper()
	failure, ok := errors.AsType[*mail.Failure](err)
	if !ok {
		tb.Fatalf("Send returned %v, want a *mail.Failure", err)
	}
	return failure
}

// outcome is the part of a Failure that decides what happens next.
type outcome struct {
	class         mail.Class
	configuration bool
	stage         mail.Stage
	code          int
	enhanced      string
	reply         string
}

func outcomeOf(f *mail.Failure) outcome {
	return outcome{f.Class, f.Configuration, f.Stage, f.Code, f.Enhanced, f.Reply}
}

// reply scripts one answer to one verb.
func reply(verb, line string) func(*smtptest.Event) {
	return func(e *smtptest.Event) {
		if e.Verb == verb {
			e.Reply = line
		}
	}
}

func drop(verb string) func(*smtptest.Event) {
	return func(e *smtptest.Event) { e.Drop = e.Verb == verb }
}

func silent(verb string) func(*smtptest.Event) {
	return func(e *smtptest.Event) { e.Silent = e.Verb == verb }
}

func TestSendClassifiesRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		verb, reply string
		want        outcome
	}{
		"mailbox busy": {"RCPT", "450 4.2.1 Busy",
			outcome{mail.Temporary, false, mail.StageRcpt, 450, "4.2.1", "Busy"}},
		"mailbox unknown": {"RCPT", "550 5.1.1 No such user",
			outcome{mail.Permanent, false, mail.StageRcpt, 550, "5.1.1", "No such user"}},
		"mailbox unknown, several lines": {"RCPT", "550 5.1.1 No such user\n5.1.1 See https://example.com/x",
			outcome{mail.Permanent, false, mail.StageRcpt, 550, "5.1.1", "No such user See https://example.com/x"}},
		"no enhanced code": {"RCPT", "550 1.2.3 not ours",
			outcome{mail.Permanent, false, mail.StageRcpt, 550, "", "1.2.3 not ours"}},
		"going away": {"RCPT", "421 4.3.2 Shutting down",
			outcome{mail.Temporary, false, mail.StageRcpt, 421, "4.3.2", "Shutting down"}},
		"sign-in required": {"RCPT", "530 5.7.0 Authenticate first",
			outcome{mail.ServerDown, true, mail.StageRcpt, 530, "5.7.0", "Authenticate first"}},
		"quota used up": {"RCPT", "550 5.4.5 Daily limit reached",
			outcome{mail.ServerDown, false, mail.StageRcpt, 550, "5.4.5", "Daily limit reached"}},
		"sender deferred": {"MAIL", "451 4.7.1 Slow down",
			outcome{mail.Temporary, false, mail.StageMail, 451, "4.7.1", "Slow down"}},
		"sender refused": {"MAIL", "550 5.7.1 Not your domain",
			outcome{mail.ServerDown, true, mail.StageMail, 550, "5.7.1", "Not your domain"}},
		"DATA deferred": {"DATA", "451 4.3.0 Later",
			outcome{mail.Temporary, false, mail.StageData, 451, "4.3.0", "Later"}},
		"content deferred": {".", "452 4.3.1 Disk full",
			outcome{mail.Temporary, false, mail.StageEnd, 452, "4.3.1", "Disk full"}},
		"content refused": {".", "554 5.7.1 Spam",
			outcome{mail.Permanent, false, mail.StageEnd, 554, "5.7.1", "Spam"}},
		"content too large": {".", "552 5.3.4 Too big",
			outcome{mail.Permanent, false, mail.StageEnd, 552, "5.3.4", "Too big"}},
		"sender refused after the content": {".", "550 5.7.60 Not allowed to send as this sender",
			outcome{mail.ServerDown, true, mail.StageEnd, 550, "5.7.60", "Not allowed to send as this sender"}},
		"going away after the content": {".", "421 4.3.0 Closing",
			outcome{mail.Temporary, false, mail.StageEnd, 421, "4.3.0", "Closing"}},
		"greeting: not now": {"CONNECT", "421 4.3.2 Too many connections",
			outcome{mail.ServerDown, false, mail.StageHello, 421, "4.3.2", "Too many connections"}},
		"greeting: never": {"CONNECT", "554 5.7.1 Go away",
			outcome{mail.ServerDown, true, mail.StageHello, 554, "5.7.1", "Go away"}},
		"unprintable words": {"RCPT", "550 5.1.1 a\x1b[31m\u202eb\tc " + strings.Repeat("x", 400),
			outcome{mail.Permanent, false, mail.StageRcpt, 550, "5.1.1", "a[31mb c " + strings.Repeat("x", 291)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, smtptest.Config{Script: reply(test.verb, test.reply)})
			pool := newPool(t, plain(server), mail.PoolConfig{})
			failure := failureOf(t, pool.Send(t.Context(), message()))
			if got := outcomeOf(failure); got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			if server.Accepted() != 0 {
				t.Error("the server took a mail")
			}
			if strings.Contains(failure.Error(), "@") || test.want.reply != "" && strings.Contains(failure.Error(), test.want.reply) {
				t.Errorf("Error() is not fit for a log: %s", failure)
			}
		})
	}
}

func TestSendClassifiesLostConnections(t *testing.T) {
	t.Parallel()
	type want struct {
		class mail.Class
		stage mail.Stage
		taken int
	}
	tests := map[string]struct {
		script func(*smtptest.Event)
		want   want
	}{
		"dropped at the greeting": {drop("CONNECT"), want{mail.ServerDown, mail.StageHello, 0}},
		"dropped at EHLO":         {drop("EHLO"), want{mail.ServerDown, mail.StageHello, 0}},
		"dropped at MAIL":         {drop("MAIL"), want{mail.ServerDown, mail.StageMail, 0}},
		"dropped at RCPT":         {drop("RCPT"), want{mail.Temporary, mail.StageRcpt, 0}},
		"dropped at DATA":         {drop("DATA"), want{mail.Temporary, mail.StageData, 0}},
		"dropped after the dot":   {drop("."), want{mail.Unknown, mail.StageEnd, 1}},
		"silent at the greeting":  {silent("CONNECT"), want{mail.ServerDown, mail.StageHello, 0}},
		"silent at MAIL":          {silent("MAIL"), want{mail.ServerDown, mail.StageMail, 0}},
		"silent at RCPT":          {silent("RCPT"), want{mail.Temporary, mail.StageRcpt, 0}},
		"silent after the dot":    {silent("."), want{mail.Unknown, mail.StageEnd, 1}},
		"nonsense at MAIL":        {reply("MAIL", "xyz"), want{mail.ServerDown, mail.StageMail, 0}},
		"nonsense after the dot":  {reply(".", "xyz"), want{mail.Unknown, mail.StageEnd, 1}},
		"endless answer":          {reply("MAIL", "250 "+strings.Repeat("x", 300<<10)), want{mail.ServerDown, mail.StageMail, 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			taken := test.want.taken
			server := smtptest.Start(t, smtptest.Config{Script: test.script})
			pool := newPool(t, plain(server), mail.PoolConfig{
				CommandTimeout: 250 * time.Millisecond, DataTimeout: 250 * time.Millisecond,
			})
			failure := failureOf(t, pool.Send(t.Context(), message()))
			got := want{failure.Class, failure.Stage, taken}
			if got != test.want || failure.Configuration || failure.Err == nil {
				t.Errorf("got %+v, want %+v", failure, test.want)
			}
			if name != "nonsense after the dot" && server.Accepted() != taken {
				t.Errorf("the server took %d mails, want %d", server.Accepted(), taken)
			}
			if server.Connections() != 1 {
				t.Errorf("%d connections: a fresh one must not be retried", server.Connections())
			}
		})
	}
}

func TestSendWithoutServer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		server        mail.Server
		dial          func(context.Context, string, string) (net.Conn, error)
		configuration bool
	}{
		"connection refused": {server: mail.Server{Host: "127.0.0.1", Port: port}},
		"no such host": {
			server: mail.Server{Host: "mail.invalid"},
			dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.DNSError{Err: "no such host", Name: "mail.invalid", IsNotFound: true}
			},
			configuration: true,
		},
		"name server away": {
			server: mail.Server{Host: "mail.invalid"},
			dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.DNSError{Err: "timeout", Name: "mail.invalid", IsTimeout: true}
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, test.server, mail.PoolConfig{Dial: test.dial})
			failure := failureOf(t, pool.Send(t.Context(), message()))
			if failure.Class != mail.ServerDown || failure.Stage != mail.StageConnect || failure.Configuration != test.configuration {
				t.Errorf("got %+v", failure)
			}
		})
	}
}

func TestSendSecurely(t *testing.T) {
	t.Parallel()
	_, stranger := smtptest.Certificate(t, smtptest.Host)
	elsewhere, trusting := smtptest.Certificate(t, "elsewhere.example")
	expectConfig := func(stage mail.Stage) outcome {
		return outcome{class: mail.ServerDown, configuration: true, stage: stage}
	}
	tests := map[string]struct {
		config   smtptest.Config
		security mail.Security
		password string
		trust    *tls.Config // nil: the server's certificate
		want     outcome     // zero: sent
	}{
		"STARTTLS":               {config: smtptest.Config{STARTTLS: true}},
		"STARTTLS and PLAIN":     {config: smtptest.Config{STARTTLS: true, Auth: "PLAIN LOGIN"}, password: smtptest.Password},
		"STARTTLS and LOGIN":     {config: smtptest.Config{STARTTLS: true, Auth: "LOGIN"}, password: smtptest.Password},
		"implicit TLS and PLAIN": {config: smtptest.Config{Implicit: true, Auth: "PLAIN"}, security: mail.Implicit, password: smtptest.Password},
		"loopback without TLS":   {config: smtptest.Config{Auth: "PLAIN"}, security: mail.None, password: smtptest.Password},
		"STARTTLS stripped": {config: smtptest.Config{Auth: "PLAIN"}, password: smtptest.Password,
			want: expectConfig(mail.StageTLS)},
		"STARTTLS refused": {
			config: smtptest.Config{STARTTLS: true, Script: reply("STARTTLS", "454 4.7.0 TLS not available")},
			want:   outcome{mail.ServerDown, false, mail.StageTLS, 454, "4.7.0", "TLS not available"}},
		"unknown authority": {config: smtptest.Config{STARTTLS: true}, trust: stranger,
			want: expectConfig(mail.StageTLS)},
		"certificate for another host": {config: smtptest.Config{Implicit: true, TLS: elsewhere}, security: mail.Implicit, trust: trusting,
			want: expectConfig(mail.StageTLS)},
		"implicit TLS to a plain port": {security: mail.Implicit, want: expectConfig(mail.StageTLS)},
		"wrong password": {config: smtptest.Config{STARTTLS: true, Auth: "PLAIN"}, password: "wrong",
			want: outcome{mail.ServerDown, true, mail.StageAuth, 535, "5.7.8", "Wrong user name or password"}},
		"sign-in not offered": {config: smtptest.Config{STARTTLS: true}, password: "wrong",
			want: expectConfig(mail.StageAuth)},
		"sign-in away": {
			config:   smtptest.Config{STARTTLS: true, Auth: "PLAIN", Script: reply("AUTH", "454 4.7.0 Try later")},
			password: smtptest.Password,
			want:     outcome{mail.ServerDown, false, mail.StageAuth, 454, "4.7.0", "Try later"}},
		"password repeated by the server": {
			config:   smtptest.Config{STARTTLS: true, Auth: "PLAIN", Script: reply("AUTH", "535 5.7.8 Not \""+smtptest.Password+"\"")},
			password: smtptest.Password,
			want:     outcome{mail.ServerDown, true, mail.StageAuth, 535, "5.7.8", ""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, test.config)
			settings := mail.Server{Host: smtptest.Host, Port: server.Port(), Security: test.security}
			if test.password != "" {
				settings.User, settings.Password = smtptest.User, test.password
			}
			trust := test.trust
			if trust == nil {
				trust = server.ClientTLS()
			}
			pool := newPool(t, settings, mail.PoolConfig{TLS: trust})
			err := pool.Send(t.Context(), message())
			if test.want == (outcome{}) {
				if err != nil || server.Accepted() != 1 {
					t.Fatalf("err %v, %d mails taken", err, server.Accepted())
				}
				return
			}
			if got := outcomeOf(failureOf(t, err)); got != test.want {
				t.Errorf("got  %+v\nwant %+v (%v)", got, test.want, err)
			}
			if lines := strings.Join(server.Lines(), "\n"); test.want.stage == mail.StageTLS && strings.Contains(lines, "AUTH") {
				t.Errorf("credentials were sent without TLS:\n%s", lines)
			}
		})
	}
}

func TestSendRefusesAddressesBeforeAnyByte(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{})
	pool := newPool(t, plain(server), mail.PoolConfig{})
	for i, address := range []string{
		"", "@", "a@", "@example.com", "a", "a@b@example.com",
		`"a@b> ORCPT=x"@example.com`, "a@example.com> ORCPT=x", "a@example.com\r\nDATA", "a\n@example.com",
		"a b@example.com", "<a@example.com>", "Ada <a@example.com>", "a..b@example.com", ".a@example.com",
		"a@exam_ple.com", "a@-example.com", "a@[127.0.0.1]", "a@example..com", "a@example.com.",
		"ä@example.com", "a@\u202eexample.com", "a@exa\x00mple.com", "a,b@example.com", "a@example.com,b@example.com",
		strings.Repeat("a", 65) + "@example.com", "a@" + strings.Repeat("b", 64) + ".com",
		"a@" + strings.Repeat("abcdefg.", 32) + "com",
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			m := message()
			m.To = address
			failure := failureOf(t, pool.Send(t.Context(), m))
			if failure.Class != mail.Permanent || failure.Stage != mail.StageCompose {
				t.Errorf("To %q: %+v", address, failure)
			}
			m.To, m.From = m.From, address
			failure = failureOf(t, pool.Send(t.Context(), m))
			if failure.Class != mail.ServerDown || !failure.Configuration {
				t.Errorf("From %q: %+v", address, failure)
			}
		})
	}
	if server.Connections() != 0 {
		t.Error("a connection was made")
	}
}
