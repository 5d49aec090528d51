// Package settings handles the mail settings: those that an administrator
// stores under Settings > Email, and those of the environment that apply while
// none are stored. It validates them, keeps or drops the stored password,
// chooses the server to send through, and sends the test mail.
package settings

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/internal/egress"
	"rollcall/mail"
	"rollcall/storage"
)

// Defaults are the mail settings of the environment.
type Defaults struct {
	Server *mail.Server      // from SMTP_URL; nil: none
	From   string            // sender's address
	Sender string            // envelope sender of the test mail; "": From
	Rate   float64           // invitations a second; 0: no limit
	Brand  string            // name shown in the test mail
	Within *egress.Addresses // allowed for a stored server; nil: any
}

var (
	// ErrNoServer: neither SMTP_URL nor Settings > Email names a server.
	ErrNoServer = errors.New("no mail server is configured: set SMTP_URL or Settings > Email")
	// ErrSealed: the stored password was encrypted with another ROLLCALL_SECRET.
	ErrSealed = errors.New("the stored SMTP password cannot be opened")
)

// Outgoing is the server and the limits to send mail with.
type Outgoing struct {
	Server    mail.Server
	From      string    // sender's address
	Rate      float64   // invitations a second; 0: no limit
	ChangedAt time.Time // when the stored settings last changed; zero: they are those of the environment
}

// store keeps the settings; see storage.Store.
type store interface {
	EmailSettings(ctx context.Context) (*storage.EmailSettings, error)
	SetEmailSettings(ctx context.Context, e storage.EmailSettings, by storage.AuditEntry) error
	InvitationSettings(ctx context.Context) (storage.InvitationSettings, error)
	SetInvitationSettings(ctx context.Context, i storage.InvitationSettings, by storage.AuditEntry) error
}

// sealer encrypts the stored password; see auth.Sealer.
type sealer interface {
	Seal(plain, context string) string
	Open(sealed, context string) (string, error)
}

// Settings reads, changes and tests the mail settings. It holds no state.
type Settings struct {
	store    store
	sealer   sealer
	defaults Defaults
}

// New returns the settings in store, with those of the environment as defaults.
func New(store store, sealer sealer, defaults Defaults) *Settings {
	return &Settings{store: store, sealer: sealer, defaults: defaults}
}

// Current returns how mail is sent now. It fails with [ErrNoServer],
// [ErrSealed] or a [Problem], with From, Rate and ChangedAt set, if there are
// no usable settings; any other error means that they could not be read.
func (s *Settings) Current(ctx context.Context) (Outgoing, error) {
	stored, err := s.store.EmailSettings(ctx)
	if err != nil {
		return Outgoing{}, err
	}
	if stored == nil {
		return s.fromEnvironment()
	}
	return s.outgoing(stored)
}

// By returns how mail is sent with the given stored settings, or, for nil, with
// those of the environment. It fails as [Settings.Current] does.
func (s *Settings) By(stored *storage.EmailSettings) (Outgoing, error) {
	if stored == nil {
		return s.fromEnvironment()
	}
	return s.outgoing(stored)
}

func (s *Settings) fromEnvironment() (Outgoing, error) {
	out := Outgoing{From: s.defaults.From, Rate: s.defaults.Rate}
	if s.defaults.Server == nil {
		return out, ErrNoServer
	}
	out.Server = *s.defaults.Server
	return out, nil
}

func (s *Settings) outgoing(stored *storage.EmailSettings) (out Outgoing, err error) {
	out = Outgoing{
		Server:    mail.Server{Host: stored.Host, Port: stored.Port, User: stored.User, Hello: s.hello(), Within: s.defaults.Within},
		From:      cmp.Or(stored.From, s.defaults.From),
		Rate:      stored.Rate,
		ChangedAt: stored.UpdatedAt,
	}
	if out.Server.Security, err = mail.ParseSecurity(stored.Security); err != nil {
		return out, Problem{Field: "security", Text: securityText}
	}
	if out.Server.Password, err = s.open(stored); err != nil {
		return out, err
	}
	if out.Server.OAuth, err = s.openOAuth(stored); err != nil {
		return out, err
	}
	// Validated again: it may have been stored when more was allowed.
	if err := out.Server.Validate(); err != nil {
		return out, serverProblem(out.Server, err)
	}
	return out, nil
}

// hello is the EHLO name of SMTP_URL, which is the name of this installation
// whatever server mail goes through.
func (s *Settings) hello() string {
	if s.defaults.Server == nil {
		return ""
	}
	return s.defaults.Server.Hello
}

// open returns the stored password, "" if there is none.
func (s *Settings) open(stored *storage.EmailSettings) (string, error) {
	if stored.SealedPassword == "" {
		return "", nil
	}
	password, err := s.sealer.Open(stored.SealedPassword, storage.SMTPPasswordContext)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return password, nil
}

// openOAuth returns how a token is had, with the stored client secret.
func (s *Settings) openOAuth(stored *storage.EmailSettings) (o mail.OAuth, err error) {
	if stored.TokenURL == "" {
		return o, nil
	}
	o = mail.OAuth{TokenURL: stored.TokenURL, ClientID: stored.ClientID, Scope: stored.Scope}
	if o.ClientSecret, err = s.sealer.Open(stored.SealedClientSecret, storage.SMTPClientSecretContext); err != nil {
		return o, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return o, nil
}

// sealClientSecret does for a client secret what seal does for a password.
func (s *Settings) sealClientSecret(ctx context.Context, secret string) (string, error) {
	stored, err := s.store.EmailSettings(ctx)
	if err != nil {
		return "", err
	}
	if stored != nil {
		if kept, err := s.openOAuth(stored); err == nil && kept.ClientSecret == secret {
			return stored.SealedClientSecret, nil
		}
	}
	return s.sealer.Seal(secret, storage.SMTPClientSecretContext), nil
}

// Save validates in and stores it. Invalid settings return [Problems].
func (s *Settings) Save(ctx context.Context, in Input, by storage.AuditEntry) error {
	out, err := s.Propose(ctx, in)
	if err != nil {
		return err
	}
	e := storage.EmailSettings{
		Host: out.Server.Host, Port: out.Server.Port, Security: out.Server.Security.String(), User: out.Server.User,
		From: in.trimmed().From, Rate: out.Rate,
	}
	if e.SealedPassword, err = s.seal(ctx, out.Server.Password); err != nil {
		return err
	}
	if oauth := out.Server.OAuth; oauth != (mail.OAuth{}) {
		e.TokenURL, e.ClientID, e.Scope = oauth.TokenURL, oauth.ClientID, oauth.Scope
		if e.SealedClientSecret, err = s.sealClientSecret(ctx, oauth.ClientSecret); err != nil {
			return err
		}
	}
	return s.store.SetEmailSettings(ctx, e, by)
}

// seal encrypts a password, or returns the stored ciphertext if the password is
// the same: that shows that it did not change.
func (s *Settings) seal(ctx context.Context, password string) (string, error) {
	if password == "" {
		return "", nil
	}
	stored, err := s.store.EmailSettings(ctx)
	if err != nil {
		return "", err
	}
	if stored != nil {
		if kept, err := s.open(stored); err == nil && kept == password {
			return stored.SealedPassword, nil
		}
	}
	return s.sealer.Seal(password, storage.SMTPPasswordContext), nil
}

// Unusable reports whether an error of [Settings.Current] is a problem of the
// settings, which only an administrator can fix, and not an error while reading
// them.
func Unusable(err error) bool {
	_, problem := errors.AsType[Problem](err)
	return problem || errors.Is(err, ErrNoServer) || errors.Is(err, ErrSealed)
}
