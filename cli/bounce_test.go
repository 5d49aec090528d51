package cli_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

// TestBounce: a mail server's pipe gets 0 for what is recorded or not ours, and 75 for
// what has to be delivered again.
func TestBounce(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	s := open(t, url)
	for _, name := range []string{"ada", "bea", "cleo"} {
		s.mustRun("user", "create-admin", "--email", name+"@example.com", "--name", name)
	}
	store, err := storage.Open(url, storage.Options{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	signer, err := auth.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	find := func(name string) *roster.User {
		users, err := store.Users(t.Context(), storage.UserFilter{EmailKey: name + "@example.com", Limit: 1})
		if err != nil || len(users) != 1 {
			t.Fatalf("%d users, %v", len(users), err)
		}
		return users[0]
	}
	sender := func(id uuid.UUID) string { return "bounces+" + signer.BounceToken(id, 1) + "@mail.example.com" }
	const text = "Subject: Undelivered Mail Returned to Sender\n\nada@example.com: 550 5.1.1 no such user\n"
	for _, c := range []struct {
		stdin string
		args  []string
		want  string // who bounces
	}{
		{"From: MAILER-DAEMON@mx.example\n" + text, []string{"--recipient", sender(find("ada").ID)}, "ada"},
		{"X-Original-To: " + sender(find("bea").ID) + "\n" + text, nil, "bea"},
		{"To: " + strings.Replace(sender(find("cleo").ID), "+", "+a", 1) + "\n" + text, nil, ""},
		{text, []string{"--recipient", "someone.else@example.com"}, ""},
		{"To: someone@example.com\n" + text, nil, ""},
		{"", nil, ""},
	} {
		s.stdin = c.stdin
		if r := s.run(append([]string{"bounce"}, c.args...)...); r.code != 0 || r.stdout+r.stderr != "" {
			t.Errorf("%q: exit code %d\n%s%s", c.stdin, r.code, r.stdout, r.stderr)
		}
		if c.want != "" {
			if i := find(c.want).Invitation; i.Status != roster.InvitationBounced || i.LastError != "ada@example.com: 550 5.1.1 no such user" {
				t.Errorf("%s: %+v", c.want, i)
			}
		}
	}
	if i := find("cleo").Invitation; i.Status != roster.InvitationSent {
		t.Errorf("%+v", i)
	}
	for name, s := range map[string]shell{
		"an empty database": open(t, pgtest.NewEmpty(t)), "no database": open(t, "postgres://127.0.0.1:1/none"), "no settings": {T: t},
	} {
		s.stdin = text
		if r := s.run("bounce"); r.code != 75 || r.stderr == "" {
			t.Errorf("%s: exit code %d, %q", name, r.code, r.stderr)
		}
	}
}
