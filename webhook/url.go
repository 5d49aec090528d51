package webhook

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"rollcall/egress"
)

// MaxURL bounds the URL of a webhook, in bytes.
const MaxURL = 2048

// CheckURL returns nil for a URL that webhooks may be sent to, and otherwise an
// error whose text is for the one who gave it. An address in the URL is judged
// at once; a name is judged when it is dialed, for what it means may change.
func CheckURL(text string, allowed egress.Addresses) error {
	u, err := url.Parse(text)
	switch {
	case len(text) > MaxURL:
		return errors.New("it is too long")
	case err != nil || u.Host == "" || u.Hostname() == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("it is not an absolute URL of ASCII characters")
	case u.User != nil:
		return errors.New("it holds credentials; deliveries are told by their signature")
	case strings.Contains(text, "#"):
		return errors.New("it has a fragment, which no server is sent")
	case u.Scheme == "http" && allowed.None(), u.Scheme != "http" && u.Scheme != "https":
		return errors.New("it does not begin with https://")
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
		return errors.New("its address is not one of the public Internet")
	}
	return nil
}
