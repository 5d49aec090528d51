// Package worker wires the packages into the worker and runs it: start, work,
// drain, stop. It does not import an HTTP framework.
package worker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"rollcall/app"
	"rollcall/config"
	"rollcall/jobs"
	"rollcall/jobs/bounces"
	"rollcall/jobs/importer"
	"rollcall/jobs/invitations"
	"rollcall/jobs/queue"
	"rollcall/jobs/webhooks"
	"rollcall/mail"
	"rollcall/mail/settings"
	"rollcall/migrations"
	"rollcall/webhook"
)

// importsAtOnce is how many imports one worker runs at once: one waits for
// PostgreSQL while the other reads.
const importsAtOnce = 2

// Run processes imports and invitations until ctx ends, and drains.
func Run(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	garbage := newGCTuner()
	// Connections: imports and their lookups, one per mail, maintenance,
	// webhooks.
	store, err := app.OpenStore(ctx, cfg, "rollcall-worker", 4*importsAtOnce+cfg.MailConcurrency+6, log)
	if err != nil {
		return err
	}
	defer store.Close()
	redis, err := cfg.RedisOptions()
	if err != nil {
		return err
	}
	tasks := queue.New(redis, log)
	defer tasks.Close()
	tracer, stopTracing, err := app.OpenTracer(ctx, cfg, "rollcall-worker", log)
	if err != nil {
		return err
	}
	defer stopTracing()
	registry := app.NewRegistry(store, log)
	registry.MustRegister(app.NewRedisGauge(tasks.Available))
	metrics := jobs.NewMetrics(registry)
	sealer, err := app.NewSealer(cfg)
	if err != nil {
		return err
	}
	allowed, mailDefaults, err := app.Outbound(cfg)
	if err != nil {
		return err
	}
	mailSettings := settings.New(store, sealer, mailDefaults)
	signer, err := app.NewSigner(cfg)
	if err != nil {
		return err
	}
	transport := invitations.NewSMTPTransport(mailSettings, log, mail.PoolConfig{Size: cfg.MailConcurrency})
	sender := invitations.NewSender(store, log, metrics.Invitations, signer, transport, invitations.Config{
		Brand: cfg.Brand, PublicURL: cfg.PublicURL, TTL: cfg.InvitationTTL, Tracking: app.Tracking(cfg, signer),
	})
	returned, err := listenForBounces(cfg, bounces.NewRecorder(store, signer, metrics.Bounces), log)
	if err != nil {
		return err
	}
	stopMetrics, err := app.ServeMetrics(ctx, cfg.MetricsListen, registry, func(ctx context.Context) error {
		return migrations.Check(ctx, store.DB())
	}, log)
	if err != nil {
		return err
	}
	defer stopMetrics()
	webhookSender := webhook.NewSender(webhook.SenderConfig{Allowed: allowed, Agent: "Rollcall/" + app.Version})
	imports := importer.New(store, log, metrics.Importer, importer.Config{
		MaxRows: cfg.MaxRows, AdminScopes: app.AdminScopes(cfg), MaxDisable: cfg.MaxDisable, Tracer: tracer,
	})
	worker := jobs.NewWorker(store, tasks, imports, sender, log, metrics, jobs.WorkerConfig{
		Redis: redis, Imports: importsAtOnce, Connections: cfg.MailConcurrency, Retention: cfg.Retention,
		Webhooks: webhooks.New(store, log, metrics.Webhooks, sealer, webhookSender, webhooks.Config{}),
		Notices:  jobs.NewNoticeSender(store, mailSettings, log, cfg.Brand, cfg.PublicURL),
		Bounces:  returned,
		Secrets:  jobs.NewSecretRotator(store, sealer, log), OnImportActivity: garbage.importing,
		Reminders: jobs.Reminders{Ages: cfg.Reminders(), TTL: cfg.InvitationTTL},
	})
	log.Info("worker started")
	return worker.Run(ctx)
}

// listenForBounces opens the listener for returned mail, if one is wanted.
func listenForBounces(cfg config.Config, recorder *bounces.Recorder, log *slog.Logger) (*bounces.Listener, error) {
	if cfg.BounceListen == "" {
		return nil, nil
	}
	_, domain, _ := strings.Cut(cfg.BounceAddress, "@")
	l, err := bounces.Listen(cfg.BounceListen, domain, recorder, log)
	if err != nil {
		return nil, fmt.Errorf("listen (ROLLCALL_BOUNCE_LISTEN): %w", err)
	}
	log.Info("listening for returned mail", "address", l.Addr().String())
	return l, nil
}
