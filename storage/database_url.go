package storage

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lib/pq"
)

// DriverURL turns a DATABASE_URL as libpq reads it into one that the driver
// reads: with several hosts and ports (https://www.postgresql.org/docs/current/libpq-connect.html
// section 34.1.1), and without parameters that say only what the driver does
// anyway. key=value strings are taken as well. An error names a parameter that
// cannot be honored and never repeats a value.
func DriverURL(raw string) (string, error) {
	isURL := isDatabaseURL(raw)
	dsn := raw
	if isURL {
		var err error
		if dsn, err = splitHosts(raw); err != nil {
			return "", err
		}
	}
	cfg, err := pq.NewConfig(dsn)
	if err != nil {
		return "", errors.New("cannot be read by the driver (percent-encode special characters in the password; unset PG… variables that only libpq knows)")
	}
	for _, p := range libpqParameters {
		value, given := cfg.Runtime[p.name]
		if !given {
			continue
		}
		if p.remedy != "" && !slices.Contains(p.harmless, value) {
			return "", fmt.Errorf("asks for %s, which cannot be honored: %s", p.name, p.remedy)
		}
		if dsn, err = withoutParameter(dsn, isURL, p.name); err != nil {
			return "", err
		}
	}
	return dsn, nil
}

// libpqParameters are parameters of libpq that the driver does not know. It would
// send them to the server, which refuses a connection with such a parameter.
var libpqParameters = []struct {
	name     string
	harmless []string // values that change nothing here
	remedy   string   // for other values; "": no value matters
}{
	{name: "keepalives"}, {name: "keepalives_idle"}, {name: "keepalives_interval"}, {name: "keepalives_count"},
	{name: "tcp_user_timeout"}, // silent connections end by deadlines of our own
	{name: "sslcompression", harmless: []string{"0", ""}, remedy: "compression of TLS is unsafe; take it out"},
	{name: "gssencmode", harmless: []string{"disable", "prefer", ""}, remedy: "use sslmode=verify-full instead"},
	{name: "channel_binding", harmless: []string{"disable", "prefer", ""}, remedy: "use sslmode=verify-full, which proves the server's identity, and take channel_binding out"},
	{name: "sslcertmode", harmless: []string{"allow", ""}, remedy: "take it out; sslcert and sslkey say whether there is a certificate"},
	{name: "sslpassword", harmless: []string{""}, remedy: "store the key without a password, readable by this program only"},
	{name: "sslcrl", harmless: []string{""}, remedy: "revocation lists are not read; take it out"},
	{name: "sslcrldir", harmless: []string{""}, remedy: "revocation lists are not read; take it out"},
	{name: "requirepeer", harmless: []string{""}, remedy: "take it out"},
	{name: "require_auth", harmless: []string{""}, remedy: "take it out; pg_hba.conf decides the method"},
	{name: "replication", harmless: []string{"false", "off", "no", "0", ""}, remedy: "take it out"},
	{name: "requiressl", harmless: []string{"0", ""}, remedy: "use sslmode=require"},
}

// splitHosts moves the hosts and ports of a URL into its parameters, where the
// driver reads lists of them and names of sockets.
func splitHosts(raw string) (string, error) {
	malformed := errors.New("is not a URL (percent-encode special characters in the password)")
	scheme, rest, _ := strings.Cut(raw, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	userinfo := ""
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		userinfo, authority = authority[:at+1], authority[at+1:]
	}
	if !strings.ContainsAny(authority, ",%") {
		if _, err := url.Parse(raw); err != nil {
			return "", malformed
		}
		return raw, nil
	}
	var hosts, ports []string
	for _, one := range strings.Split(authority, ",") {
		host, port, ok := cutPort(one)
		if !ok {
			return "", fmt.Errorf("has a malformed host or port: write host:port,host:port")
		}
		hosts, ports = append(hosts, host), append(ports, port)
	}
	u, err := url.Parse(scheme + "://" + userinfo + tail)
	if err != nil {
		return "", malformed
	}
	q := u.Query()
	if q.Has("host") || q.Has("hostaddr") {
		return "", errors.New("names hosts before the path and after the question mark")
	}
	q.Set("host", strings.Join(hosts, ","))
	if slices.ContainsFunc(ports, func(p string) bool { return p != "" }) {
		if q.Has("port") {
			return "", errors.New("names ports before the path and after the question mark")
		}
		for i := range ports {
			if ports[i] == "" {
				ports[i] = "5432"
			}
		}
		q.Set("port", strings.Join(ports, ","))
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// cutPort takes host, host:port, [IPv6], [IPv6]:port, or the percent-encoded path of
// a socket's directory.
func cutPort(s string) (host, port string, ok bool) {
	host = s
	if inner, rest, bracketed := strings.Cut(strings.TrimPrefix(s, "["), "]"); strings.HasPrefix(s, "[") {
		if !bracketed || rest != "" && rest[0] != ':' {
			return "", "", false
		}
		host, port = inner, strings.TrimPrefix(rest, ":")
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i+1:]
		if strings.Contains(host, ":") {
			return "", "", false // an IPv6 address needs brackets
		}
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", "", false
		}
	}
	host, err := url.PathUnescape(host)
	return host, port, err == nil && !strings.ContainsAny(host, ", ")
}

func withoutParameter(dsn string, isURL bool, name string) (string, error) {
	if !isURL {
		return regexp.MustCompile(`(^|\s)`+name+`\s*=\s*('(?:[^'\\]|\\.)*'|\S*)`).ReplaceAllString(dsn, " "), nil
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("is not a URL")
	}
	q := u.Query()
	q.Del(name)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func isDatabaseURL(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}
