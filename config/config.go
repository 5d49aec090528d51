package config

import (
	"log/slog"
	"time"
)

// Config is the environment of one program. It is flat, one field for each
// variable.
//
// Tags: env names the variable; envDefault is its default, and default_NAME
// the default for program NAME; doc_default is the default in words where it
// depends on the machine; read names the programs that read it, required those
// that refuse to start without it; min and max are inclusive bounds; check
// names a rule in checks.go; empty:"off" lets the empty text through as a
// value; about is its line in the README. To add a variable, add a field.
type Config struct {
	// DatabaseURL is the PostgreSQL to keep everything in, as a URL or as
	// key=value pairs. It may hold a password.
	DatabaseURL Secret `env:"DATABASE_URL" read:"api worker migrate token user" required:"api worker migrate token user" check:"database_url" about:"PostgreSQL 14 or later, as a postgres:// URL"`

	// AppRole is the database role that api and worker connect as, where it is
	// not the owner of the tables; see migrations.Grant. Empty: nothing is
	// granted.
	AppRole string `env:"ROLLCALL_APP_ROLE" read:"migrate" about:"database role of api and worker: migrate grants it what they need and no more; empty grants nothing"`

	// RequireTLS says what becomes of a link to another machine that is not
	// encrypted and verified, or of a Redis there without a password: no warns
	// of it, yes refuses it. See Exposed.
	RequireTLS string `env:"ROLLCALL_REQUIRE_TLS" envDefault:"no" read:"api worker migrate token user import" check:"yes_no" about:"yes refuses to start with a link to another machine that is not encrypted and verified (PostgreSQL, Redis, mail, traces, the panel), and such mail servers and webhooks; no warns of the links in the log"`

	// RedisURL is the Redis to ring the bell with; see ParseRedisURL for its
	// forms. It may hold a password.
	RedisURL Secret `env:"REDIS_URL" read:"api worker" required:"api worker" check:"redis_url" about:"redis://, rediss:// or redis-sentinel://host:port,host:port/db?master=NAME"`

	// Secret signs links and encrypts stored secrets; at least 32 bytes.
	Secret Secret `env:"ROLLCALL_SECRET" read:"api worker user" required:"api worker user" check:"secret" about:"32 bytes or more; signs links and encrypts stored secrets"`

	// SecretPrevious holds earlier values of Secret, newest first, still
	// accepted but no longer used for anything new; none by default.
	SecretPrevious Secrets `env:"ROLLCALL_SECRET_PREVIOUS" read:"api worker user" check:"secrets" about:"earlier values of ROLLCALL_SECRET still accepted, newest first, separated by commas or line breaks"`

	// Listen is the TCP address of the API and the admin panel, host:port.
	Listen string `env:"ROLLCALL_LISTEN" envDefault:":8080" default_dev:"127.0.0.1:8080" read:"api dev" check:"listen" about:"address of the API and the admin panel"`

	// MetricsListen is the TCP address of /metrics, /healthz and /readyz,
	// host:port. Empty: not served.
	MetricsListen string `env:"ROLLCALL_METRICS_LISTEN" envDefault:"127.0.0.1:9090" default_worker:"127.0.0.1:9091" read:"api worker dev" empty:"off" check:"listen" about:"address of /metrics, /healthz and /readyz; empty turns it off"`

	// TrustedProxies are the proxies whose X-Forwarded-For is believed; see
	// ParseProxies. Empty: none, and the address of the connection counts.
	TrustedProxies string `env:"ROLLCALL_TRUSTED_PROXIES" read:"api" check:"proxies" about:"proxies whose X-Forwarded-For tells the client's address, for throttling and the audit log: addresses and CIDR blocks separated by commas"`

	// PublicURL is the base of every link in mail, without a trailing slash:
	// http or https, a host and perhaps a port, nothing else.
	PublicURL string `env:"ROLLCALL_PUBLIC_URL" envDefault:"http://localhost:8080" read:"api worker user dev" check:"public_url" about:"base of every link in mail: scheme and host, no path"`

	// Brand is the name shown in pages and mail, 1 to 64 characters.
	Brand string `env:"ROLLCALL_BRAND" envDefault:"SecureAI" read:"api worker user dev" check:"brand" about:"name shown in pages and mail"`

	// AdminAPIToken is accepted as an API token of full scope; at least 32
	// characters. Empty: there is none. The import command sends it.
	AdminAPIToken Secret `env:"ADMIN_API_TOKEN" read:"api import dev" check:"api_token" about:"if set, accepted as a full-scope API token; 32 characters or more"`

	// SMTPURL is the server mail is handed to unless Settings > Email names
	// another; see mail.ParseURL for its form. It may hold a password. Empty:
	// none, and mail waits.
	SMTPURL Secret `env:"SMTP_URL" read:"api worker" check:"smtp_url" about:"smtp://user:pass@host:587?tls=starttls (or implicit, none); Settings > Email overrides it"`

	// MailFrom is the From address of all mail, without a display name.
	MailFrom string `env:"ROLLCALL_MAIL_FROM" envDefault:"no-reply@localhost" read:"api worker dev" check:"address" about:"From address"`

	// MailRate is how many invitations a second all workers together send at
	// most; fractions are allowed. 0: no limit.
	MailRate float64 `env:"ROLLCALL_MAIL_RATE" envDefault:"0" min:"0" max:"100000" read:"api worker dev" about:"invitations a second over all workers; 0 is no limit"`

	// MailConcurrency is how many SMTP connections one worker keeps.
	MailConcurrency int `env:"ROLLCALL_MAIL_CONCURRENCY" envDefault:"4" min:"1" max:"256" read:"worker dev" about:"SMTP connections a worker"`

	// InvitationTTL is how long a set-password link is good for.
	InvitationTTL time.Duration `env:"ROLLCALL_INVITATION_TTL" envDefault:"72h" min:"1s" max:"8760h" read:"api worker user dev" about:"life of a set-password link"`

	// MaxUploadBytes is the largest file accepted, in bytes.
	MaxUploadBytes int64 `env:"ROLLCALL_MAX_UPLOAD_BYTES" envDefault:"268435456" min:"1" max:"68719476736" read:"api dev" about:"largest file accepted, in bytes; larger is 413"`

	// MaxRows is the most rows one file may hold.
	MaxRows int64 `env:"ROLLCALL_MAX_ROWS" envDefault:"1000000" min:"1" max:"100000000" read:"api worker dev" about:"most rows of a file; more fails with too_many_rows before any row is written"`

	// ImportWait is how long the answer to an upload waits for the import to
	// end when the client states no preference. 0: not at all.
	ImportWait time.Duration `env:"ROLLCALL_IMPORT_WAIT" envDefault:"10s" min:"0s" max:"60s" read:"api dev" about:"how long POST waits for the summary when the client says nothing; 0 answers at once"`

	// Retention is how long uploaded files and row values are kept after an
	// import ends. Counts and codes stay.
	Retention time.Duration `env:"ROLLCALL_RETENTION" envDefault:"720h" min:"1s" max:"87600h" read:"api worker dev" about:"uploaded files and row values are purged after this; counts and codes stay"`

	// LimitUploads is how many files one token may upload in a minute.
	LimitUploads int `env:"ROLLCALL_LIMIT_UPLOADS" envDefault:"3000" min:"1" max:"1000000" read:"api dev" about:"uploads a minute for each token, per process; more is 429, and RateLimit headers tell what is left"`

	// LimitPolls is how many times in ten seconds one token may ask for an
	// import over one connection.
	LimitPolls int `env:"ROLLCALL_LIMIT_POLLS" envDefault:"1000" min:"1" max:"1000000" read:"api dev" about:"requests for an import or its events in 10 s for each token and connection, per process"`

	// LimitFailures is how many authentications from one address may fail in a
	// minute.
	LimitFailures int `env:"ROLLCALL_LIMIT_AUTH_FAILURES" envDefault:"100" min:"1" max:"1000000" read:"api dev" about:"failed authentications a minute for each address, per process; valid tokens are taken all the while"`

	// LimitImports is how many imports of one token may be under way at once.
	LimitImports int `env:"ROLLCALL_LIMIT_IMPORTS" envDefault:"5000" min:"1" max:"1000000" read:"api dev" about:"imports of one token under way at once"`

	// WebhookAllowPrivate says which addresses webhooks may go to beside those
	// of the public Internet; see egress.ParseAddresses. Empty: none.
	WebhookAllowPrivate string `env:"ROLLCALL_WEBHOOK_ALLOW_PRIVATE" default_dev:"127.0.0.0/8,::1" read:"api worker dev" check:"addresses" about:"addresses webhooks may go to beside the public Internet's, over http too: CIDR blocks separated by commas, or true for loopback and all private networks"`

	// SMTPAllowPrivate says which addresses a mail server named in Settings >
	// Email may have beside those of the public Internet; see
	// egress.ParseAddresses. SMTPURL is not held against it.
	SMTPAllowPrivate string `env:"ROLLCALL_SMTP_ALLOW_PRIVATE" envDefault:"true" read:"api worker dev" check:"addresses" about:"addresses a mail server named in Settings > Email may have beside the public Internet's: CIDR blocks separated by commas, true for loopback and all private networks, or false for none"`

	// ImportAdmins is the least scope with which a token's imports may bring in
	// administrators: imports or admin.
	ImportAdmins string `env:"ROLLCALL_IMPORT_ADMINS" envDefault:"imports" read:"worker dev" check:"import_admins" about:"scope a token needs for rows with the role admin: imports (any token that may import) or admin"`

	// SecondFactor says who must have a second factor to use the admin panel:
	// nobody (optional), or administrators.
	SecondFactor string `env:"ROLLCALL_SECOND_FACTOR" envDefault:"optional" read:"api dev" check:"second_factor" about:"optional: everybody may set up a second factor; administrators: to them the admin panel does not open without one"`

	// OTLPEndpoint is the base URL of the receiver of traces, by OTLP over HTTP.
	// Empty: nothing is traced.
	OTLPEndpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" read:"api worker dev" check:"otlp_endpoint" about:"where traces go by OTLP over HTTP, such as http://localhost:4318; the other OTEL_ variables hold too; unset: no traces"`

	// DataDir is where dev keeps its database, its mail and what it generated.
	DataDir string `env:"ROLLCALL_DATA_DIR" envDefault:".rollcall" doc_default:".rollcall (as root: /var/lib/rollcall)" read:"dev" about:"data of the dev command"`

	// DevAdminEmail is the address of the administrator dev creates.
	DevAdminEmail string `env:"ROLLCALL_DEV_ADMIN_EMAIL" envDefault:"admin@example.com" read:"dev" check:"address" about:"administrator of the dev command"`

	// DevAdminPassword is that administrator's password. Empty: one is
	// generated and kept in DataDir.
	DevAdminPassword Secret `env:"ROLLCALL_DEV_ADMIN_PASSWORD" doc_default:"generated once, kept in the data directory" read:"dev" about:"password of that administrator"`

	// ServerURL is the API the import command talks to, under the same rules
	// as PublicURL.
	ServerURL string `env:"ROLLCALL_URL" envDefault:"http://localhost:8080" read:"import" check:"public_url" about:"API the import command talks to"`

	// LogFormat is text or json. Empty: text on a terminal, else json.
	LogFormat string `env:"ROLLCALL_LOG" doc_default:"text on a terminal, else json" read:"api worker migrate token user import dev" check:"log_format" about:"log format: text or json"`

	// LogLevel is the least level that is logged.
	LogLevel slog.Level `env:"ROLLCALL_LOG_LEVEL" envDefault:"info" read:"api worker migrate token user import dev" about:"debug, info, warn or error"`
}
