// Package tracing follows one import over processes with OpenTelemetry: from
// the upload, which the API answers, to the last batch, which a worker commits.
// The span of the upload is kept with the import in PostgreSQL, as a W3C
// traceparent, and not in the task, which may get lost.
//
// No attribute holds anything personal: ids of imports, counts, row numbers,
// templates of routes.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope names this instrumentation.
const scope = "rollcall"

// Off traces nothing and costs nothing.
func Off() trace.Tracer { return noop.NewTracerProvider().Tracer(scope) }

// Config says where spans go.
type Config struct {
	Endpoint string // base URL of an OTLP receiver that speaks HTTP; "": tracing is off
	Service  string // unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say otherwise
	Version  string
}

// Open begins to export. Whatever else is to be set (headers, certificates,
// sampling, batches) the SDK reads from the standard OTEL_ variables itself.
// close sends what is left, until its context ends.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (_ trace.Tracer, close func(context.Context) error, err error) {
	if cfg.Endpoint == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return Off(), func(context.Context) error { return nil }, nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := os.Getenv(name); protocol != "" && protocol != "http/protobuf" {
			return nil, nil, fmt.Errorf("%s: only http/protobuf is spoken, on port 4318 of most receivers", name)
		}
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces could not be exported", "error", err) }))
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(cfg.Endpoint, "/")+"/v1/traces"))
	if err != nil {
		return nil, nil, fmt.Errorf("export traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", cfg.Service), attribute.String("service.version", cfg.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, nil, fmt.Errorf("describe this process to the receiver of traces (OTEL_RESOURCE_ATTRIBUTES): %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return provider.Tracer(scope), provider.Shutdown, nil
}

// Parent writes the span of ctx down as a W3C traceparent; "": there is none
// that is kept.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// Under returns ctx in which spans belong under the one that [Parent] wrote
// down, in whatever process that was. Of "" they belong under none.
func Under(ctx context.Context, parent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
}

// Caller is the span a request claims to belong under. Anybody may claim that,
// so it is to be linked to and no more: it decides neither about our trace ids
// nor about what is sampled.
func Caller(ctx context.Context, traceparent string) (trace.Link, bool) {
	claimed := trace.SpanContextFromContext(Under(context.WithoutCancel(ctx), traceparent))
	return trace.Link{SpanContext: claimed}, claimed.IsValid()
}
