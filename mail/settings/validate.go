package settings

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"rollcall/mail"
	"rollcall/roster"
	"rollcall/storage"
)

// Input is the complete settings an administrator submits.
type Input struct {
	Host     string
	Port     int     // 0: the default of Security
	Security string  // starttls, implicit or none; "": starttls
	User     string  // "": no sign-in
	Password *string // nil: the stored one, if it is for this server and user; "": none
	From     string  // "": that of the environment
	Rate     float64 // invitations a second; 0: no limit

	Auth         string // password or oauth2; "": oauth2 if there is a TokenURL
	TokenURL     string // the rest for oauth2 only; see mail.OAuth
	ClientID     string
	ClientSecret *string // nil: the stored one, if everything else of the sign-in is the same
	Scope        string
}

// Values of Input.Auth.
const (
	AuthPassword = "password"
	AuthOAuth2   = "oauth2"
)

// maxRate is the highest rate that can be set, in invitations a second.
const maxRate = 100_000

func (in Input) trimmed() Input {
	in.Host, in.User, in.From = strings.TrimSpace(in.Host), strings.TrimSpace(in.User), strings.TrimSpace(in.From)
	in.TokenURL, in.ClientID, in.Scope = strings.TrimSpace(in.TokenURL), strings.TrimSpace(in.ClientID), strings.TrimSpace(in.Scope)
	if in.Auth == "" && in.TokenURL != "" {
		in.Auth = AuthOAuth2
	}
	return in
}

// Problem is one problem of the settings: the field of the API object that it
// is in, and a sentence for people.
type Problem struct{ Field, Text string }

func (p Problem) Error() string { return p.Text }

// Problems are all problems of an [Input], in the order of the form.
type Problems []Problem

func (p Problems) Error() string {
	var texts []string
	for _, one := range p {
		texts = append(texts, one.Text)
	}
	return strings.Join(texts, " ")
}

// SealedText explains [ErrSealed] to people.
const SealedText = "The stored password can't be decrypted because ROLLCALL_SECRET has changed. Enter the password again and save."

const securityText = "Choose an encryption option: starttls, implicit or none."

// Propose validates in without storing it, and returns how mail would be sent
// with it, including the password. Invalid settings return [Problems].
func (s *Settings) Propose(ctx context.Context, in Input) (Outgoing, error) {
	stored, err := s.store.EmailSettings(ctx)
	if err != nil {
		return Outgoing{}, err
	}
	in = in.trimmed()
	out := Outgoing{
		Server: mail.Server{Host: in.Host, Port: in.Port, User: in.User, Hello: s.hello(), Within: s.defaults.Within},
		From:   cmp.Or(in.From, s.defaults.From),
		Rate:   in.Rate,
	}
	problems := out.read(in)
	if in.Auth == AuthOAuth2 {
		return s.proposeOAuth(in, stored, out, problems)
	}
	keeps := in.Password == nil && in.User != "" && stored != nil && stored.SealedPassword != ""
	switch {
	case in.Password != nil:
		out.Server.Password = *in.Password
	case keeps && !sameLogin(stored, out.Server):
		problems = append(problems, Problem{"password", "Enter the password again. The stored password is only used with the host, port, encryption and username it was saved for."})
	}
	if err := out.Server.Validate(); len(problems) == 0 && err != nil {
		problems = append(problems, serverProblem(out.Server, err))
	}
	if len(problems) > 0 {
		return out, problems
	}
	if !keeps {
		return out, nil
	}
	if out.Server.Password, err = s.open(stored); errors.Is(err, ErrSealed) {
		return out, Problems{{"password", SealedText}}
	}
	return out, err
}

