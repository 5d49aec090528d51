package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/config"
)

const (
	secret      = "0123456789abcdef0123456789abcdef"
	otherSecret = "fedcba9876543210fedcba9876543210"
	databaseURL = "postgres://rollcall:hunter2@db.example.com/rollcall"
	redisURL    = "redis://:hunter2@redis.example.com/1"
)

// environment returns the required settings of the API and the worker, then
// more.
func environment(more ...string) []string {
	return append([]string{"DATABASE_URL=" + databaseURL, "REDIS_URL=" + redisURL, "ROLLCALL_SECRET=" + secret}, more...)
}

func TestLoadAPIDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.LoadAPI(environment())
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		DatabaseURL: databaseURL, RequireTLS: "no", RedisURL: redisURL, Secret: secret,
		Listen: ":8080", MetricsListen: "127.0.0.1:9090", PublicURL: "http://localhost:8080", Brand: "SecureAI",
		MailFrom: "no-reply@localhost", InvitationTTL: 72 * time.Hour,
		MaxUploadBytes: 268435456, MaxRows: 1000000, ImportWait: 10 * time.Second, Retention: 720 * time.Hour,
		LimitUploads: 3000, LimitUploadBytes: 10 << 30, LimitPolls: 1000, LimitFailures: 100, LimitImports: 5000,
		LogLevel: slog.LevelInfo, SMTPAllowPrivate: "true", ImportAdmins: "admin", SecondFactor: "optional",
	}
	if diff := diffConfig(want, got); diff != "" {
		t.Errorf("LoadAPI (-want +got):\n%s", diff)
	}
}

func TestLoadWorkerDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.LoadWorker(environment())
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		DatabaseURL: databaseURL, RequireTLS: "no", RedisURL: redisURL, Secret: secret,
		MetricsListen: "127.0.0.1:9091", PublicURL: "http://localhost:8080", Brand: "SecureAI",
		MailFrom: "no-reply@localhost", MailConcurrency: 4, InvitationTTL: 72 * time.Hour,
		MaxRows: 1000000, Retention: 720 * time.Hour, ImportAdmins: "admin", MaxDisable: "20%", SMTPAllowPrivate: "true",
	}
	if diff := diffConfig(want, got); diff != "" {
		t.Errorf("LoadWorker (-want +got):\n%s", diff)
	}
}

func TestLoadDevDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.LoadDev([]string{"DATABASE_URL=nonsense", "REDIS_URL=nonsense", "ROLLCALL_LISTEN=0.0.0.0:8123"})
	if err != nil {
		t.Fatal(err)
	}
	dataDir := ".rollcall"
	if os.Geteuid() == 0 {
		dataDir = "/var/lib/rollcall"
	}
	want := config.Config{
		Listen: "0.0.0.0:8123", MetricsListen: "127.0.0.1:9090", PublicURL: "http://localhost:8123", Brand: "SecureAI",
		MailFrom: "no-reply@localhost", MailConcurrency: 4, InvitationTTL: 72 * time.Hour,
		MaxUploadBytes: 268435456, MaxRows: 1000000, ImportWait: 10 * time.Second, Retention: 720 * time.Hour, ImportAdmins: "admin", MaxDisable: "20%", SMTPAllowPrivate: "true",
		LimitUploads: 3000, LimitUploadBytes: 10 << 30, LimitPolls: 1000, LimitFailures: 100, LimitImports: 5000,
		WebhookAllowPrivate: "127.0.0.0/8,::1", DataDir: dataDir, DevAdminEmail: "admin@example.com", SecondFactor: "optional",
	}
	if diff := diffConfig(want, got); diff != "" {
		t.Errorf("LoadDev (-want +got):\n%s", diff)
	}
}

func TestLoadDevPublicURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		environ []string
		want    string
	}{
		{"nothing said", nil, "http://localhost:8080"},
		{"every address", []string{"ROLLCALL_LISTEN=:81"}, "http://localhost:81"},
		{"IPv6 loopback", []string{"ROLLCALL_LISTEN=[::1]:81"}, "http://localhost:81"},
		{"one address", []string{"ROLLCALL_LISTEN=192.0.2.7:81"}, "http://192.0.2.7:81"},
		{"said", []string{"ROLLCALL_LISTEN=:81", "ROLLCALL_PUBLIC_URL=https://x.example/"}, "https://x.example"},
	} {
		if got, err := config.LoadDev(tt.environ); err != nil || got.PublicURL != tt.want {
			t.Errorf("%s: PublicURL = %q, %v; want %q", tt.name, got.PublicURL, err, tt.want)
		}
	}
}

func TestLoadEverything(t *testing.T) {
	t.Parallel()
	got, err := config.LoadAPI(environment(
		"ROLLCALL_SECRET_PREVIOUS="+otherSecret+", "+secret+"x\r\n"+secret+"y,",
		"ROLLCALL_LISTEN=[::1]:80", "ROLLCALL_METRICS_LISTEN=", "ROLLCALL_PUBLIC_URL=https://rollcall.example.com:8443/",
		"ROLLCALL_BRAND=Kestrel & Söhne", "ADMIN_API_TOKEN="+secret, "SMTP_URL=smtp://u:p@mx.example.com",
		"ROLLCALL_MAIL_FROM=hr@example.com", "ROLLCALL_INVITATION_TTL=90m", "ROLLCALL_MAX_UPLOAD_BYTES=1",
		"ROLLCALL_MAX_ROWS=100000000", "ROLLCALL_IMPORT_WAIT=0s", "ROLLCALL_RETENTION=1s", "ROLLCALL_SMTP_ALLOW_PRIVATE=10.0.0.0/8", "ROLLCALL_SECOND_FACTOR=administrators", "ROLLCALL_LOG=json",
		"ROLLCALL_LIMIT_UPLOADS=1", "ROLLCALL_LIMIT_UPLOAD_BYTES=5", "ROLLCALL_LIMIT_POLLS=2", "ROLLCALL_LIMIT_AUTH_FAILURES=3", "ROLLCALL_LIMIT_IMPORTS=4", "ROLLCALL_LOG_LEVEL=DEBUG",
	))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		DatabaseURL: databaseURL, RequireTLS: "no", RedisURL: redisURL, Secret: secret,
		SecretPrevious: config.Secrets{otherSecret, secret + "x", secret + "y"},
		Listen:         "[::1]:80", PublicURL: "https://rollcall.example.com:8443",
		Brand: "Kestrel & Söhne", AdminAPIToken: secret, SMTPURL: "smtp://u:p@mx.example.com",
		MailFrom: "hr@example.com", InvitationTTL: 90 * time.Minute, MaxUploadBytes: 1,
		LimitUploads: 1, LimitUploadBytes: 5, LimitPolls: 2, LimitFailures: 3, LimitImports: 4,
		MaxRows: 100000000, Retention: time.Second, SMTPAllowPrivate: "10.0.0.0/8", SecondFactor: "administrators", ImportAdmins: "admin", LogFormat: "json", LogLevel: slog.LevelDebug,
	}
	if diff := diffConfig(want, got); diff != "" {
		t.Errorf("LoadAPI (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{otherSecret, secret + "x", secret + "y"}, got.SecretPrevious.Reveal()); diff != "" {
		t.Error(diff)
	}
}

func TestEmptyIsUnset(t *testing.T) {
	t.Parallel()
	var environ []string
	for _, v := range config.Describe() {
		if v.Name != "ROLLCALL_METRICS_LISTEN" {
			environ = append(environ, v.Name+"=", v.Name+"_FILE=")
		}
	}
	got, err := config.LoadAPI(append(environ, environment()...))
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.LoadAPI(environment())
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffConfig(want, got); diff != "" {
		t.Errorf("LoadAPI (-want +got):\n%s", diff)
	}
}

