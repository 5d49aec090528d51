package config

import (
	"fmt"
	"net"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rollcall/internal/egress"
	smtp "rollcall/mail"
	"rollcall/mail/bounce"
	"rollcall/mail/bounce/events"
	"rollcall/roster"
	"rollcall/storage"
)

const (
	minSecretBytes = 32
	minTokenLength = 32
	maxBrandLength = 64
)

// rule is a requirement for a text. Its words never repeat the text.
type rule struct {
	want   string                    // completes "set it to …"
	broken func(value string) string // what is wrong with the value; empty: nothing
}

// rules returns the rules that check tags name.
func rules() map[string]rule {
	return map[string]rule{
		"database_url":   {"a URL such as postgres://user:password@host:5432/database", validateDatabaseURL},
		"redis_url":      {"a URL such as redis://:password@host:6379/0, redis-sentinel://host:26379,host:26379/0?master=NAME, or redis-cluster://host:6379,host:6379", parsed(ParseRedisURL, "cannot be used: ")},
		"secret":         {fmt.Sprintf("%d random bytes or more, as printed by: openssl rand -base64 48", minSecretBytes), validateSecret},
		"secrets":        {"earlier values of ROLLCALL_SECRET, separated by commas or line breaks", validateSecret},
		"listen":         {"host:port, such as 127.0.0.1:8080, or :8080 for all addresses", validateListen},
		"public_url":     {"scheme and host, such as https://rollcall.example.com", validatePublicURL},
		"brand":          {fmt.Sprintf("1 to %d printable characters", maxBrandLength), validateBrand},
		"api_token":      {fmt.Sprintf("%d random characters or more, as printed by: openssl rand -hex 32", minTokenLength), validateToken},
		"smtp_url":       {"a URL such as smtp://user:password@host:587?tls=starttls", parsed(smtp.ParseURL, "cannot be used: ")},
		"bounce_address": {fmt.Sprintf("an address such as bounces@mail.example.com, with at most %d characters before the @", bounce.MaxAddressLocalPart), validateBounceAddress},
		"sns_topics":     {"ARNs such as arn:aws:sns:eu-west-1:123456789012:bounces, separated by commas", parsed(events.ParseTopics, "holds something that is not the ARN of an SNS topic")},
		"sendgrid_key":   {"the verification key shown by SendGrid, which starts with MFkw", parsed(events.ParseSendGridKey, "is not an ECDSA public key in base64")},
		"address":        {"an address such as no-reply@example.com, without a display name", parsed(roster.MailAddress, "is not an email address")},
		"otlp_endpoint":  {"the base URL of an OTLP receiver, such as http://localhost:4318", validateOTLPEndpoint},
		"log_format":     {"text or json", either("text", "json")},

		"reminders":     {"up to 5 ages such as 24h,48h", parsed(ParseReminders, "")},
		"import_admins": {"imports or admin", either("imports", "admin")},
		"attributes":    {"up to 20 names such as cost_center,phone, none of them the name of another column", parsed(roster.ParseAttributeNames, "has a fault at ")},
		"max_disable": {"a whole number of users or a percentage, such as 20%", func(value string) string {
			if !roster.ValidMaxDisable(value) {
				return "is neither a number of users nor a percentage"
			}
			return ""
		}},
		"yes_no":        {"yes or no", either("yes", "no")},
		"second_factor": {"optional or administrators", either("optional", "administrators")},
		"proxies":       {"addresses and CIDR blocks of your proxies separated by commas, such as 10.1.0.0/16,fd12:3456::1", parsed(ParseProxies, "")},

		"addresses": {"CIDR blocks separated by commas, such as 10.1.0.0/16,fd12:3456::/32, or true, or false", parsed(egress.ParseAddresses, "holds something that is neither an address nor a CIDR block")},
	}
}

// check validates one set field against its bounds and its rule.
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

// parsed validates by what reads the value later. Its error is shown after a
// problem that ends in a colon and after none; other errors may repeat the value.
func parsed[T any](parse func(string) (T, error), problem string) func(string) string {
	return func(value string) string {
		_, err := parse(value)
		switch {
		case err == nil:
			return ""
		case problem == "" || strings.HasSuffix(problem, ": "):
			return problem + err.Error()
		default:
			return problem
		}
	}
}

// either validates a choice between two words.
func either(a, b string) func(string) string {
	return func(value string) string {
		if value != a && value != b {
			return "is neither " + a + " nor " + b
		}
		return ""
	}
}

func validateDatabaseURL(value string) string {
	if !strings.Contains(value, "://") && !strings.Contains(value, "=") {
		return "is neither a URL nor key=value pairs"
	}
	if scheme, _, isURL := strings.Cut(value, "://"); isURL && !strings.Contains(scheme, "=") && scheme != "postgres" && scheme != "postgresql" {
		return "does not start with postgres://"
	}
	if _, err := storage.DriverURL(value); err != nil {
		return err.Error()
	}
	return ""
}

func validateSecret(value string) string {
	switch {
	case len(value) < minSecretBytes:
		return fmt.Sprintf("has fewer than %d bytes", minSecretBytes)
	case strings.ContainsFunc(value, separatesSecrets) || strings.TrimSpace(value) != value:
		// It could not be listed in ROLLCALL_SECRET_PREVIOUS later, because a
		// comma separates values there.
		return "holds a comma or a line break, or has white space around it"
	default:
		return ""
	}
}

func validateListen(value string) string {
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

func validatePublicURL(value string) string {
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

func validateOTLPEndpoint(value string) string {
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

func validateBrand(value string) string {
	switch {
	case !utf8.ValidString(value) || strings.TrimSpace(value) == "" || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "is blank or holds characters that cannot be printed"
	case utf8.RuneCountInString(value) > maxBrandLength:
		return fmt.Sprintf("has more than %d characters", maxBrandLength)
	default:
		return ""
	}
}

func validateToken(value string) string {
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
