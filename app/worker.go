package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"

	"rollcall/auth"
	"rollcall/config"
	"rollcall/egress"
	"rollcall/jobs"
	"rollcall/mail"
	"rollcall/migrations"
	"rollcall/storage"
	"rollcall/webhook"
)

// importsAtOnce is how many imports one worker has in hand: one waits for
// PostgreSQL while the other reads.
const importsAtOnce = 2

// RunWorker works through imports and invitations until ctx ends, and drains.
func RunWorker(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	garbage := newCollector()
	defer runtime.KeepAlive(garbage)
	// Connections: imports and their look-ups, one a mail, upkeep, webhooks.
	store, err := openStore(ctx, cfg, "rollcall-worker", 4*importsAtOnce+cfg.MailConcurrency+6, log)
	if err != nil {
		return err
	}
	defer store.Close()
	redis, err := cfg.RedisOptions()
	if err != nil {
		return err
	}
	bell := jobs.NewBell(redis)
	defer bell.Close()
	tracer, stopTracing, err := openTracer(ctx, cfg, "rollcall-worker", log)
	if err != nil {
		return err
	}
	defer stopTracing()
	registry := newRegistry(store, log)
	meter := jobs.NewMetrics(registry)
	mailer, err := newMailer(store, cfg, log, meter)
	if err != nil {
		return err
	}
	stopMetrics, err := serveMetrics(ctx, cfg.MetricsListen, registry, func(ctx context.Context) error {
		return migrations.Check(ctx, store.DB())
	}, log)
	if err != nil {
		return err
	}
	defer stopMetrics()
	courier, err := newCourier(store, cfg, log, meter)
	if err != nil {
		return err
	}
	importer := jobs.NewImporter(store, log, meter, jobs.ImporterConfig{
		MaxRows: cfg.MaxRows, AdminScopes: adminScopes(cfg), Tracer: tracer,
	})
	worker := jobs.NewWorker(store, bell, importer, mailer, log, meter, jobs.WorkerConfig{
		Redis: redis, Imports: importsAtOnce, Connections: cfg.MailConcurrency, Retention: cfg.Retention,
		Courier: courier, Importing: garbage.importing,
	})
	log.Info("worker runs")
	return worker.Run(ctx)
}

// adminScopes are the scopes with which a token may bring in administrators.
func adminScopes(cfg config.Config) []string {
	if cfg.ImportAdmins == string(auth.ScopeAdmin) {
		return []string{cfg.ImportAdmins}
	}
	return storage.AdminScopes()
}

func newCourier(store *storage.Store, cfg config.Config, log *slog.Logger, meter *jobs.Metrics) (*jobs.Courier, error) {
	sealer, err := auth.NewSealer(cfg.Secret.Reveal(), previous(cfg)...)
	if err != nil {
		return nil, err
	}
	allowed, _, err := reachable(cfg)
	if err != nil {
		return nil, err
	}
	sender := webhook.NewSender(webhook.SenderConfig{Allowed: allowed, Agent: "Rollcall/" + Version})
	return jobs.NewCourier(store, log, meter, sealer, sender, jobs.CourierConfig{}), nil
}

func newMailer(store *storage.Store, cfg config.Config, log *slog.Logger, meter *jobs.Metrics) (*jobs.Mailer, error) {
	signer, err := newSigner(cfg)
	if err != nil {
		return nil, err
	}
	sealer, err := auth.NewSealer(cfg.Secret.Reveal(), previous(cfg)...)
	if err != nil {
		return nil, err
	}
	server, err := mailServer(cfg)
	if err != nil {
		return nil, err
	}
	_, within, err := reachable(cfg)
	if err != nil {
		return nil, err
	}
	postman := jobs.NewPostman(store, sealer, cfg.MailConcurrency, server, within, cfg.MailFrom, cfg.MailRate)
	return jobs.NewMailer(store, log, meter, signer, postman, jobs.MailerConfig{
		Brand: cfg.Brand, PublicURL: cfg.PublicURL, TTL: cfg.InvitationTTL,
	}), nil
}

// reachable are the addresses that webhooks may go to, and those that a mail
// server named in the settings may have; with ROLLCALL_REQUIRE_TLS, encrypted
// only.
func reachable(cfg config.Config) (webhooks egress.Addresses, mail *egress.Addresses, err error) {
	if webhooks, err = egress.ParseAddresses(cfg.WebhookAllowPrivate); err != nil {
		return webhooks, nil, fmt.Errorf("ROLLCALL_WEBHOOK_ALLOW_PRIVATE: %w", err)
	}
	within, err := egress.ParseAddresses(cfg.SMTPAllowPrivate)
	if err != nil {
		return webhooks, nil, fmt.Errorf("ROLLCALL_SMTP_ALLOW_PRIVATE: %w", err)
	}
	if cfg.RequiresTLS() {
		webhooks, within = webhooks.OnlyEncrypted(), within.OnlyEncrypted()
	}
	return webhooks, &within, nil
}

// mailServer is the server that SMTP_URL names, nil if it names none.
func mailServer(cfg config.Config) (*mail.Server, error) {
	url := cfg.SMTPURL.Reveal()
	if url == "" {
		return nil, nil
	}
	server, err := mail.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("SMTP_URL: %w", err)
	}
	return &server, nil
}

func newSigner(cfg config.Config) (*auth.Signer, error) {
	return auth.NewSigner(cfg.Secret.Reveal(), previous(cfg)...)
}

func previous(cfg config.Config) []string {
	var secrets []string
	for _, s := range cfg.SecretPrevious {
		secrets = append(secrets, s.Reveal())
	}
	return secrets
}

// While imports are worked on garbage is collected when there is less than half as
// much of it as is alive: most of that is the set of addresses seen in a check,
// which the collector need not look into, so it costs little, and the worker's
// memory stays near what a large file needs.
//
// Otherwise little is alive, and to collect as often would be every few hundred
// mails and a sixth of what they take. Nothing is ever written to the ballast, so
// it takes no memory, but counts as alive.
const (
	garbageImporting = 40  // percent of what is alive
	garbageOtherwise = 150 // the same
	ballastBytes     = 16 << 20
)

// collector has garbage collected as often as what is being done asks for, unless
// GOGC says how often.
type collector struct{ ballast []byte }

func newCollector() *collector {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	c := &collector{make([]byte, ballastBytes)}
	c.importing(false)
	return c
}

// importing is told when imports begin to be worked on, and when they end.
func (c *collector) importing(yes bool) {
	switch {
	case c == nil:
	case yes:
		debug.SetGCPercent(garbageImporting)
	default:
		debug.SetGCPercent(garbageOtherwise)
	}
}
