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
	"rollcall/storage"
)

// RequiresTLS reports whether connections to other machines must be encrypted
// and verified.
func (c Config) RequiresTLS() bool { return c.RequireTLS == "yes" }

// InsecureLinks returns the configured connections to other machines that
// someone on the network could read or impersonate, one fault per variable. The
// Load functions refuse them with ROLLCALL_REQUIRE_TLS=yes, and the programs
// warn about them otherwise. Host names are not resolved, because a resolver is
// as easily fooled as the connection: only localhost, loopback addresses and
// Unix sockets count as this machine. ROLLCALL_URL can be replaced by a flag,
// so the import command checks it.
func (c Config) InsecureLinks() (exposed Faults) {
	for _, link := range []struct {
		variable string
		value    string
		judge    func(value string) (problem, remedy string)
	}{
		{"DATABASE_LISTEN_URL", c.DatabaseListenURL.Reveal(), insecureDatabase},
		{"DATABASE_URL", c.DatabaseURL.Reveal(), insecureDatabase},
		{"REDIS_URL", c.RedisURL.Reveal(), insecureRedis},
		{"ROLLCALL_PUBLIC_URL", c.PublicURL, insecureWeb},
		{"SMTP_URL", c.SMTPURL.Reveal(), insecureSMTP},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", c.OTLPEndpoint, insecureWeb},
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

// WarnInsecureLinks logs each insecure connection on a line of its own, without
// its address.
func (c Config) WarnInsecureLinks(log *slog.Logger) {
	for _, f := range c.InsecureLinks() {
		log.Warn("connection is not encrypted; ROLLCALL_REQUIRE_TLS=yes would refuse it", "variable", f.Variable, "problem", f.Problem, "remedy", f.Remedy)
	}
}

// elsewhere starts the description of an insecure connection.
const elsewhere = "leads to another machine "

// insecureDatabase lets the driver parse the URL, because PG… variables, a
// service file and a list of hosts also affect the connection.
//
// Only the mode verify-full is accepted. verify-ca accepts any certificate of
// the authority: with a public authority anyone can get one, and with a private
// one any other machine has one. For an address whose certificate has a name,
// use host=NAME with hostaddr=ADDRESS.
func insecureDatabase(value string) (problem, remedy string) {
	dsn, err := storage.DriverURL(value)
	c := pq.Config{}
	if err == nil {
		c, err = pq.NewConfig(dsn)
	}
	if err != nil { // the driver's message may repeat the password
		return "cannot be read by the driver, so its destination is unknown", "set it to a URL such as postgres://user:password@host:5432/database?sslmode=verify-full, and unset the PG… variables that the driver does not know"
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

// localDatabase follows the driver: it dials hostaddr if that is set, and a
// host that is a path or begins with @ is a Unix socket.
func localDatabase(host string, addr netip.Addr) bool {
	if addr.IsValid() {
		return addr.Unmap().IsLoopback()
	}
	return host == "" || filepath.IsAbs(host) || strings.HasPrefix(host, "@") || thisMachine(host)
}

// insecureRedis requires TLS and a password. Sentinels tell the server's
// address, and nodes of a cluster those of the others, so one on this machine does
// not make the connection local.
func insecureRedis(value string) (problem, remedy string) {
	options, err := ParseRedisURL(value)
	if err != nil {
		return "", "" // reported as a fault of its own
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
	case asynq.RedisClusterClientOpt:
		want(o.TLSConfig != nil, "without TLS", "add ?tls=true")
		want(o.Password != "", "without a password", "write redis-cluster://user:password@host")
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

func insecureSMTP(value string) (problem, remedy string) {
	server, err := smtp.ParseURL(value)
	if err != nil || server.Encrypted() {
		return "", "" // or reported as a fault of its own
	}
	return elsewhere + "without TLS", "take tls=none out, or write tls=implicit"
}

func insecureWeb(value string) (problem, remedy string) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "https" || thisMachine(u.Hostname()) {
		return "", "" // or reported as a fault of its own
	}
	return elsewhere + "without TLS", "begin it with https://"
}

func hostOf(hostPort string) string {
	u := url.URL{Host: hostPort}
	return u.Hostname()
}

// thisMachine reports, by the name alone, whether a host is this machine. The
// PostgreSQL driver keeps the brackets of an IPv6 address.
func thisMachine(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// insecureBeyond returns the insecure connections of variables without a fault.
func (c Config) insecureBeyond(faults Faults) Faults {
	return slices.DeleteFunc(c.InsecureLinks(), func(f Fault) bool { return faults.about(f.Variable) })
}
