package config

import (
	"log/slog"
	"time"
)

// Config is the environment of one program. It is flat, with one field per
// variable.
//
// Tags: env names the variable; envDefault is its default, and default_NAME the
// default for program NAME; doc_default describes a default that depends on the
// machine; read names the programs that read it, required those that do not
// start without it; min and max are inclusive bounds; check names a rule in
// checks.go; empty:"off" accepts the empty text as a value; about is its line
// in docs/configuration.md. To add a variable, add a field.
type Config struct {
	// DatabaseURL is the PostgreSQL that holds all state, as a URL or as
	// key=value pairs. It may contain a password.
	DatabaseURL Secret `env:"DATABASE_URL" read:"api worker migrate token user bounce" required:"api worker migrate token user bounce" check:"database_url" about:"PostgreSQL 14 or later, as a postgres:// URL"`
	// DatabaseListenURL leads past a pooler to the same database; empty: as
	// DatabaseURL.
	DatabaseListenURL Secret `env:"DATABASE_LISTEN_URL" read:"api worker migrate" check:"database_url" about:"the same database past a pooler such as PgBouncer, for migrations and for the one connection that listens; empty: as DATABASE_URL"`

	// AppRole is the database role that api and worker connect as, if that is
	// not the owner of the tables; see migrations.Grant. Empty: nothing is
	// granted.
	AppRole string `env:"ROLLCALL_APP_ROLE" read:"migrate" about:"database role of api and worker; migrate grants it the rights they need. Empty: no grants"`

	// RequireTLS says how to treat a connection to another machine that is not
	// encrypted and verified, or to a Redis there without a password: no logs a
	// warning, yes refuses it. See InsecureLinks.
	RequireTLS string `env:"ROLLCALL_REQUIRE_TLS" envDefault:"no" read:"api worker migrate token user import bounce" check:"yes_no" about:"yes: refuse connections to other machines that are not encrypted and verified (PostgreSQL, Redis, mail, traces, panel, webhooks); no: log a warning"`

	// RedisURL is the Redis that carries the tasks; see ParseRedisURL for its
	// forms. It may hold a password.
	RedisURL Secret `env:"REDIS_URL" read:"api worker" required:"api worker" check:"redis_url" about:"redis://, rediss://, redis-sentinel://host:port,host:port/db?master=NAME or redis-cluster://host:port,host:port"`

	// Secret signs links and encrypts stored secrets; at least 32 bytes.
	Secret Secret `env:"ROLLCALL_SECRET" read:"api worker user bounce" required:"api worker user bounce" check:"secret" about:"32 bytes or more; signs links and encrypts stored secrets"`

	// SecretPrevious holds earlier values of Secret, newest first, still
	// accepted but no longer used for anything new; none by default.
	SecretPrevious Secrets `env:"ROLLCALL_SECRET_PREVIOUS" read:"api worker user bounce" check:"secrets" about:"earlier values of ROLLCALL_SECRET that are still accepted, newest first, separated by commas or line breaks"`

	// Listen is the TCP address of the API and the admin panel, host:port.
	Listen string `env:"ROLLCALL_LISTEN" envDefault:":8080" default_dev:"127.0.0.1:8080" read:"api dev" check:"listen" about:"address of the API and the admin panel"`

	// MetricsListen is the TCP address of /metrics, /healthz and /readyz,
	// host:port. Empty: not served.
	MetricsListen string `env:"ROLLCALL_METRICS_LISTEN" envDefault:"127.0.0.1:9090" default_worker:"127.0.0.1:9091" read:"api worker dev" empty:"off" check:"listen" about:"address of /metrics, /healthz and /readyz; empty turns it off"`

	// TrustedProxies are the proxies whose X-Forwarded-For is trusted; see
	// ParseProxies. Empty: none, and the address of the connection is used.
	TrustedProxies string `env:"ROLLCALL_TRUSTED_PROXIES" read:"api" check:"proxies" about:"proxies whose X-Forwarded-For is trusted for the client address in rate limits and the audit log: comma-separated addresses and CIDR blocks"`

	// PublicURL is the base of every link in mail, without a trailing slash:
	// http or https, a host and an optional port, nothing else.
	PublicURL string `env:"ROLLCALL_PUBLIC_URL" envDefault:"http://localhost:8080" read:"api worker user token dev" check:"public_url" about:"base of every link in email: scheme and host, no path"`

	// Brand is the name shown in pages and email, 1 to 64 characters.
	Brand string `env:"ROLLCALL_BRAND" envDefault:"SecureAI" read:"api worker user dev" check:"brand" about:"name shown in pages and email"`

	// AdminAPIToken is accepted as an API token of full scope; at least 32
	// characters. Empty: there is none. The import command sends it.
	AdminAPIToken Secret `env:"ADMIN_API_TOKEN" read:"api import dev" check:"api_token" about:"if set, accepted as a full-scope API token; 32 characters or more"`

	// SMTPURL is the mail server to use unless one is set in Settings > Email;
	// see mail.ParseURL for its form. It may contain a password. Empty: none,
	// and mail waits.
	SMTPURL Secret `env:"SMTP_URL" read:"api worker" check:"smtp_url" about:"smtp://user:pass@host:587?tls=starttls (or implicit, none), &auth=oauth2 to sign in with a token, &hello=NAME for the EHLO name; Settings > Email overrides it"`

	// SMTPOAuthTokenURL, SMTPOAuthClientID, SMTPOAuthClientSecret and
	// SMTPOAuthScope say how a token for SMTPURL with auth=oauth2 is had; see
	// mail.OAuth. Only the scope may be empty.
	SMTPOAuthTokenURL     string `env:"SMTP_OAUTH_TOKEN_URL" read:"api worker" about:"with SMTP_URL&auth=oauth2: where to request a token, such as https://login.microsoftonline.com/TENANT/oauth2/v2.0/token"`
	SMTPOAuthClientID     string `env:"SMTP_OAUTH_CLIENT_ID" read:"api worker" about:"with auth=oauth2: the client ID"`
	SMTPOAuthClientSecret Secret `env:"SMTP_OAUTH_CLIENT_SECRET" read:"api worker" about:"with auth=oauth2: the client secret, or a private key in PEM, or a Google service account's key file in JSON"`
	SMTPOAuthScope        string `env:"SMTP_OAUTH_SCOPE" read:"api worker" about:"with auth=oauth2: scopes separated by spaces, such as https://outlook.office365.com/.default"`

	// MailFrom is the From address of all mail, without a display name.
	MailFrom string `env:"ROLLCALL_MAIL_FROM" envDefault:"no-reply@localhost" read:"api worker dev" check:"address" about:"From address; the default is refused at the start if SMTP_URL names a server that is not on this machine"`

	// BounceAddress gets returned mail; see bounce.Tracking. Empty: the envelope
	// sender is MailFrom.
	BounceAddress string `env:"ROLLCALL_BOUNCE_ADDRESS" read:"api worker" check:"bounce_address" about:"address that returned mail is sent to, such as bounces@mail.example.com: envelope senders become bounces+TOKEN@mail.example.com. Empty: bounces are not recognized"`

	// BounceListen is the TCP address at which the worker takes returned mail over
	// SMTP, host:port. Empty: nowhere.
	BounceListen string `env:"ROLLCALL_BOUNCE_LISTEN" read:"worker" check:"listen" about:"address at which the worker accepts returned mail over SMTP, such as :2525; needs ROLLCALL_BOUNCE_ADDRESS"`

	// SESTopics are the ARNs of the SNS topics that events of Amazon SES are taken
	// from. Empty: none.
	SESTopics string `env:"ROLLCALL_SES_TOPICS" read:"api worker" check:"sns_topics" about:"ARNs of the SNS topics, separated by commas, whose messages POST /hooks/mail/ses accepts. Empty: off"`

	// SendGridKey is the public key that signs the events of SendGrid. Empty: none are
	// taken.
	SendGridKey string `env:"ROLLCALL_SENDGRID_KEY" read:"api worker" check:"sendgrid_key" about:"verification key of SendGrid's signed event webhook, whose events POST /hooks/mail/sendgrid accepts. Empty: off"`

	// PostmarkPassword is the password that Postmark sends with its events. Empty:
	// none are taken.
	PostmarkPassword Secret `env:"ROLLCALL_POSTMARK_PASSWORD" read:"api worker" check:"api_token" about:"password of the URL given to Postmark, https://rollcall:PASSWORD@HOST/hooks/mail/postmark; 32 characters or more. Empty: off"`

	// MailRate is the maximum number of invitations per second from all workers
	// together; fractions are allowed. 0: no limit.
	MailRate float64 `env:"ROLLCALL_MAIL_RATE" envDefault:"0" min:"0" max:"100000" read:"api worker dev" about:"invitations per second across all workers; 0: no limit"`

	// MailConcurrency is how many SMTP connections one worker keeps.
	MailConcurrency int `env:"ROLLCALL_MAIL_CONCURRENCY" envDefault:"4" min:"1" max:"256" read:"worker dev" about:"SMTP connections per worker"`

	// InvitationTTL is how long a set-password link is valid.
	InvitationTTL time.Duration `env:"ROLLCALL_INVITATION_TTL" envDefault:"72h" min:"1s" max:"8760h" read:"api worker user dev" about:"lifetime of a set-password link"`

	// InvitationReminders are the ages at which an unused invitation is followed
	// by a reminder; see ParseReminders. Empty: none.
	InvitationReminders string `env:"ROLLCALL_INVITATION_REMINDERS" read:"worker dev" check:"reminders" about:"ages at which an unused invitation is followed by a reminder, such as 24h,48h: up to 5, each less than ROLLCALL_INVITATION_TTL. Empty: no reminders"`

	// MaxUploadBytes is the largest file accepted, in bytes.
	MaxUploadBytes int64 `env:"ROLLCALL_MAX_UPLOAD_BYTES" envDefault:"268435456" min:"1" max:"68719476736" read:"api dev" about:"maximum file size in bytes; larger files get 413"`

	// MaxRows is the most rows one file may hold.
	MaxRows int64 `env:"ROLLCALL_MAX_ROWS" envDefault:"1000000" min:"1" max:"100000000" read:"api worker dev" about:"maximum rows per file; a longer file fails with too_many_rows before any row is written"`

	// ImportWait is how long the response to an upload waits for the import to
	// end when the client states no preference. 0: not at all.
	ImportWait time.Duration `env:"ROLLCALL_IMPORT_WAIT" envDefault:"10s" min:"0s" max:"60s" read:"api dev" about:"how long POST waits for the summary if the client sends no preference; 0: do not wait"`

	// Retention is how long uploaded files and row values are kept after an
	// import ends. Counts and codes stay.
	Retention time.Duration `env:"ROLLCALL_RETENTION" envDefault:"720h" min:"1s" max:"87600h" read:"api worker dev" about:"uploaded files and row values are purged after this; counts and codes are kept"`

	// LimitUploads is how many files one token may upload per minute.
	LimitUploads int `env:"ROLLCALL_LIMIT_UPLOADS" envDefault:"3000" min:"1" max:"1000000" read:"api dev" about:"uploads per minute for each token, per process; RateLimit headers show what is left"`

	// LimitUploadBytes is how many bytes of files one token, or one person, may
	// upload on a day.
	LimitUploadBytes int64 `env:"ROLLCALL_LIMIT_UPLOAD_BYTES" envDefault:"10737418240" min:"1" max:"1125899906842624" read:"api dev" about:"bytes of files each token, or person, may upload on a day (UTC), over all processes; more is 429, and RateLimit headers tell what is left"`

	// LimitPolls is how many times in ten seconds one token may ask for an
	// import, its rows or a list over one connection.
	LimitPolls int `env:"ROLLCALL_LIMIT_POLLS" envDefault:"1000" min:"1" max:"1000000" read:"api dev" about:"requests for an import, its events, rows or errors, or a list, in 10 s for each token and connection, per process"`

	// LimitFailures is how many authentications from one address may fail per
	// minute.
	LimitFailures int `env:"ROLLCALL_LIMIT_AUTH_FAILURES" envDefault:"100" min:"1" max:"1000000" read:"api dev" about:"failed authentications per minute for each address, per process; valid tokens are still accepted"`

	// LimitImports is how many unfinished imports one token may have.
	LimitImports int `env:"ROLLCALL_LIMIT_IMPORTS" envDefault:"5000" min:"1" max:"1000000" read:"api dev" about:"unfinished imports per token"`

	// WebhookAllowPrivate lists the addresses that webhooks may be sent to in
	// addition to the public Internet; see egress.ParseAddresses. Empty: none.
	WebhookAllowPrivate string `env:"ROLLCALL_WEBHOOK_ALLOW_PRIVATE" default_dev:"127.0.0.0/8,::1" read:"api worker dev" check:"addresses" about:"addresses that webhooks may use in addition to the public Internet, also over http: comma-separated CIDR blocks, or true for loopback and all private networks"`

	// SMTPAllowPrivate lists the addresses that a mail server set in Settings >
	// Email may have in addition to the public Internet; see
	// egress.ParseAddresses. It does not apply to SMTPURL.
	SMTPAllowPrivate string `env:"ROLLCALL_SMTP_ALLOW_PRIVATE" envDefault:"true" read:"api worker dev" check:"addresses" about:"addresses that a mail server in Settings > Email may have in addition to the public Internet: comma-separated CIDR blocks, true for loopback and all private networks, or false for none"`

	// ImportAdmins is the least scope with which a token's imports may create
	// administrators: admin or imports.
	ImportAdmins string `env:"ROLLCALL_IMPORT_ADMINS" envDefault:"admin" read:"api worker dev" check:"import_admins" about:"scope a token needs for rows with the role admin: admin, or imports (any token that may import); changing the role of an existing administrator needs admin in any case"`

	// MaxDisable is how many users a full roster disables without approval: a
	// number, or a percentage of the source's users.
	MaxDisable string `env:"ROLLCALL_MAX_DISABLE" envDefault:"20%" read:"worker dev" check:"max_disable" about:"how many users a full roster (missing=disable) disables without approval: a number, or a percentage of the source's users"`

	// Attributes are the names of declared attributes; see
	// roster.ParseAttributeNames. Empty: none.
	Attributes string `env:"ROLLCALL_ATTRIBUTES" read:"api dev" check:"attributes" about:"extra columns that are kept for each user, such as cost_center,phone: up to 20 names of lower-case letters, digits and underscores"`

	// SecondFactor says who must have a second factor to use the admin panel:
	// no one (optional), or administrators.
	SecondFactor string `env:"ROLLCALL_SECOND_FACTOR" envDefault:"optional" read:"api dev" check:"second_factor" about:"optional: everyone may set up two-factor authentication; administrators: required for administrators"`

	// OTLPEndpoint is the base URL of the trace receiver, for OTLP over HTTP.
	// Empty: tracing is off.
	OTLPEndpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" read:"api worker dev" check:"otlp_endpoint" about:"OTLP/HTTP receiver of traces, such as http://localhost:4318; the other OTEL_ variables apply too. Unset: no traces"`

	// DataDir is where dev keeps its database, its mail and generated secrets.
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
	LogFormat string `env:"ROLLCALL_LOG" doc_default:"text on a terminal, else json" read:"api worker migrate token user import bounce dev" check:"log_format" about:"log format: text or json"`

	// LogLevel is the least level that is logged.
	LogLevel slog.Level `env:"ROLLCALL_LOG_LEVEL" envDefault:"info" read:"api worker migrate token user import bounce dev" about:"debug, info, warn or error"`
}
