// Package api wires the packages into the API server with the admin panel and
// runs it: start, serve, drain, stop. `rollcall dev` runs the same function
// with DevOptions.
package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/app"
	"rollcall/auth"
	"rollcall/config"
	"rollcall/httpapi"
	"rollcall/httpapi/upload"
	"rollcall/internal/broadcast"
	"rollcall/jobs/bounces"
	"rollcall/jobs/importer"
	"rollcall/jobs/queue"
	"rollcall/migrations"
	"rollcall/privacy"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web"
)

// Limits of the API process.
const (
	apiConns = 32               // connections to PostgreSQL
	apiDrain = 25 * time.Second // time for requests in progress to end
)

// Mailbox is captured mail, newest first.
type Mailbox interface {
	All() iter.Seq2[web.Mail, error]
	Get(id string) (mail web.Mail, found bool, err error)
}

// DevOptions are what `rollcall dev` adds to the API.
type DevOptions struct {
	Mailbox  Mailbox        // captured mail for /dev/mail; nil: none
	OnListen func(net.Addr) // called once requests are accepted
}

// Run serves the API and the admin panel until ctx ends, and drains.
func Run(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	return Serve(ctx, cfg, DevOptions{}, log)
}

// Serve is Run with the additions of `rollcall dev`.
func Serve(ctx context.Context, cfg config.Config, options DevOptions, log *slog.Logger) error {
	store, err := app.OpenStore(ctx, cfg, "rollcall-api", apiConns, log)
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
	watcher := storage.NewWatcher(store, log)
	tracer, stopTracing, err := app.OpenTracer(ctx, cfg, "rollcall-api", log)
	if err != nil {
		return err
	}
	defer stopTracing()
	registry := app.NewRegistry(store, log)
	registry.MustRegister(app.NewRedisGauge(tasks.Available))
	watch := []gin.HandlerFunc{newHTTPMetrics(registry).count, traced(tracer)}
	handler, site, err := newHandler(ctx, cfg, store, watcher, tasks, watch, bounces.NewMetrics(registry), options, log)
	if err != nil {
		return err
	}
	schema := func(ctx context.Context) error { return migrations.Check(ctx, store.DB()) }
	stopMetrics, err := app.ServeMetrics(ctx, cfg.MetricsListen, registry, schema, log)
	if err != nil {
		return err
	}
	defer stopMetrics()
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen (ROLLCALL_LISTEN): %w", err)
	}
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	var beside sync.WaitGroup
	beside.Go(func() {
		if err := watcher.Run(watching); err != nil {
			log.Error("change listener stopped; long polls return only at their timeout", "error", err)
		}
	})
	beside.Go(func() { site.Run(watching) })
	beside.Go(func() { tasks.Run(watching) })
	log.Info("API server listening", "address", listener.Addr().String())
	if options.OnListen != nil {
		options.OnListen(listener.Addr())
	}
	err = serve(ctx, app.NewServer(app.Secured(handler, strings.HasPrefix(cfg.PublicURL, "https://")), log), listener, log)
	stopWatching()
	beside.Wait()
	return err
}

// serve handles requests until ctx ends, and lets those in progress finish.
func serve(ctx context.Context, server *http.Server, listener net.Listener, log *slog.Logger) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("API server shutting down, draining")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiDrain)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		server.Close()
		if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		log.Warn("aborted requests that outlasted the drain")
	}
	return nil
}

// newHandler combines the API and the pages in one router. The handlers in
// watch see every request.
func newHandler(ctx context.Context, cfg config.Config, store *storage.Store, watcher *storage.Watcher, tasks *queue.Queue, watch []gin.HandlerFunc, returned *bounces.Metrics, options DevOptions, log *slog.Logger) (http.Handler, *web.Site, error) {
	signer, err := app.NewSigner(cfg)
	if err != nil {
		return nil, nil, err
	}
	sealer, err := app.NewSealer(cfg)
	if err != nil {
		return nil, nil, err
	}
	webhooks, mailDefaults, err := app.Outbound(cfg)
	if err != nil {
		return nil, nil, err
	}
	reports := report.New(store)
	broadcaster := broadcast.New(broadcast.Config{Watcher: watcher, Read: store.Import, Stopping: ctx.Done()})
	attributes, err := roster.ParseAttributeNames(cfg.Attributes)
	if err != nil {
		return nil, nil, fmt.Errorf("ROLLCALL_ATTRIBUTES: %w", err)
	}
	editor := importer.NewRowEditor(store, importer.Config{AdminScopes: app.AdminScopes(cfg)})
	events, err := mailEvents(cfg, bounces.NewRecorder(store, signer, returned), webhooks)
	if err != nil {
		return nil, nil, err
	}
	api, err := httpapi.New(httpapi.Deps{
		Store: store, Broadcaster: broadcaster, Changes: watcher, Reports: reports, RowEditor: editor, Queue: tasks, Log: log,
		AdminToken: cfg.AdminAPIToken.Reveal(), MaxUploadBytes: cfg.MaxUploadBytes,
		ImportWait: cfg.ImportWait, PublicURL: cfg.PublicURL, InvitationTTL: cfg.InvitationTTL, Version: app.Version,
		SchemaCheck:  func(ctx context.Context) error { return migrations.Check(ctx, store.DB()) },
		RedisCheck:   tasks.Check,
		Stopping:     ctx.Done(),
		DataSubjects: privacy.New(store, signer),
		Limits: httpapi.Limits{
			Uploads:  httpapi.Quota{Count: cfg.LimitUploads, Window: time.Minute},
			Polls:    httpapi.Quota{Count: cfg.LimitPolls, Window: 10 * time.Second},
			Failures: httpapi.Quota{Count: cfg.LimitFailures, Window: time.Minute},
			Imports:  cfg.LimitImports,
		},
		Uploads:    upload.Limits{DailyBytes: cfg.LimitUploadBytes},
		Attributes: attributes,
		Sealer:     sealer, WebhookAddresses: webhooks,
		Mail:       mailDefaults,
		MailEvents: events,
	})
	if err != nil {
		return nil, nil, err
	}
	pages := web.Deps{
		Store: store, Broadcaster: broadcaster, Signer: signer, Hasher: auth.NewHasher(auth.HasherConfig{}),
		Reports: reports, RowEditor: editor, Queue: tasks, Log: log,
		Brand: cfg.Brand, PublicURL: cfg.PublicURL, InvitationTTL: cfg.InvitationTTL, MaxUploadBytes: cfg.MaxUploadBytes, DailyUploadBytes: cfg.LimitUploadBytes,
		Attributes:           attributes,
		AdminsNeedFactor:     cfg.SecondFactor == "administrators",
		ImportsMayGrantAdmin: cfg.ImportAdmins == string(auth.ScopeImports),
		Sealer:               sealer, DataSubjects: privacy.New(store, signer), Mail: mailDefaults,
	}
	if options.Mailbox != nil {
		pages.Mailbox = options.Mailbox
	}
	site, err := web.New(pages)
	if err != nil {
		return nil, nil, err
	}
	proxies, err := config.ParseProxies(cfg.TrustedProxies)
	if err != nil {
		return nil, nil, fmt.Errorf("ROLLCALL_TRUSTED_PROXIES: %w", err)
	}
	engine := httpapi.NewEngine(proxies...)
	engine.Use(watch...)
	api.Register(engine)
	site.Register(engine)
	engine.NoMethod(api.MethodNotAllowed)
	engine.NoRoute(func(c *gin.Context) {
		if api.Owns(c.Request.URL.Path) {
			api.NotFound(c)
			return
		}
		site.NotFound(c)
	})
	return engine, site, nil
}
