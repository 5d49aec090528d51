package settings_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/auth"
	"rollcall/mail"
	"rollcall/mail/settings"
	"rollcall/storage"
)

// memory keeps settings as storage.Store does.
type memory struct {
	stored     *storage.EmailSettings
	invitation storage.InvitationSettings
}

func (m *memory) InvitationSettings(context.Context) (storage.InvitationSettings, error) {
	return m.invitation, nil
}

func (m *memory) SetInvitationSettings(_ context.Context, i storage.InvitationSettings, _ storage.AuditEntry) error {
	m.invitation = i
	return nil
}

func (m *memory) EmailSettings(context.Context) (*storage.EmailSettings, error) { return m.stored, nil }

func (m *memory) SetEmailSettings(_ context.Context, e storage.EmailSettings, _ storage.AuditEntry) error {
	e.UpdatedAt = time.Unix(1, 0)
	m.stored = &e
	return nil
}

func newSettings(t *testing.T, secret string, m *memory, defaults settings.Defaults) *settings.Settings {
	t.Helper()
	sealer, err := auth.NewSealer(secret)
	if err != nil {
		t.Fatal(err)
	}
	return settings.New(m, sealer, defaults)
}

const secret = "a secret that is long enough for every test"

func text(s string) *string { return &s }

// fields returns the fields that an error complains about.
func fields(err error) (all []string) {
	problems, _ := errors.AsType[settings.Problems](err)
	for _, p := range problems {
		all = append(all, p.Field)
	}
	return all
}

// TestStoredPasswordStaysWhereItIs: the password is used only with the server,
// port, security and user it was entered for, both when storing and when
// testing settings.
func TestStoredPasswordStaysWhereItIs(t *testing.T) {
	t.Parallel()
	base := settings.Input{Host: "mx.example.com", User: "u", From: "a@example.com"}
	for name, test := range map[string]struct {
		change func(*settings.Input)
		keeps  bool
	}{
		"nothing":          {func(*settings.Input) {}, true},
		"case of the host": {func(in *settings.Input) { in.Host = "MX.example.com" }, true},
		"the usual port":   {func(in *settings.Input) { in.Port = 587 }, true},
		"From and rate":    {func(in *settings.Input) { in.From, in.Rate = "b@example.com", 3 }, true},
		"host":             {func(in *settings.Input) { in.Host = "mx.example.org" }, false},
		"port":             {func(in *settings.Input) { in.Port = 2525 }, false},
		"security":         {func(in *settings.Input) { in.Security, in.Port = "implicit", 587 }, false},
		"user":             {func(in *settings.Input) { in.User = "v" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &memory{}
			s := newSettings(t, secret, m, settings.Defaults{})
			in := base
			in.Password = text("pass")
			if err := s.Save(t.Context(), in, storage.AuditEntry{}); err != nil {
				t.Fatal(err)
			}
			in.Password = nil
			test.change(&in)
			out, err := s.Propose(t.Context(), in)
			if test.keeps {
				if err != nil || out.Server.Password != "pass" {
					t.Errorf("%v, password %q", err, out.Server.Password)
				}
				return
			}
			if diff := cmp.Diff([]string{"password"}, fields(err)); diff != "" || out.Server.Password != "" {
				t.Errorf("%s, password %q", diff, out.Server.Password)
			}
			if err := s.Save(t.Context(), in, storage.AuditEntry{}); err == nil {
				t.Error("it was stored")
			}
			if now, err := s.Current(t.Context()); err != nil || now.Server.Password != "pass" || now.Server.Host != base.Host {
				t.Errorf("in use: %v, %v", now.Server, err)
			}
		})
	}
}

// TestSettingsAreValidated: all problems are reported at once, field by field.
func TestSettingsAreValidated(t *testing.T) {
	t.Parallel()
	s := newSettings(t, secret, &memory{}, settings.Defaults{From: "no-reply@localhost"})
	for name, test := range map[string]struct {
		in   settings.Input
		want []string
	}{
		"fine":              {settings.Input{Host: "mx.example.com"}, nil},
		"no host":           {settings.Input{}, []string{"host"}},
		"everything":        {settings.Input{Security: "ssl", Port: -1, From: "us", Rate: math.NaN()}, []string{"security", "port", "from", "rate"}},
		"no ASCII":          {settings.Input{Host: "mx.example.com", From: "ä@example.com"}, []string{"from"}},
		"an address in it":  {settings.Input{Host: "mx.example.com", From: "a@[127.0.0.1]"}, []string{"from"}},
		"password in clear": {settings.Input{Host: "mx.example.com", Security: "none", User: "u", Password: text("p")}, []string{"security"}},
		"no user":           {settings.Input{Host: "mx.example.com", Password: text("p")}, []string{"user"}},
		"NUL":               {settings.Input{Host: "mx.example.com", User: "u", Password: text("p\x00")}, []string{"password"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.Propose(t.Context(), test.in)
			if diff := cmp.Diff(test.want, fields(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCurrent: stored settings override those of the environment; unusable ones
// are told apart from usable ones.
func TestCurrent(t *testing.T) {
	t.Parallel()
	env := settings.Defaults{From: "env@example.com", Rate: 2}
	m := &memory{}
	s := newSettings(t, secret, m, env)
	if out, err := s.Current(t.Context()); !errors.Is(err, settings.ErrNoServer) || !settings.Unusable(err) || out.From != env.From || out.Rate != 2 {
		t.Errorf("nothing: %+v, %v", out, err)
	}
	env.Server = &mail.Server{Host: "relay.example.com"}
	if out, err := newSettings(t, secret, m, env).Current(t.Context()); err != nil || out.Server.Host != "relay.example.com" || !out.ChangedAt.IsZero() {
		t.Errorf("environment: %+v, %v", out, err)
	}
	if err := s.Save(t.Context(), settings.Input{Host: " mx.example.com ", Security: "implicit", User: "u", Password: text("p"), Rate: 5}, storage.AuditEntry{}); err != nil {
		t.Fatal(err)
	}
	out, err := newSettings(t, secret, m, env).Current(t.Context())
	want := settings.Outgoing{Server: mail.Server{Host: "mx.example.com", Port: 465, Security: mail.Implicit, User: "u", Password: "p"}, From: env.From, Rate: 5, ChangedAt: time.Unix(1, 0)}
	if err != nil || out != want {
		t.Errorf("stored: %+v, %v", out, err)
	}
	if m.stored.SealedPassword == "p" || m.stored.From != "" {
		t.Errorf("stored as %+v", m.stored)
	}
	other := newSettings(t, "another secret that is as long as the first", m, env)
	if _, err := other.Current(t.Context()); !errors.Is(err, settings.ErrSealed) || !settings.Unusable(err) {
		t.Errorf("another secret: %v", err)
	}
	if _, err := other.Propose(t.Context(), settings.Input{Host: "mx.example.com", Security: "implicit", User: "u"}); !cmp.Equal(fields(err), []string{"password"}) {
		t.Errorf("kept with another secret: %v", err)
	}
	m.stored.Security = "perhaps"
	if _, err := s.Current(t.Context()); !settings.Unusable(err) || errors.Is(err, settings.ErrSealed) {
		t.Errorf("unknown security: %v", err)
	}
}
