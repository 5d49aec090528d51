package config_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/config"
)

const (
	noTLS      = "leads to another machine without TLS"
	noVerify   = "leads to another machine without sslmode=verify-full"
	noPassword = "leads to another machine without a password"
	neither    = "leads to another machine without TLS and without a password"
)

// links are connection settings, with the problem of each; "": none.
var links = []struct{ variable, value, problem string }{
	{"DATABASE_URL", "postgres://u:hunter2@db.example.com/x", noVerify},
	{"DATABASE_URL", "postgres://u:hunter2@db.example.com/x?sslmode=disable", noVerify},
	{"DATABASE_URL", "postgres://u:hunter2@db.example.com/x?sslmode=require", noVerify},
	{"DATABASE_URL", "postgres://u:hunter2@db.example.com/x?sslmode=verify-ca", noVerify},
	{"DATABASE_URL", "postgres://u:hunter2@db.example.com/x?sslmode=verify-full", ""},
	{"DATABASE_URL", "postgres://u:hunter2@db.example.com/x?sslrootcert=system", ""}, // which means verify-full
	{"DATABASE_URL", "host=db.example.com password=hunter2 sslmode=prefer", noVerify},
	{"DATABASE_URL", "host=db.example.com password=hunter2 sslmode=verify-full", ""},
	{"DATABASE_URL", "postgres://u:hunter2@localhost,db.example.com/x", noVerify},
	{"DATABASE_URL", "postgres://u:hunter2@localhost,127.0.0.1/x", ""},
	{"DATABASE_URL", "postgres://u:hunter2@localhost:5432,db.example.com:5433/x", noVerify},
	{"DATABASE_LISTEN_URL", "postgres://u:hunter2@db.example.com/x", noVerify},
	{"DATABASE_URL", "host=localhost hostaddr=192.0.2.7 password=hunter2", noVerify}, // the address is what is dialed
	{"DATABASE_URL", "host=db.example.com hostaddr=192.0.2.7 sslmode=verify-full", ""},
	{"DATABASE_URL", "host=db.example.com hostaddr=127.0.0.1 password=hunter2", ""},
	{"DATABASE_URL", "postgres://u:hunter2@[::1]/x?sslmode=disable", ""},
	{"DATABASE_URL", "postgres://u:hunter2@/x?host=/run/postgresql", ""},
	{"DATABASE_URL", "user=hunter2", ""},
	{"DATABASE_URL", "postgres://u:hunter2@127.0.0.1.example.com/x", noVerify},
	{"DATABASE_URL", "postgres://u:hunter2@localhost.example.com/x", noVerify},
	{"DATABASE_URL", "postgres://u:hunter2@192.0.2.7/x", noVerify},

	{"REDIS_URL", "redis://redis.example.com", neither},
	{"REDIS_URL", "redis://:hunter2@redis.example.com", noTLS},
	{"REDIS_URL", "rediss://redis.example.com", noPassword},
	{"REDIS_URL", "rediss://rollcall@redis.example.com", noPassword},
	{"REDIS_URL", "rediss://:hunter2@redis.example.com", ""},
	{"REDIS_URL", "rediss://rollcall:hunter2@redis.example.com", ""},
	{"REDIS_URL", "redis://localhost:6380/3", ""},
	{"REDIS_URL", "redis://127.1.2.3", ""},
	{"REDIS_URL", "redis://[::1]", ""},
	{"REDIS_URL", "redis://[fd00::1]", neither},
	{"REDIS_URL", "redis-sentinel://a.example.com,b.example.com/0?master=m", neither + " and without a password for the sentinels"},
	{"REDIS_URL", "redis-sentinel://u:hunter2@a.example.com?master=m&tls=true", "leads to another machine without a password for the sentinels"},
	{"REDIS_URL", "redis-sentinel://u:hunter2@a.example.com?master=m&tls=true&sentinel_password=hunter2", ""},
	{"REDIS_URL", "redis-sentinel://u:hunter2@localhost?master=m&sentinel_password=hunter2", noTLS}, // which may send us anywhere

	{"REDIS_URL", "redis-cluster://a.example.com,localhost", neither},
	{"REDIS_URL", "redis-cluster://u:hunter2@localhost", noTLS}, // its nodes may be anywhere
	{"REDIS_URL", "redis-cluster://u:hunter2@a.example.com,b.example.com?tls=true", ""},

	{"SMTP_URL", "smtp://mx.example.com?tls=none", noTLS},
	{"SMTP_URL", "smtp://mx.example.com", ""}, // STARTTLS, or nothing
	{"SMTP_URL", "smtp://u:hunter2@mx.example.com?tls=implicit", ""},
	{"SMTP_URL", "smtp://u:hunter2@localhost?tls=none", ""},

	{"ROLLCALL_PUBLIC_URL", "http://rollcall.example.com", noTLS},
	{"ROLLCALL_PUBLIC_URL", "https://rollcall.example.com", ""},
	{"ROLLCALL_PUBLIC_URL", "http://localhost:8080", ""},
	{"ROLLCALL_PUBLIC_URL", "http://[::1]:8080", ""},

	{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://traces.example.com:4318", noTLS},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://traces.example.com:4318", ""},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318", ""},
}

// elsewhere is an environment with this connection; all others are local.
func elsewhere(variable, value string, more ...string) []string {
	return append([]string{
		"DATABASE_URL=postgres:///x?host=/run/postgresql", "REDIS_URL=redis://localhost", "ROLLCALL_SECRET=" + secret, "ROLLCALL_MAIL_FROM=no-reply@example.com", variable + "=" + value,
	}, more...)
}

// TestLinksToOtherMachines: with ROLLCALL_REQUIRE_TLS=yes an insecure
// connection is a fault that says what to change; without, it is logged once as
// a warning. Neither repeats the address.
func TestLinksToOtherMachines(t *testing.T) {
	t.Parallel()
	for _, tt := range links {
		for program, load := range map[string]func([]string) (config.Config, error){"api": config.LoadAPI, "worker": config.LoadWorker} {
			cfg, err := load(elsewhere(tt.variable, tt.value))
			if err != nil {
				t.Fatalf("%s, %s=%s: %v", program, tt.variable, tt.value, err)
			}
			var log bytes.Buffer
			cfg.WarnInsecureLinks(slog.New(slog.NewTextHandler(&log, nil)))
			warned := strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "variable="+tt.variable+" problem=\""+tt.problem+"\" remedy=")
			if warned != (tt.problem != "") || strings.Count(log.String(), "\n") > 1 || !warned && log.Len() > 0 {
				t.Errorf("%s, %s=%s: warned of %s", program, tt.variable, tt.value, &log)
			}
			_, err = load(elsewhere(tt.variable, tt.value, "ROLLCALL_REQUIRE_TLS=yes"))
			if tt.problem == "" && err != nil {
				t.Errorf("%s, %s=%s: refused: %v", program, tt.variable, tt.value, err)
			} else if tt.problem != "" {
				checkFault(t, faultsOf(err), tt.variable, tt.value, tt.problem)
			}
			for _, said := range []string{log.String(), errText(err)} {
				if strings.Contains(said, "hunter2") || strings.Contains(said, "example.com") || strings.Contains(said, "192.0.2.7") {
					t.Errorf("%s, %s=%s: it is repeated: %s", program, tt.variable, tt.value, said)
				}
			}
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestEveryProgramKeepsToTLS: all programs that connect to the database refuse
// an insecure connection, and all insecure connections are reported together,
// with other faults.
func TestEveryProgramKeepsToTLS(t *testing.T) {
	t.Parallel()
	environ := elsewhere("DATABASE_URL", databaseURL, "ROLLCALL_REQUIRE_TLS=yes")
	for name, load := range map[string]func([]string) (config.Config, error){
		"migrate": config.LoadMigrate, "token": config.LoadToken, "user": config.LoadUser,
	} {
		if got := faultsOf(second(load(environ))); len(got) != 1 || got[0].Variable != "DATABASE_URL" || got[0].Problem != noVerify {
			t.Errorf("%s: faults are %v", name, got)
		}
	}
	_, err := config.LoadAPI([]string{
		"ROLLCALL_REQUIRE_TLS=yes", "DATABASE_URL=" + databaseURL, "REDIS_URL=" + redisURL, "ROLLCALL_SECRET=short",
		"ROLLCALL_PUBLIC_URL=http://rollcall.example.com", "SMTP_URL=smtp://mx.example.com?tls=none",
	})
	const want = `the environment has 5 faults:
  DATABASE_URL leads to another machine without sslmode=verify-full: add sslmode=verify-full, and sslrootcert=PATH where the server's certificate is of an authority of your own
  REDIS_URL leads to another machine without TLS: begin it with rediss://
  ROLLCALL_SECRET has fewer than 32 bytes: set it to 32 random bytes or more, as printed by: openssl rand -base64 48
  ROLLCALL_PUBLIC_URL leads to another machine without TLS: begin it with https://
  SMTP_URL leads to another machine without TLS: take tls=none out, or write tls=implicit`
	if diff := cmp.Diff(want, errText(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	checkFault(t, faultsOf(second(config.LoadAPI(environment("ROLLCALL_REQUIRE_TLS=always")))), "ROLLCALL_REQUIRE_TLS", "always", "is neither yes nor no")
}

// TestDriverIsAskedAboutTheDatabase: settings that the driver reads from other
// places count as they do when it connects.
func TestDriverIsAskedAboutTheDatabase(t *testing.T) {
	t.Setenv("PGHOST", "db.example.com")
	if got := faultsOf(second(config.LoadMigrate([]string{"DATABASE_URL=user=x", "ROLLCALL_REQUIRE_TLS=yes"}))); len(got) != 1 {
		t.Errorf("a host of PGHOST: faults are %v", got)
	}
	t.Setenv("PGSSLMODE", "verify-full")
	if err := second(config.LoadMigrate([]string{"DATABASE_URL=user=x", "ROLLCALL_REQUIRE_TLS=yes"})); err != nil {
		t.Errorf("with PGSSLMODE: %v", err)
	}
}
