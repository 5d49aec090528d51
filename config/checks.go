package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rollcall/egress"
	smtp "rollcall/mail"
)

const (
	minSecretBytes   = 32
	minTokenLength   = 32
	maxBrandLength   = 64
	maxAddressLength = 254 // RFC 5321 §4.5.3.1.3, less the angle brackets
)

// rule is what a text must be like. Its words never repeat the text.
type rule struct {
	want   string                    // completes "set it to …"
	broken func(value string) string // what is wrong with the value; empty: nothing
}

// rules returns the rules that check tags name.
func rules() map[string]rule {
	return map[string]rule{
		"database_url":  {"a URL such as postgres://user:password@host:5432/database", brokenDatabaseURL},
		"redis_url":     {"a URL such as redis://:password@host:6379/0, or redis-sentinel://host:26379,host:26379/0?master=NAME", brokenRedisURL},
		"secret":        {fmt.Sprintf("%d random bytes or more, as printed by: openssl rand -base64 48", minSecretBytes), brokenSecret},
		"secrets":       {"earlier values of ROLLCALL_SECRET, separated by commas or line breaks", brokenSecret},
		"listen":        {"host:port, such as 127.0.0.1:8080, or :8080 for all addresses", brokenListen},
		"public_url":    {"scheme and host, such as https://rollcall.example.com", brokenPublicURL},
		"brand":         {fmt.Sprintf("1 to %d printable characters", maxBrandLength), brokenBrand},
		"api_token":     {fmt.Sprintf("%d random characters or more, as printed by: openssl rand -hex 32", minTokenLength), brokenToken},
		"smtp_url":      {"a URL such as smtp://user:password@host:587?tls=starttls", brokenSMTPURL},
		"address":       {"an address such as no-reply@example.com, without a display name", brokenAddress},
		"otlp_endpoint": {"the base URL of an OTLP receiver, such as http://localhost:4318", brokenOTLPEndpoint},
		"log_format":    {"text or json", brokenLogFormat},

		"import_admins": {"imports or admin", brokenImportAdmins},
		"yes_no":        {"yes or no", brokenYesNo},
		"second_factor": {"optional or administrators", brokenSecondFactor},
		"proxies":       {"addresses and CIDR blocks of your proxies separated by commas, such as 10.1.0.0/16,fd12:3456::1", brokenProxies},

		"addresses": {"CIDR blocks separated by commas, such as 10.1.0.0/16,fd12:3456::/32, or true, or false", brokenAddresses},
	}
}

// check holds one set field against its bounds and its rule.
func check(f field, c *Config) *Fault {
	value := f.in(c)
	problem := outOfBounds(f, value)
	if name := f.tag("check"); name != "" {
		r, ok := rules()[name]
		switch {
		case !ok: // a mistake in Config, which the tests of this package find
			panic("config: " + f.Name + ": no rule " + name)
		case value.Kind() == reflect.String:
			problem = r.broken(value.String())
		case value.Type() == reflect.TypeFor[Secrets]():
			for i, secret := range c.SecretPrevious {
				if broken := r.broken(secret.Reveal()); broken != "" {
					problem = fmt.Sprintf("entry %d %s", i+1, broken)
					break
				}
			}
		}
	}
	if problem == "" {
		return nil
	}
	return &Fault{f.name(), problem, "set it to " + describeValue(f)}
}

// outOfBounds compares a number or a duration with its min and max tags, both
// inclusive.
func outOfBounds(f field, value reflect.Value) string {
	low, bounded := f.Tag.Lookup("min")
	if !bounded {
		return ""
	}
	n, floor, ceiling := number(value), bound(f, low), bound(f, f.tag("max"))
	switch {
	case n < floor:
		return "is less than " + low
	case !(n <= ceiling): // so that NaN is out of bounds too
		return "is more than " + f.tag("max")
	default:
		return ""
	}
}

func number(value reflect.Value) float64 {
	if value.CanFloat() {
		return value.Float()
	}
	return float64(value.Int())
}

// bound reads a min or max tag. A malformed tag is a mistake in Config, which
// the tests of this package find.
func bound(f field, text string) float64 {
	if f.Type == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic("config: " + f.Name + ": " + err.Error())
		}
		return float64(d)
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic("config: " + f.Name + ": " + err.Error())
	}
	return n
}

