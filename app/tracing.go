package app

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"rollcall/config"
	"rollcall/internal/tracing"
)

// traceFlushTimeout is how long a stopping process tries to send its last
// spans.
const traceFlushTimeout = 2 * time.Second

// OpenTracer starts tracing if an endpoint is configured; stop sends the last
// spans.
func OpenTracer(ctx context.Context, cfg config.Config, service string, log *slog.Logger) (tracer trace.Tracer, stop func(), err error) {
	tracer, closeTracer, err := tracing.Open(ctx, tracing.Config{Endpoint: cfg.OTLPEndpoint, Service: service, Version: Version}, log)
	if err != nil {
		return nil, nil, err
	}
	return tracer, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), traceFlushTimeout)
		defer cancel()
		if err := closeTracer(ctx); err != nil {
			log.Warn("failed to export traces", "error", err)
		}
	}, nil
}
