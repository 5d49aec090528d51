package mail

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"rollcall/internal/egress"
)

// Security says how a connection to the server is encrypted.
type Security int

const (
	// STARTTLS upgrades a plain connection before anything else is sent (RFC
	// 3207). It is required: a server that does not offer it gets no mail and
	// no password. This is the zero value.
	STARTTLS Security = iota
	// Implicit uses TLS from the first byte (RFC 8314, section 3.3).
	Implicit
	// None never encrypts. Credentials are then rejected unless the host is
	// this machine.
	None
)

// String returns the word used for s in an SMTP URL.
func (s Security) String() string {
	switch s {
	case STARTTLS:
		return "starttls"
	case Implicit:
		return "implicit"
	case None:
		return "none"
	default:
		return "Security(" + strconv.Itoa(int(s)) + ")"
	}
}

// ParseSecurity is the inverse of [Security.String], for `starttls`,
// `implicit` and `none`.
func ParseSecurity(word string) (Security, error) {
	for _, s := range []Security{STARTTLS, Implicit, None} {
		if word == s.String() {
			return s, nil
		}
	}
	return 0, errors.New("tls must be starttls, implicit or none")
}

// DefaultPort is the port used when none is given: 587 for submission
// (RFC 6409), 465 for submissions (RFC 8314), 25 without TLS.
func (s Security) DefaultPort() int {
	switch s {
	case Implicit:
		return 465
	case None:
		return 25
	default:
		return 587
	}
}

// Server is the mail server to send through. Host is required. Printing or
// logging a Server never shows its password.
type Server struct {
	Host     string // name or IP address, without brackets; also the name the certificate must carry
	Port     int    // 1 to 65535; 0 means Security.DefaultPort
	Security Security
	User     string // empty: no sign-in
	Password string
	OAuth    OAuth  // how to get a token for XOAUTH2 in place of the password; zero: password
	Hello    string // host name sent in EHLO; empty: the address of this end of the connection

	// Within are the addresses the host may have, checked when one is dialed,
	// and whether it may be reached unencrypted. Nil allows any, for a host set
	// by the operator in the environment.
	Within *egress.Addresses
}

// ErrPlainCredentials is returned for a server that would receive a password
// without encryption.
var ErrPlainCredentials = errors.New("credentials need tls=starttls or tls=implicit, unless the server is on this machine")

// ErrUnencrypted is returned for a server on another machine, named in the
// stored settings, that would receive mail unencrypted although encryption is
// required.
var ErrUnencrypted = errors.New("mail to another machine must be encrypted (ROLLCALL_REQUIRE_TLS): use tls=starttls or tls=implicit")

// ParseURL parses
// smtp://user:password@host:port?tls=starttls|implicit|none&auth=oauth2&hello=NAME.
// With auth=oauth2 there is no password, and the caller sets the rest of OAuth,
// which it does not validate. User, port and parameters are optional; tls defaults to starttls, the port to 587,
// 465 or 25 accordingly, and hello to the address of this machine. smtps://host is short for tls=implicit. Reserved
// characters in user and password are percent-encoded. Errors repeat no part of
// the URL, since any part of a mistyped one may be the password.
func ParseURL(raw string) (Server, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return Server{}, errors.New("SMTP URL: not a URL (percent-encode reserved characters in the user name and password)")
	}
	server, err := fromURL(u)
	if err != nil {
		return Server{}, fmt.Errorf("SMTP URL: %w", err)
	}
	return server, nil
}

func fromURL(u *url.URL) (Server, error) {
	server := Server{Host: u.Hostname(), User: u.User.Username()}
	server.Password, _ = u.User.Password()
	switch u.Scheme {
	case "smtp":
	case "smtps":
		server.Security = Implicit
	default:
		return Server{}, errors.New("must start with smtp://")
	}
	if (u.Path != "" && u.Path != "/") || u.Fragment != "" || u.Opaque != "" {
		return Server{}, errors.New("only ?tls=, &auth= and &hello= may follow the host (percent-encode reserved characters in the user name and password)")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Server{}, errors.New("the part after ? is malformed")
	}
	for key, values := range query {
		if len(values) != 1 {
			return Server{}, errors.New("a parameter is given twice")
		}
		if err := server.setParameter(key, values[0]); err != nil {
			return Server{}, err
		}
	}
	if u.Scheme == "smtps" && server.Security != Implicit {
		return Server{}, errors.New("smtps:// means tls=implicit")
	}
	server.Port = server.Security.DefaultPort()
	if port := u.Port(); port != "" {
		if server.Port, err = strconv.Atoi(port); err != nil || server.Port == 0 {
			return Server{}, errors.New("the port must be a number from 1 to 65535")
		}
	}
	return server, server.validate()
}

