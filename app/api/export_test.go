package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/app"
	"rollcall/config"
	"rollcall/httpapi"
	"rollcall/jobs"
	"rollcall/jobs/bounces"
	"rollcall/jobs/queue"
	"rollcall/storage"
	"rollcall/web"
)

// NewHandler is newHandler without metrics or tracing.
func NewHandler(ctx context.Context, cfg config.Config, store *storage.Store, watcher *storage.Watcher, tasks *queue.Queue, options DevOptions, log *slog.Logger) (http.Handler, *web.Site, error) {
	return newHandler(ctx, cfg, store, watcher, tasks, nil, bounces.NewMetrics(nil), options, log)
}

// Monitoring is the monitoring handler of a process that is not ready.
func Monitoring() http.Handler {
	away := func(context.Context) error { return errors.New("away") }
	return app.Monitoring(prometheus.NewRegistry(), away, slog.New(slog.DiscardHandler))
}

// Registries are the metrics registries of the two programs.
func Registries(store *storage.Store, log *slog.Logger) (api, worker *prometheus.Registry) {
	api, worker = app.NewRegistry(store, log), app.NewRegistry(store, log)
	newHTTPMetrics(api)
	bounces.NewMetrics(api)
	jobs.NewMetrics(worker)
	for _, registry := range []*prometheus.Registry{api, worker} {
		registry.MustRegister(app.NewRedisGauge(func() bool { return true }))
	}
	return api, worker
}

// Counting is a handler whose requests are counted like those of the API.
func Counting(reg prometheus.Registerer, routes func(gin.IRouter)) http.Handler {
	engine := httpapi.NewEngine()
	engine.Use(newHTTPMetrics(reg).count)
	routes(engine)
	return engine
}
