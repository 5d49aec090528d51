package mail

import (
	"encoding/base64"
	"errors"
	"net/textproto"
	"slices"
	"strings"

	"github.com/wneessen/go-mail/smtp"
)

// mechanism picks the way to sign in: PLAIN (RFC 4616), or LOGIN if the server
// offers nothing better. Both show the password to the server, so the
// connection is encrypted, or stays on this machine, before one is used. It
// returns nil if the server offers neither.
func (s Server) mechanism(offered []string) smtp.Auth {
	switch {
	case slices.Contains(offered, "PLAIN"):
		return smtp.PlainAuth("", s.User, s.Password, s.Host, s.Security == None)
	case slices.Contains(offered, "LOGIN"):
		return smtp.LoginAuth(s.User, s.Password, s.Host, s.Security == None)
	default:
		return nil
	}
}

// leaksPassword reports whether reply contains the password, plain or as it was sent.
func (s Server) leaksPassword(reply string) bool {
	if s.Password == "" {
		return false
	}
	encode := base64.StdEncoding.EncodeToString
	for _, secret := range []string{
		s.Password,
		encode([]byte(s.Password)),
		encode([]byte("\x00" + s.User + "\x00" + s.Password)),
	} {
		if strings.Contains(reply, secret) {
			return true
		}
	}
	return false
}

// setupFailure classifies an error of the SMTP client before the first
// transaction: a reply of the server, or a lost connection.
func setupFailure(stage Stage, err error) *Failure {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return refused(stage, reply.Code, reply.Msg)
	}
	return lost(stage, err)
}
