package api

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"rollcall/internal/tracing"
)

// traced makes each request a span: the root of a trace of its own, linked to
// the trace that the client sent. Frequent requests from monitoring are left
// out.
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