// proposeOAuth is the rest of Propose for a sign-in with OAuth 2.
func (s *Settings) proposeOAuth(in Input, stored *storage.EmailSettings, out Outgoing, problems Problems) (Outgoing, error) {
	out.Server.OAuth = mail.OAuth{TokenURL: cmp.Or(in.TokenURL, "-"), ClientID: in.ClientID, Scope: in.Scope}
	if in.Password != nil {
		out.Server.Password = *in.Password
	}
	switch {
	case in.ClientSecret != nil:
		out.Server.OAuth.ClientSecret = *in.ClientSecret
	case stored != nil && stored.TokenURL != "" && sameLogin(stored, out.Server) && sameClient(stored, out.Server.OAuth):
		kept, err := s.openOAuth(stored)
		if errors.Is(err, ErrSealed) {
			return out, append(problems, Problem{"client_secret", "The stored client secret can't be decrypted because ROLLCALL_SECRET has changed. Enter it again and save."})
		}
		out.Server.OAuth.ClientSecret = kept.ClientSecret
	case stored != nil && stored.TokenURL != "":
		problems = append(problems, Problem{"client_secret", "Enter the client secret again. The stored one is only used with the host, port, encryption, username, token URL, client ID and scope it was saved for."})
	}
	if err := out.Server.Validate(); len(problems) == 0 && err != nil {
		problems = append(problems, serverProblem(out.Server, err))
	}
	if len(problems) > 0 {
		return out, problems
	}
	return out, nil
}

// sameClient reports whether the stored client secret was entered for this token
// endpoint and client.
func sameClient(stored *storage.EmailSettings, o mail.OAuth) bool {
	return stored.TokenURL == o.TokenURL && stored.ClientID == o.ClientID && stored.Scope == o.Scope
}

// read sets the fields that need parsing, and returns their problems.
func (out *Outgoing) read(in Input) (problems Problems) {
	var err error
	if in.Security != "" {
		if out.Server.Security, err = mail.ParseSecurity(in.Security); err != nil {
			problems = append(problems, Problem{"security", securityText})
		}
	}
	if in.Port == 0 {
		out.Server.Port = out.Server.Security.DefaultPort()
	}
	if in.Auth != "" && in.Auth != AuthPassword && in.Auth != AuthOAuth2 {
		problems = append(problems, Problem{"auth", "Choose how to sign in: password or oauth2."})
	}
	if in.Port < 0 || in.Port > 65535 {
		problems = append(problems, Problem{"port", "The port must be a number from 1 to 65535."})
	}
	if _, err := roster.MailAddress(out.From); err != nil {
		problems = append(problems, Problem{"from", "The From address isn't a valid email address."})
	}
	if !(in.Rate >= 0 && in.Rate <= maxRate) { // NaN is neither
		problems = append(problems, Problem{"rate", "Emails per second must be a number from 0 to 100,000."})
	}
	return problems
}

// sameLogin reports whether the stored password was entered for this very
// server, port, security and user. It is sent nowhere else: otherwise anyone
// who may change the settings could send it to a server of their own and read
// it there.
func sameLogin(stored *storage.EmailSettings, server mail.Server) bool {
	return strings.EqualFold(stored.Host, server.Host) && stored.Port == server.Port &&
		stored.Security == server.Security.String() && stored.User == server.User
}

// serverProblem turns an error of [mail.Server.Validate] into a sentence.
func serverProblem(s mail.Server, err error) Problem {
	switch {
	case errors.Is(err, mail.ErrPlainCredentials):
		return Problem{"security", "Without encryption, the password could be read in transit. Choose STARTTLS or implicit TLS, or leave the username empty."}
	case errors.Is(err, mail.ErrUnencrypted):
		return Problem{"security", "This server requires encryption for email (ROLLCALL_REQUIRE_TLS). Choose STARTTLS or implicit TLS."}
	}
	for _, p := range []struct {
		err         error
		field, text string
	}{
		{mail.ErrTokenURL, "token_url", "The token URL must start with https://."},
		{mail.ErrClientID, "client_id", "Enter the client ID."},
		{mail.ErrClientSecret, "client_secret", "Enter the client secret."},
		{mail.ErrOAuthUser, "user", "Enter the username: the mailbox that sends."},
		{mail.ErrTwoSecrets, "password", "Leave the password empty: OAuth 2 uses the client secret."},
	} {
		if errors.Is(err, p.err) {
			return Problem{p.field, p.text}
		}
	}
	field := "host"
	switch {
	case s.Password != "" && s.User == "", strings.ContainsRune(s.User, 0):
		field = "user"
	case strings.ContainsRune(s.Password, 0):
		field = "password"
	}
	text := err.Error()
	return Problem{field, fmt.Sprintf("%s%s.", strings.ToUpper(text[:1]), text[1:])}
}
