package mail_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"rollcall/mail"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	tests := map[string]mail.Server{
		"smtp://mail.example.com":                               {Host: "mail.example.com", Port: 587},
		"smtp://mail.example.com/":                              {Host: "mail.example.com", Port: 587},
		"smtp://mail.example.com:2525":                          {Host: "mail.example.com", Port: 2525},
		"smtp://mail.example.com?tls=starttls":                  {Host: "mail.example.com", Port: 587},
		"smtp://mail.example.com?tls=implicit":                  {Host: "mail.example.com", Port: 465, Security: mail.Implicit},
		"smtps://mail.example.com":                              {Host: "mail.example.com", Port: 465, Security: mail.Implicit},
		"smtp://mail.example.com?tls=none":                      {Host: "mail.example.com", Port: 25, Security: mail.None},
		"smtp://[::1]:1025?tls=none":                            {Host: "::1", Port: 1025, Security: mail.None},
		"smtp://u:p@127.0.0.1:1025?tls=none":                    {Host: "127.0.0.1", Port: 1025, Security: mail.None, User: "u", Password: "p"},
		"smtp://u:p@localhost?tls=none":                         {Host: "localhost", Port: 25, Security: mail.None, User: "u", Password: "p"},
		"smtp://user%40example.com:p%2F%3A%40@mail.example.com": {Host: "mail.example.com", Port: 587, User: "user@example.com", Password: "p/:@"},
	}
	for raw, want := range tests {
		t.Run(raw, func(t *testing.T) {
			t.Parallel()
			got, err := mail.ParseURL(raw)
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func TestParseURLRefuses(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3tPASS"
	for _, raw := range []string{
		"", "mail.example.com:587", "http://u:" + secret + "@mail.example.com", secret,
		"smtp://", "smtp://:587", "smtp://u:" + secret + "@", "smtp://u:" + secret + "@mail_host",
		"smtp://u:" + secret + "@mail.example.com:99999", "smtp://u:" + secret + "@mail.example.com:0",
		"smtp://u:" + secret + "@mail.example.com:" + secret,
		"smtp://u:/" + secret + "@mail.example.com", "smtp://u:#" + secret + "@mail.example.com",
		"smtp://u:?" + secret + "@mail.example.com", "smtp://u:%" + secret + "@mail.example.com",
		"smtp://u:" + secret + "\n@mail.example.com", "smtp://u:%00" + secret + "@mail.example.com",
		"smtp://:" + secret + "@mail.example.com",
		"smtp://u:" + secret + "@mail.example.com?tls=maybe", "smtp://u:" + secret + "@mail.example.com?tls=",
		"smtp://u:" + secret + "@mail.example.com?tls=none&tls=implicit",
		"smtp://u:" + secret + "@mail.example.com?verify=no",
		"smtp://u:" + secret + "@mail.example.com/path",
		"smtps://mail.example.com?tls=none",
		"smtp://u:" + secret + "@mail.example.com?tls=none",
		"smtp://u:" + secret + "@localhost.example.com?tls=none",
	} {
		t.Run(raw, func(t *testing.T) {
			t.Parallel()
			server, err := mail.ParseURL(raw)
			if err == nil {
				t.Fatalf("accepted as %v", server)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
	if _, err := mail.ParseURL("smtp://u:p@mail.example.com?tls=none"); !errors.Is(err, mail.ErrPlainCredentials) {
		t.Errorf("got %v, want ErrPlainCredentials", err)
	}
}

func TestServerKeepsItsPassword(t *testing.T) {
	t.Parallel()
	server := mail.Server{Host: "mail.example.com", User: "ada@example.com", Password: "s3cr3t"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("mail", "server", server)
	if !strings.Contains(log.String(), "smtp://mail.example.com:587?tls=starttls") || strings.Contains(log.String(), "ada") {
		t.Errorf("log: %s", log.String())
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, value := range []any{server, &server} {
			printed := fmt.Sprintf(verb, value)
			if strings.Contains(printed, server.Password) || !strings.Contains(printed, "mail.example.com") {
				t.Errorf("%s: %s", verb, printed)
			}
		}
	}
	if strings.Contains(log.String(), server.Password) {
		t.Errorf("log: %s", log.String())
	}
}
