package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rollcall/storage"
)

// NewRegistry makes a registry with the metrics that both programs share: the
// process, its database connections, and the state in the database.
func NewRegistry(store *storage.Store, log *slog.Logger) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "rollcall_build_info", Help: "1, for the version that runs.", ConstLabels: prometheus.Labels{"version": Version},
	})
	build.Set(1)
	registry.MustRegister(build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewDBStatsCollector(store.DB(), "rollcall"),
		newDBMetrics(store, log))
	return registry
}

// NewRedisGauge makes the gauge that tells whether Redis takes writes.
func NewRedisGauge(available func() bool) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_redis_up", Help: "1 if Redis took a write of this process when it was last checked.",
	}, func() float64 {
		if available() {
			return 1
		}
		return 0
	})
}

// ServeMetrics serves /metrics, /healthz and /readyz on a separate address for
// monitoring. An empty address turns it off.
func ServeMetrics(ctx context.Context, address string, registry *prometheus.Registry, ready func(context.Context) error, log *slog.Logger) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics (ROLLCALL_METRICS_LISTEN): %w", err)
	}
	server := NewServer(Monitoring(registry, ready, log), log)
	go server.Serve(listener)
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
	}, nil
}

// Monitoring is the handler of [ServeMetrics].
func Monitoring(registry *prometheus.Registry, ready func(context.Context) error, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := ready(ctx); err != nil {
			log.Warn("not ready", "error", err)
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	return Secured(mux, false)
}
