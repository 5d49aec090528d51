package app

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"rollcall/config"
	"rollcall/tracing"
)

// tracesLast is how long a process that stops tries to send its last spans.
const tracesLast = 2 * time.Second

// openTracer begins to trace, where the environment says to where; stop sends
// the last spans.
func openTracer(ctx context.Context, cfg config.Config, service string, log *slog.Logger) (tracer trace.Tracer, stop func(), err error) {
	tracer, closeTracer, err := tracing.Open(ctx, tracing.Config{Endpoint: cfg.OTLPEndpoint, Service: service, Version: Version}, log)
	if err != nil {
		return nil, nil, err
	}
	return tracer, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tracesLast)
		defer cancel()
		if err := closeTracer(ctx); err != nil {
			log.Warn("traces could not be exported", "error", err)
		}
	}, nil
}

// traced makes each request a span: the root of a trace of its own, linked to
// the one the client speaks of. What is asked every few seconds by machines is
// left out.
func traced(tracer trace.Tracer) gin.HandlerFunc {
	return func(c *gin.Context) {
		route := routeOf(c)
		if route == "/healthz" || route == "/readyz" || strings.HasPrefix(route, "/assets/") {
			return
		}
		options := []trace.SpanStartOption{
			trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", methodOf(c)), attribute.String("http.route", route)),
		}
		if link, claimed := tracing.Caller(c.Request.Context(), c.GetHeader("Traceparent")); claimed {
			options = append(options, trace.WithLinks(link))
		}
		ctx, span := tracer.Start(c.Request.Context(), methodOf(c)+" "+route, options...)
		defer span.End()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
		code := c.Writer.Status()
		span.SetAttributes(attribute.Int("http.response.status_code", code))
		if code >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	}
}
