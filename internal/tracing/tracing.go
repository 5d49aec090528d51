// Package tracing traces one import across processes with OpenTelemetry: from
// the upload, which the API handles, to the last batch, which a worker commits.
// The span of the upload is stored with the import in PostgreSQL, as a W3C
// traceparent, and not in the task, which may be lost.
//
// No attribute contains anything personal: only import ids, counts, row numbers
// and route templates.
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

// Off returns a tracer that does nothing.
func Off() trace.Tracer { return noop.NewTracerProvider().Tracer(scope) }

// Config says where spans are sent.
type Config struct {
	Endpoint string // base URL of an OTLP receiver that speaks HTTP; "": tracing is off
	Service  string // default; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override it
	Version  string
}

// Open starts exporting spans. The SDK reads all other settings (headers,
// certificates, sampling, batches) from the standard OTEL_ variables itself.
// close sends what is left, until its context ends.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (_ trace.Tracer, close func(context.Context) error, err error) {
	if cfg.Endpoint == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return Off(), func(context.Context) error { return nil }, nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := os.Getenv(name); protocol != "" && protocol != "http/protobuf" {
			return nil, nil, fmt.Errorf("%s: only http/protobuf is supported, port 4318 on most receivers", name)
		}
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("failed to export traces", "error", err) }))
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

// Parent returns the span of ctx as a W3C traceparent; "" if there is none or
// it is not sampled.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// Under returns ctx with the span from [Parent] as the parent of new spans,
// whichever process created it. With "" they have no parent.
func Under(ctx context.Context, parent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
}

// Caller returns the span that a request claims as its parent. Anyone may claim
// that, so link to it and no more: it determines neither our trace ids nor what
// is sampled.
func Caller(ctx context.Context, traceparent string) (trace.Link, bool) {
	claimed := trace.SpanContextFromContext(Under(context.WithoutCancel(ctx), traceparent))
	return trace.Link{SpanContext: claimed}, claimed.IsValid()
}
