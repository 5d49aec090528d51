package cli_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/auth"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

func TestResetSecondFactor(t *testing.T) {
	t.Parallel()
	s := open(t, pgtest.New(t))
	store := storeOf(t, s)
	by := storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "test"}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	id, err := store.CreateUser(t.Context(), storage.NewUser{Email: "Ada@example.com", EmailKey: "ada@example.com", Name: "Ada", Role: roster.RoleAdmin, PasswordHash: "hash"}, 0, by)
	must(err)
	_, session := auth.NewSession()
	in := storage.SignIn{UserID: id, PasswordHash: "hash", Session: session, Life: time.Hour}
	must(store.CreateSession(t.Context(), in, by))
	must(store.BeginSecondFactor(t.Context(), id, "sealed"))
	f, err := store.SecondFactorOf(t.Context(), id)
	must(err)
	must(store.ConfirmSecondFactor(t.Context(), storage.FactorChange{UserID: id, Proof: storage.Proof{Factor: f.ID, Step: 1}, Current: session, Renewed: session}, by))

	for args, want := range map[string]string{
		"":                   "missing argument EMAIL",
		"nobody":             "EMAIL: ",
		"nobody@example.com": "no user has this email address",
	} {
		r := s.run(append([]string{"user", "reset-second-factor"}, strings.Fields(args)...)...)
		if r.code == 0 {
			t.Errorf("%q is taken", args)
		}
		contains(t, r.stderr, want)
	}
	contains(t, s.mustRun("user", "reset-second-factor", "ADA@example.com").stdout, "signed out everywhere")
	if _, err := store.SessionUser(t.Context(), session, time.Hour); err == nil {
		t.Error("the session goes on")
	}
	_, in.Session = auth.NewSession()
	must(store.CreateSession(t.Context(), in, by)) // with the password alone
	lines, err := store.Audit(t.Context(), storage.AuditFilter{Action: "second_factor.reset", TargetID: id, Limit: 5})
	if err != nil || len(lines) != 1 || lines[0].Actor != "command line" {
		t.Errorf("%+v, %v", lines, err)
	}
	if r := s.run("user", "reset-second-factor", "ada@example.com"); r.code != 1 {
		t.Errorf("without one: exit code %d", r.code)
	} else {
		contains(t, r.stderr, "two-factor authentication is not turned on for this user")
	}
}