// oauth2Placeholder marks a Server of ParseURL whose OAuth settings follow.
var oauth2Placeholder = OAuth{TokenURL: "unset"}

// AwaitsOAuth reports whether s was parsed from a URL with auth=oauth2, and its
// OAuth is still to be set.
func (s Server) AwaitsOAuth() bool { return s.OAuth == oauth2Placeholder }

// setParameter applies one parameter of an SMTP URL.
func (s *Server) setParameter(key, value string) (err error) {
	switch key {
	case "tls":
		s.Security, err = ParseSecurity(value)
	case "auth":
		if value != "oauth2" {
			return errors.New("auth must be oauth2")
		}
		s.OAuth = oauth2Placeholder
	case "hello":
		if s.Hello = value; value == "" {
			return errHello
		}
	default:
		return errors.New("the parameters are tls, auth and hello")
	}
	return err
}

var errHello = errors.New("hello must be a host name, such as rollcall.example.com")

var errBlocked = errors.New("the host's address is not allowed (see ROLLCALL_SMTP_ALLOW_PRIVATE)")

// Validate returns the first problem of s: [ErrPlainCredentials] if a password
// would cross a network unencrypted, [ErrUnencrypted] if mail would although
// encryption is required. A host given as an address is checked against Within
// at once; the addresses of a name are checked when one is dialed.
func (s Server) Validate() error {
	if err := s.validate(); err != nil {
		return err
	}
	return s.validateOAuth()
}

// validate is Validate without the OAuth settings.
func (s Server) validate() error {
	switch {
	case s.Host == "":
		return errors.New("the host is missing")
	case !validHost(s.Host):
		return errors.New("the host is neither a domain name nor an IP address")
	case s.barred():
		return errBlocked
	case s.Port < 0 || s.Port > 65535:
		return errors.New("the port must be a number from 1 to 65535")
	case s.Security < STARTTLS || s.Security > None:
		return errors.New("tls must be starttls, implicit or none")
	case s.Hello != "" && !validDomain(s.Hello):
		return errHello
	case s.OAuth != (OAuth{}) && s.User == "":
		return ErrOAuthUser
	case s.OAuth != (OAuth{}) && s.Password != "":
		return ErrTwoSecrets
	case s.User == "" && s.Password != "":
		return errors.New("a password needs a user name")
	case strings.ContainsRune(s.User, 0) || strings.ContainsRune(s.Password, 0):
		// RFC 4616: NUL separates the fields of a PLAIN response.
		return errors.New("user name and password must not contain NUL")
	case s.User != "" && !s.Encrypted():
		return ErrPlainCredentials
	case s.Within != nil && s.Within.MustEncrypt() && !s.Encrypted():
		return ErrUnencrypted
	}
	return nil
}

// Encrypted reports whether no one between here and the server can read the
// mail: the connection is encrypted and the certificate verified, or it never
// leaves this machine.
func (s Server) Encrypted() bool { return s.Security != None || isLoopback(s.Host) }

// String returns s as a URL, with the password masked.
func (s Server) String() string {
	u := url.URL{Scheme: "smtp", Host: s.address(), RawQuery: "tls=" + s.Security.String()}
	if s.Hello != "" {
		u.RawQuery += "&hello=" + url.QueryEscape(s.Hello)
	}
	switch {
	case s.OAuth != (OAuth{}):
		u.RawQuery += "&auth=oauth2"
		u.User = url.User(s.User)
	case s.User != "":
		u.User = url.UserPassword(s.User, "xxxxx")
	}
	return u.String()
}

// GoString keeps the password out of %#v.
func (s Server) GoString() string { return "mail.Server(" + s.String() + ")" }

// LogValue logs the server's address and how it is reached. It omits the user
// name, which is often an email address.
func (s Server) LogValue() slog.Value {
	s.User, s.Password, s.OAuth = "", "", OAuth{}
	return slog.StringValue(s.String())
}

func (s Server) address() string {
	port := s.Port
	if port == 0 {
		port = s.Security.DefaultPort()
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(port))
}

func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return validDomain(host)
}

// barred reports whether the host is an address outside Within.
func (s Server) barred() bool {
	addr, err := netip.ParseAddr(s.Host)
	return err == nil && s.Within != nil && s.Within.Check(addr) != nil
}

// isLoopback decides by name, without resolving: DNS is as easily spoofed as
// the connection a password must not cross.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
