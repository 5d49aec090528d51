package app

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

	"rollcall/auth"
	"rollcall/config"
	"rollcall/httpapi"
	"rollcall/httpapi/header"
	"rollcall/jobs"
	"rollcall/migrations"
	"rollcall/privacy"
	"rollcall/report"
	"rollcall/storage"
	"rollcall/web"
)

// Version is told by /healthz; the build sets it.
var Version = "dev"

// Limits of the API process.
const (
	apiConns = 32               // connections to PostgreSQL
	apiDrain = 25 * time.Second // requests under way have so long to end
)

// Mailbox is captured mail, newest first.
type Mailbox interface {
	All() iter.Seq2[web.Mail, error]
	Get(id string) (mail web.Mail, found bool, err error)
}

// Extras are what a private instance adds to the API.
type Extras struct {
	Mailbox  Mailbox        // captured mail for /dev/mail; nil: none
	OnListen func(net.Addr) // told once requests are accepted
}

// RunAPI serves the API and the admin panel until ctx ends, and drains.
func RunAPI(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	return ServeAPI(ctx, cfg, Extras{}, log)
}

// ServeAPI is RunAPI with extras.
func ServeAPI(ctx context.Context, cfg config.Config, extras Extras, log *slog.Logger) error {
	store, err := openStore(ctx, cfg, "rollcall-api", apiConns, log)
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
	watcher := storage.NewWatcher(store, log)
	tracer, stopTracing, err := openTracer(ctx, cfg, "rollcall-api", log)
	if err != nil {
		return err
	}
	defer stopTracing()
	registry := newRegistry(store, log)
	watch := []gin.HandlerFunc{newTraffic(registry).count, traced(tracer)}
	handler, site, err := newHandler(ctx, cfg, store, watcher, bell, watch, extras, log)
	if err != nil {
		return err
	}
	schema := func(ctx context.Context) error { return migrations.Check(ctx, store.DB()) }
	stopMetrics, err := serveMetrics(ctx, cfg.MetricsListen, registry, schema, log)
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
			log.Error("nobody watches for changes: waits last their full time", "error", err)
		}
	})
	beside.Go(func() { site.Run(watching) })
	log.Info("API listens", "address", listener.Addr().String())
	if extras.OnListen != nil {
		extras.OnListen(listener.Addr())
	}
	err = serve(ctx, newServer(secured(handler, strings.HasPrefix(cfg.PublicURL, "https://")), log), listener, log)
	stopWatching()
	beside.Wait()
	return err
}

// serve answers requests until ctx ends, and lets those under way finish.
func serve(ctx context.Context, server *http.Server, listener net.Listener, log *slog.Logger) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("API drains")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiDrain)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		server.Close()
		if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		log.Warn("some requests were cut off: they took longer than the drain")
	}
	return nil
}

// newHandler puts the API and the pages into one router. The handlers of watch
// look on at every request.
func newHandler(ctx context.Context, cfg config.Config, store *storage.Store, watcher *storage.Watcher, bell *jobs.Bell, watch []gin.HandlerFunc, extras Extras, log *slog.Logger) (http.Handler, *web.Site, error) {
	signer, err := newSigner(cfg)
	if err != nil {
		return nil, nil, err
	}
	sealer, err := auth.NewSealer(cfg.Secret.Reveal(), previous(cfg)...)
	if err != nil {
		return nil, nil, err
	}
	server, err := mailServer(cfg)
	if err != nil {
		return nil, nil, err
	}
	webhooks, within, err := reachable(cfg)
	if err != nil {
		return nil, nil, err
	}
	reports := report.New(store)
	api, err := httpapi.New(httpapi.Deps{
		Store: store, Watcher: watcher, Reports: reports, Bell: bell, Log: log,
		AdminToken: cfg.AdminAPIToken.Reveal(), MaxUploadBytes: cfg.MaxUploadBytes,
		ImportWait: cfg.ImportWait, PublicURL: cfg.PublicURL, Version: Version,
		SchemaCheck: func(ctx context.Context) error { return migrations.Check(ctx, store.DB()) },
		RedisPing:   func(context.Context) error { return bell.Ping() },
		Stopping:    ctx.Done(),
		Persons:     privacy.New(store, signer),
		Limits: httpapi.Limits{
			Uploads:  httpapi.Quota{Count: cfg.LimitUploads, Window: time.Minute},
			Polls:    httpapi.Quota{Count: cfg.LimitPolls, Window: 10 * time.Second},
			Failures: httpapi.Quota{Count: cfg.LimitFailures, Window: time.Minute},
			Imports:  cfg.LimitImports,
		},
		Sealer: sealer, WebhookAddresses: webhooks,
		Mail: httpapi.MailDefaults{Server: server, From: cfg.MailFrom, Rate: cfg.MailRate, Brand: cfg.Brand, Within: within},
	})
	if err != nil {
		return nil, nil, err
	}
	pages := web.Deps{
		Store: store, Watcher: watcher, Signer: signer, Hasher: auth.NewHasher(auth.HasherConfig{}),
		Reports: reports, Bell: bell, Log: log,
		Brand: cfg.Brand, PublicURL: cfg.PublicURL, InvitationTTL: cfg.InvitationTTL, MaxUploadBytes: cfg.MaxUploadBytes,
		AdminsNeedFactor: cfg.SecondFactor == "administrators",
		Stopping:         ctx.Done(),
		Sealer:           sealer, Persons: privacy.New(store, signer), Mail: web.MailDefaults{Server: server, From: cfg.MailFrom, Within: within},
	}
	if extras.Mailbox != nil {
		pages.Mailbox = extras.Mailbox
	}
	site, err := web.New(pages)
	if err != nil {
		return nil, nil, err
	}
	engine := httpapi.NewEngine()
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
	proxies, err := config.ParseProxies(cfg.TrustedProxies)
	if err != nil {
		return nil, nil, fmt.Errorf("ROLLCALL_TRUSTED_PROXIES: %w", err)
	}
	return header.Forwarded(proxies, engine), site, nil
}