// describeValue completes "set it to …".
func describeValue(f field) string {
	if r, ok := rules()[f.tag("check")]; ok {
		return r.want
	}
	switch low, high := f.tag("min"), f.tag("max"); {
	case f.Type == reflect.TypeFor[time.Duration]():
		return fmt.Sprintf("a number and a unit from %s to %s, such as 90s or 72h", low, high)
	case low != "":
		return fmt.Sprintf("a number from %s to %s", low, high)
	default: // the log level
		return f.tag("about")
	}
}

func brokenDatabaseURL(value string) string {
	if !strings.Contains(value, "://") {
		if !strings.Contains(value, "=") {
			return "is neither a URL nor key=value pairs"
		}
		return "" // the driver reads key=value pairs
	}
	scheme, _, _ := strings.Cut(value, "://")
	if scheme != "postgres" && scheme != "postgresql" {
		return "does not start with postgres://"
	}
	if _, err := url.Parse(value); err != nil {
		return "is not a URL (percent-encode special characters in the password)"
	}
	return ""
}

func brokenRedisURL(value string) string {
	if _, err := ParseRedisURL(value); err != nil {
		return "cannot be used: " + err.Error()
	}
	return ""
}

func brokenSecret(value string) string {
	switch {
	case len(value) < minSecretBytes:
		return fmt.Sprintf("has fewer than %d bytes", minSecretBytes)
	case strings.ContainsFunc(value, separatesSecrets) || strings.TrimSpace(value) != value:
		// It could not be listed in ROLLCALL_SECRET_PREVIOUS later.
		return "holds a comma or a line break, or has white space around it"
	default:
		return ""
	}
}

func brokenListen(value string) string {
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		return "is not host:port"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "has a port that is not a number from 0 to 65535"
	}
	if strings.ContainsFunc(host, func(r rune) bool { return unicode.IsSpace(r) || r == '/' || r == '@' }) {
		return "has a malformed host"
	}
	return ""
}

func brokenPublicURL(value string) string {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https":
		return "is not an http:// or https:// URL"
	case u.Hostname() == "" || strings.HasSuffix(u.Host, ":"):
		return "names no host"
	case u.User != nil:
		return "holds credentials"
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || strings.Contains(value, "#"):
		// Pages and cookies live at the root: a prefix would break them.
		return "has something after the host"
	default:
		return ""
	}
}

func brokenOTLPEndpoint(value string) string {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https":
		return "is not an http:// or https:// URL"
	case u.Hostname() == "" || strings.HasSuffix(u.Host, ":"):
		return "names no host"
	case u.User != nil:
		return "holds credentials, which belong into OTEL_EXPORTER_OTLP_HEADERS"
	default:
		return ""
	}
}

func brokenBrand(value string) string {
	switch {
	case !utf8.ValidString(value) || strings.TrimSpace(value) == "" || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "is blank or holds characters that cannot be printed"
	case utf8.RuneCountInString(value) > maxBrandLength:
		return fmt.Sprintf("has more than %d characters", maxBrandLength)
	default:
		return ""
	}
}

func brokenToken(value string) string {
	switch {
	case len(value) < minTokenLength:
		return fmt.Sprintf("has fewer than %d characters", minTokenLength)
	case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }):
		// It travels in an HTTP header.
		return "holds white space or characters beyond ASCII"
	default:
		return ""
	}
}

func brokenSMTPURL(value string) string {
	if _, err := smtp.ParseURL(value); err != nil {
		return "cannot be used: " + err.Error()
	}
	return ""
}

func brokenAddress(value string) string {
	address, err := mail.ParseAddress(value)
	if err != nil || address.Address != value || len(value) > maxAddressLength {
		return "is not an e-mail address"
	}
	return ""
}

func brokenLogFormat(value string) string {
	if value != "text" && value != "json" {
		return "is neither text nor json"
	}
	return ""
}

func brokenAddresses(value string) string {
	if _, err := egress.ParseAddresses(value); err != nil {
		return "holds something that is neither an address nor a CIDR block"
	}
	return ""
}

func brokenImportAdmins(value string) string {
	if value != "imports" && value != "admin" {
		return "is neither imports nor admin"
	}
	return ""
}

func brokenYesNo(value string) string {
	if value != "yes" && value != "no" {
		return "is neither yes nor no"
	}
	return ""
}

func brokenSecondFactor(value string) string {
	if value != "optional" && value != "administrators" {
		return "is neither optional nor administrators"
	}
	return ""
}
