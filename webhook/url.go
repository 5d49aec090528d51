package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"rollcall/internal/egress"
)

// MaxURL bounds the URL of a webhook, in bytes.
const MaxURL = 2048

// CheckURL returns nil for a URL that webhooks may be sent to, and otherwise an
// error whose text is for the user who entered it. An address in the URL is
// checked at once; a name is checked when it is dialed, because it may resolve
// to another address by then.
func CheckURL(text string, allowed egress.Addresses) error {
	u, err := url.Parse(text)
	switch {
	case len(text) > MaxURL:
		return fmt.Errorf("it is longer than %d bytes", MaxURL)
	case err != nil || u.Host == "" || u.Hostname() == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("it must be an absolute URL of ASCII characters")
	case u.User != nil:
		return errors.New("it must not contain credentials; deliveries are signed instead")
	case strings.Contains(text, "#"):
		return errors.New("it must not have a fragment")
	case u.Scheme == "http" && allowed.None(), u.Scheme != "http" && u.Scheme != "https":
		return errors.New("it must start with https://")
	case !portAllowed(u):
		return errors.New("its port must be 443 or at least 1024")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return nil // a name
	}
	check := allowed.Check
	if u.Scheme == "http" {
		check = allowed.Plain
	}
	if check(addr) != nil {
		return errors.New("its address is not on the public internet")
	}
	return nil
}

// portAllowed reports whether a URL has a port that web servers usually listen
// on. Ports below 1024 include mail, shells and databases, which a malicious
// request could target.
func portAllowed(u *url.URL) bool {
	text := u.Port()
	if text == "" {
		return u.Scheme == "https"
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && (port == 443 || port >= 1024)
}
