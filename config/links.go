package config

import (
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/lib/pq"

	smtp "rollcall/mail"
)

// RequiresTLS tells whether links to other machines must be encrypted, and
// their other end verified.
func (c Config) RequiresTLS() bool { return c.RequireTLS == "yes" }

// Exposed returns the links of the environment that lead to another machine
// and that somebody on the way could read or answer, one fault a variable: what
// the Load functions refuse with ROLLCALL_REQUIRE_TLS=yes, and what is to be
// warned of without. Which machine a name means is not looked up: a resolver is
// as easily fooled as the connection. Only localhost, loopback addresses and
// Unix sockets are this machine. ROLLCALL_URL, which a flag can replace, is the
// import command's to judge.
func (c Config) Exposed() (exposed Faults) {
	for _, link := range []struct {
		variable string
		value    string
		judge    func(value string) (problem, remedy string)
	}{
		{"DATABASE_URL", c.DatabaseURL.Reveal(), exposedDatabase},
		{"REDIS_URL", c.RedisURL.Reveal(), exposedRedis},
		{"ROLLCALL_PUBLIC_URL", c.PublicURL, exposedWeb},
		{"SMTP_URL", c.SMTPURL.Reveal(), exposedSMTP},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", c.OTLPEndpoint, exposedWeb},
	} {
		if link.value == "" {
			continue
		}
		if problem, remedy := link.judge(link.value); problem != "" {
			exposed = append(exposed, Fault{link.variable, problem, remedy})
		}
	}
	return exposed
}

// WarnExposed says in the log which links are exposed, each on a line of its
// own, and nothing of where they lead.
func (c Config) WarnExposed(log *slog.Logger) {
	for _, f := range c.Exposed() {
		log.Warn("a link is not protected; ROLLCALL_REQUIRE_TLS=yes would refuse it", "variable", f.Variable, "problem", f.Problem, "remedy", f.Remedy)
	}
}

// elsewhere begins what is wrong with an exposed link.
const elsewhere = "leads to another machine "

// exposedDatabase asks the driver what it makes of the URL, for the PG…
// variables, a service file and a list of hosts have their say, too.
//
// Of the modes only verify-full will do. verify-ca takes any certificate of the
// authority, whosever it is: with a public authority that is anybody's, and
// with one's own that of any other machine. An address whose certificate has a
// name can be given as host=NAME with hostaddr=ADDRESS.
func exposedDatabase(value string) (problem, remedy string) {
	c, err := pq.NewConfig(value)
	if err != nil { // the driver's words may repeat the password
		return "cannot be read by the driver, so nobody knows where it leads", "set it to a URL such as postgres://user:password@host:5432/database?sslmode=verify-full, and unset the PG… variables that the driver does not know"
	}
	local := localDatabase(c.Host, c.Hostaddr)
	for _, other := range c.Multi {
		local = local && localDatabase(other.Host, other.Hostaddr)
	}
	if local || c.SSLMode == pq.SSLModeVerifyFull {
		return "", ""
	}
	return elsewhere + "without sslmode=verify-full", "add sslmode=verify-full, and sslrootcert=PATH where the server's certificate is of an authority of your own"
}

// localDatabase follows the driver: hostaddr is what it dials if it is there,
// and a host that is a path or begins with @ is a Unix socket.
func localDatabase(host string, addr netip.Addr) bool {
	if addr.IsValid() {
		return addr.Unmap().IsLoopback()
	}
	return host == "" || filepath.IsAbs(host) || strings.HasPrefix(host, "@") || thisMachine(host)
}

// exposedRedis wants TLS and a password. Sentinels are asked where the server
// is, so where they stand themselves says nothing about that.
func exposedRedis(value string) (problem, remedy string) {
	options, err := ParseRedisURL(value)
	if err != nil {
		return "", "" // a fault of its own
	}
	var problems, remedies []string
	want := func(ok bool, problem, remedy string) {
		if !ok {
			problems, remedies = append(problems, problem), append(remedies, remedy)
		}
	}
	switch o := options.(type) {
	case asynq.RedisClientOpt:
		if thisMachine(hostOf(o.Addr)) {
			return "", ""
		}
		want(o.TLSConfig != nil, "without TLS", "begin it with rediss://")
		want(o.Password != "", "without a password", "write rediss://user:password@host for a user of Redis, or rediss://:password@host")
	case asynq.RedisFailoverClientOpt:
		want(o.TLSConfig != nil, "without TLS", "add tls=true")
		want(o.Password != "", "without a password", "write redis-sentinel://user:password@host")
		want(o.SentinelPassword != "", "without a password for the sentinels", "add sentinel_password=PASSWORD")
	}
	if len(problems) == 0 {
		return "", ""
	}
	return elsewhere + strings.Join(problems, " and "), strings.Join(remedies, "; ")
}

func exposedSMTP(value string) (problem, remedy string) {
	server, err := smtp.ParseURL(value)
	if err != nil || server.Encrypted() {
		return "", "" // or a fault of its own
	}
	return elsewhere + "without TLS", "take tls=none out, or write tls=implicit"
}

func exposedWeb(value string) (problem, remedy string) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "https" || thisMachine(u.Hostname()) {
		return "", "" // or a fault of its own
	}
	return elsewhere + "without TLS", "begin it with https://"
}

func hostOf(hostPort string) string {
	u := url.URL{Host: hostPort}
	return u.Hostname()
}

// thisMachine tells by its name alone whether a host is the one we run on. The
// driver of PostgreSQL leaves an IPv6 address its brackets.
func thisMachine(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// exposedBeyond returns the exposed links among those that have no fault yet.
func (c Config) exposedBeyond(faults Faults) Faults {
	return slices.DeleteFunc(c.Exposed(), func(f Fault) bool { return faults.about(f.Variable) })
}