// A variable that a command does not read cannot keep it from starting.
func TestCommandsReadOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		load     func([]string) (config.Config, error)
		required []string
	}{
		"api":     {config.LoadAPI, []string{"DATABASE_URL", "REDIS_URL", "ROLLCALL_SECRET"}},
		"worker":  {config.LoadWorker, []string{"DATABASE_URL", "REDIS_URL", "ROLLCALL_SECRET"}},
		"migrate": {config.LoadMigrate, []string{"DATABASE_URL"}},
		"token":   {config.LoadToken, []string{"DATABASE_URL"}},
		"user":    {config.LoadUser, []string{"DATABASE_URL", "ROLLCALL_SECRET"}},
		"import":  {config.LoadImport, nil},
		"dev":     {config.LoadDev, nil},
	} {
		_, err := tt.load(nil)
		if got := faulty(err); !slices.Equal(got, tt.required) {
			t.Errorf("%s: required are %v, want %v", name, got, tt.required)
		}
		var garbage []string
		var read []string
		for _, v := range config.Describe() {
			if slices.Contains(v.ReadBy, name) {
				read = append(read, v.Name)
				continue
			}
			garbage = append(garbage, v.Name+"=\x01", v.Name+"_FILE=/nowhere")
		}
		if got := faulty(second(tt.load(garbage))); !slices.Equal(got, tt.required) {
			t.Errorf("%s: faults of variables it does not read: %v", name, got)
		}
		for _, variable := range read {
			if got := faulty(second(tt.load(append(environment(), variable+"_FILE=/nowhere", variable+"=")))); !slices.Equal(got, []string{variable + "_FILE"}) {
				t.Errorf("%s: faults with a missing file for %s: %v", name, variable, got)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ variable, value, problem string }{
		{"DATABASE_URL", "db.example.com", "is neither a URL nor key=value pairs"},
		{"DATABASE_URL", "mysql://db", "does not start with postgres://"},
		{"DATABASE_URL", "postgres://u:p%zz@db/x", "is not a URL (percent-encode special characters in the password)"},
		{"REDIS_URL", "http://redis", "cannot be used: must start with redis://, rediss://, redis-sentinel:// or redis-cluster://"},
		{"ROLLCALL_SECRET", secret[1:], "has fewer than 32 bytes"},
		{"ROLLCALL_SECRET", secret + ",x", "holds a comma or a line break, or has white space around it"},
		{"ROLLCALL_SECRET", " " + secret, "holds a comma or a line break, or has white space around it"},
		{"ROLLCALL_SECRET_PREVIOUS", secret + ",short", "entry 2 has fewer than 32 bytes"},
		{"ROLLCALL_LISTEN", "8080", "is not host:port"},
		{"ROLLCALL_LISTEN", "localhost:http", "has a port that is not a number from 0 to 65535"},
		{"ROLLCALL_LISTEN", "localhost:65536", "has a port that is not a number from 0 to 65535"},
		{"ROLLCALL_LISTEN", "http//x:80", "has a malformed host"},
		{"ROLLCALL_METRICS_LISTEN", "off", "is not host:port"},
		{"ROLLCALL_PUBLIC_URL", "www.kestrel.example", "is not an http:// or https:// URL"},
		{"ROLLCALL_PUBLIC_URL", "javascript:alert(1)", "is not an http:// or https:// URL"},
		{"ROLLCALL_PUBLIC_URL", "https:///invite", "names no host"},
		{"ROLLCALL_PUBLIC_URL", "https://:443", "names no host"},
		{"ROLLCALL_PUBLIC_URL", "https://good.example@evil.example", "holds credentials"},
		{"ROLLCALL_PUBLIC_URL", "https://x.example/rollcall", "has something after the host"},
		{"ROLLCALL_PUBLIC_URL", "https://x.example//", "has something after the host"},
		{"ROLLCALL_PUBLIC_URL", "https://x.example?", "has something after the host"},
		{"ROLLCALL_PUBLIC_URL", "https://x.example#", "has something after the host"},
		{"ROLLCALL_TRUSTED_PROXIES", "10.0.0.1,proxy.internal", "entry 2 is neither an address nor a CIDR block"},
		{"ROLLCALL_TRUSTED_PROXIES", "0.0.0.0/0", "entry 1 would trust every client"},
		{"ROLLCALL_BRAND", "  ", "is blank or holds characters that cannot be printed"},
		{"ROLLCALL_BRAND", "Secure\nBcc: x", "is blank or holds characters that cannot be printed"},
		{"ROLLCALL_BRAND", strings.Repeat("x", 65), "has more than 64 characters"},
		{"ADMIN_API_TOKEN", "secret", "has fewer than 32 characters"},
		{"ADMIN_API_TOKEN", secret + " x", "holds white space or characters beyond ASCII"},
		{"ROLLCALL_WEBHOOK_ALLOW_PRIVATE", "10.0.0.0/8,everybody", "holds something that is neither an address nor a CIDR block"},
		{"SMTP_URL", "smtp://mx.example.com?hello=", "cannot be used: SMTP URL: hello must be a host name, such as rollcall.example.com"},
		{"SMTP_URL", "https://mx.example.com", "cannot be used: SMTP URL: must start with smtp://"},
		{"ROLLCALL_MAIL_FROM", "SecureAI <no-reply@example.com>", "is not an email address"},
		{"ROLLCALL_MAIL_FROM", "no-reply", "is not an email address"},
		{"ROLLCALL_MAIL_FROM", "ä@example.com", "is not an email address"},
		{"ROLLCALL_MAIL_FROM", "a@[127.0.0.1]", "is not an email address"},
		{"ROLLCALL_MAIL_FROM", "a@b.example\r\nBcc: x@y.example", "is not an email address"},
		{"ROLLCALL_INVITATION_TTL", "72", "is not a duration"},
		{"ROLLCALL_INVITATION_TTL", "0s", "is less than 1s"},
		{"ROLLCALL_INVITATION_TTL", "-72h", "is less than 1s"},
		{"ROLLCALL_INVITATION_TTL", "8761h", "is more than 8760h"},
		{"ROLLCALL_MAX_UPLOAD_BYTES", "256MB", "is not a whole number"},
		{"ROLLCALL_MAX_UPLOAD_BYTES", "0", "is less than 1"},
		{"ROLLCALL_MAX_UPLOAD_BYTES", "9223372036854775808", "is not a whole number"},
		{"ROLLCALL_MAX_ROWS", "100000001", "is more than 100000000"},
		{"ROLLCALL_IMPORT_WAIT", "61s", "is more than 60s"},
		{"ROLLCALL_RETENTION", "forever", "is not a duration"},
		{"ROLLCALL_SECOND_FACTOR", "everybody", "is neither optional nor administrators"},
		{"ROLLCALL_LOG", "xml", "is neither text nor json"},
		{"ROLLCALL_LOG_LEVEL", "loud", "is not a log level"},
	} {
		got := faultsOf(second(config.LoadAPI(environment(tt.variable + "=" + tt.value))))
		checkFault(t, got, tt.variable, tt.value, tt.problem)
	}
	checkFault(t, faultsOf(second(config.LoadWorker(environment("ROLLCALL_IMPORT_ADMINS=nobody")))), "ROLLCALL_IMPORT_ADMINS", "nobody", "is neither imports nor admin")
	for value, problem := range map[string]string{
		"fast": "is not a number", "-1": "is less than 0", "NaN": "is more than 100000", "+Inf": "is more than 100000",
	} {
		checkFault(t, faultsOf(second(config.LoadWorker(environment("ROLLCALL_MAIL_RATE="+value)))), "ROLLCALL_MAIL_RATE", value, problem)
	}
}

// checkFault requires exactly one fault, which does not repeat the value.
func checkFault(t *testing.T, got config.Faults, variable, value, problem string) {
	t.Helper()
	if len(got) != 1 || got[0].Variable != variable || got[0].Problem != problem || got[0].Remedy == "" {
		t.Errorf("%s=%q: faults are %v, want that it %s", variable, value, got, problem)
	}
	if len(value) > 9 && strings.Contains(got.Error(), value) {
		t.Errorf("%s=%q: the fault repeats the value: %v", variable, value, got)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.LoadAPI([]string{
		"ROLLCALL_LOG=xml", "ROLLCALL_MAX_ROWS=many", "ROLLCALL_SECRET=hunter2", "REDIS_URL=redis://:hunter2@", "SMTP_URL_FILE=/nowhere/hunter2",
	})
	const want = `the environment has 6 faults:
  DATABASE_URL is not set: set it to a URL such as postgres://user:password@host:5432/database
  REDIS_URL cannot be used: a host is missing or malformed: set it to a URL such as redis://:password@host:6379/0, redis-sentinel://host:26379,host:26379/0?master=NAME, or redis-cluster://host:6379,host:6379
  ROLLCALL_SECRET has fewer than 32 bytes: set it to 32 random bytes or more, as printed by: openssl rand -base64 48
  SMTP_URL_FILE names a file that cannot be used (no such file or directory): set it to the path of a readable file that holds the value
  ROLLCALL_MAX_ROWS is not a whole number: set it to a number from 1 to 100000000
  ROLLCALL_LOG is neither text nor json: set it to text or json`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, content string
		want          config.Secret
		fault         string
	}{
		{"as it stands", secret, secret, ""},
		{"line break", secret + "\n", secret, ""},
		{"Windows line break", secret + "\r\n", secret, ""},
		{"only one line break is dropped", secret + "\n\n", "", "ROLLCALL_SECRET"},
		{"empty", "", "", "ROLLCALL_SECRET"},
		{"held against the rules", "hunter2", "", "ROLLCALL_SECRET"},
		{"too large", strings.Repeat("x", 64<<10+1), "", "ROLLCALL_SECRET_FILE"},
	} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := config.LoadUser([]string{"DATABASE_URL=" + databaseURL, "ROLLCALL_SECRET_FILE=" + path})
		if tt.fault != "" {
			if faults := faulty(err); !slices.Equal(faults, []string{tt.fault}) {
				t.Errorf("%s: faults are %v, want %s", tt.name, faults, tt.fault)
			}
		} else if err != nil || got.Secret != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestFileAndValueAreAFault(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	got := faultsOf(second(config.LoadAPI(environment("ROLLCALL_SECRET_FILE=" + path))))
	checkFault(t, got, "ROLLCALL_SECRET", secret, "is set twice")
	if err := second(config.LoadAPI([]string{"DATABASE_URL=" + databaseURL, "REDIS_URL=" + redisURL, "ROLLCALL_SECRET=", "ROLLCALL_SECRET_FILE=" + path})); err != nil {
		t.Errorf("an empty value beside a file: %v", err)
	}
}

func TestDirectoryAsFile(t *testing.T) {
	t.Parallel()
	if got := faulty(second(config.LoadAPI(environment("ADMIN_API_TOKEN_FILE=" + t.TempDir())))); !slices.Equal(got, []string{"ADMIN_API_TOKEN_FILE"}) {
		t.Errorf("faults are %v", got)
	}
}

// diffConfig compares field by field: a Config prints without its secrets.
func diffConfig(want, got config.Config) string {
	return cmp.Diff(want, got, cmp.Transformer("Reveal", func(s config.Secret) string { return s.Reveal() }))
}

func second(_ config.Config, err error) error { return err }

func faultsOf(err error) config.Faults {
	var faults config.Faults
	errors.As(err, &faults)
	return faults
}

// faulty returns the variables an error complains about.
func faulty(err error) []string {
	var variables []string
	for _, f := range faultsOf(err) {
		variables = append(variables, f.Variable)
	}
	return variables
}
