package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/config"
	"rollcall/httpapi"
	"rollcall/jobs"
	"rollcall/storage"
	"rollcall/web"
)

// What the tests look at from outside.
var (
	NewServer = newServer
	OpenStore = openStore
	// ProcessWithin is Process with another time for the drain.
	ProcessWithin = process
)

// NewHandler is newHandler with nobody looking on.
func NewHandler(ctx context.Context, cfg config.Config, store *storage.Store, watcher *storage.Watcher, bell *jobs.Bell, extras Extras, log *slog.Logger) (http.Handler, *web.Site, error) {
	return newHandler(ctx, cfg, store, watcher, bell, nil, extras, log)
}

// Monitoring answers those who look after the process, which is not ready.
func Monitoring() http.Handler {
	away := func(context.Context) error { return errors.New("away") }
	return monitoring(prometheus.NewRegistry(), away, slog.New(slog.DiscardHandler))
}

// Registries are what the two programs register.
func Registries(store *storage.Store, log *slog.Logger) (api, worker *prometheus.Registry) {
	api, worker = newRegistry(store, log), newRegistry(store, log)
	newTraffic(api)
	jobs.NewMetrics(worker)
	return api, worker
}

// Counting is a handler whose requests are counted as those of the API are.
func Counting(reg prometheus.Registerer, routes func(gin.IRouter)) http.Handler {
	engine := httpapi.NewEngine()
	engine.Use(newTraffic(reg).count)
	routes(engine)
	return engine
}
