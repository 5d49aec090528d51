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

	"rollcall/egress"
)

// Security says how a connection to the server is protected.
type Security int

const (
	// STARTTLS upgrades a plain connection before anything else is said
	// (RFC 3207). It is required: a server that does not offer it gets no
	// mail and no password. This is the zero value.
	STARTTLS Security = iota
	// Implicit speaks TLS from the first byte (RFC 8314, section 3.3).
	Implicit
	// None never encrypts. Credentials are then refused unless the host is
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

// Server is where mail is handed in. The zero value is not usable: Host is
// required. Printing or logging a Server never shows its password.
type Server struct {
	Host     string // name or IP address, without brackets; also the name the certificate must carry
	Port     int    // 1 to 65535; 0 means Security.DefaultPort
	Security Security
	User     string // empty: no sign-in
	Password string

	// Within are the addresses the host may have, judged when one is dialed, and
	// whether it may be reached unencrypted. Nil: any, for a host that whoever
	// runs the program has named.
	Within *egress.Addresses
}

// ErrPlainCredentials is returned for a server that would be sent a password
// without encryption.
var ErrPlainCredentials = errors.New("credentials need tls=starttls or tls=implicit unless the server is on this machine")

// ErrUnencrypted is returned for a server on another machine, named by somebody
// else than whoever runs the program, that mail would cross a network to in
// clear where that is not wanted.
var ErrUnencrypted = errors.New("mail leaves this machine encrypted only (ROLLCALL_REQUIRE_TLS): it needs tls=starttls or tls=implicit unless the server is on this machine")

// ParseURL reads smtp://user:password@host:port?tls=starttls|implicit|none.
// User, port and tls may be left out; tls defaults to starttls, and the port
// to 587, 465 or 25 accordingly. smtps://host is short for tls=implicit.
// Reserved characters in user and password are percent-encoded. No error
// repeats any part of the URL, since any part of a mistyped one may be the
// password.
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
		return Server{}, errors.New("nothing may follow the host but ?tls= (percent-encode reserved characters in the user name and password)")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Server{}, errors.New("the part after ? is malformed")
	}
	for key, values := range query {
		if key != "tls" || len(values) != 1 {
			return Server{}, errors.New("the only parameter is tls, once")
		}
		if server.Security, err = ParseSecurity(values[0]); err != nil {
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
	return server, server.Validate()
}

var errBarred = errors.New("the host's address is not one that mail may be handed to from here (see ROLLCALL_SMTP_ALLOW_PRIVATE)")

// Validate reports the first fault of s. It returns [ErrPlainCredentials] when
// a password would cross a network in clear, and [ErrUnencrypted] when all else
// would where that is not wanted. A host given as an address is held
// against Within at once; what a name means is judged when it is dialed.
func (s Server) Validate() error {
	switch {
	case s.Host == "":
		return errors.New("the host is missing")
	case !validHost(s.Host):
		return errors.New("the host is neither a domain name nor an IP address")
	case s.barred():
		return errBarred
	case s.Port < 0 || s.Port > 65535:
		return errors.New("the port must be a number from 1 to 65535")
	case s.Security < STARTTLS || s.Security > None:
		return errors.New("tls must be starttls, implicit or none")
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

// Encrypted tells whether nobody between here and the server can read along:
// the connection is encrypted and the certificate verified, or it never leaves
// this machine.
func (s Server) Encrypted() bool { return s.Security != None || isLoopback(s.Host) }

// String returns s as a URL, with the password masked.
func (s Server) String() string {
	u := url.URL{Scheme: "smtp", Host: s.address(), RawQuery: "tls=" + s.Security.String()}
	if s.User != "" {
		u.User = url.UserPassword(s.User, "xxxxx")
	}
	return u.String()
}

// GoString keeps the password out of %#v.
func (s Server) GoString() string { return "mail.Server(" + s.String() + ")" }

// LogValue logs where the server is and how it is reached; the user name is
// often an e-mail address, so it is left out.
func (s Server) LogValue() slog.Value {
	s.User, s.Password = "", ""
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

// barred tells whether the host is an address outside Within.
func (s Server) barred() bool {
	addr, err := netip.ParseAddr(s.Host)
	return err == nil && s.Within != nil && s.Within.Check(addr) != nil
}

// isLoopback is decided by name, not by resolving: a resolver is as easily
// fooled as the connection a password must not cross.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
