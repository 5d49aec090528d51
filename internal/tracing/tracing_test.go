package tracing_test

import (
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"rollcall/internal/tracing"
	"rollcall/test/otlptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTraceGoesOnElsewhere: a traceparent stored by one process is the parent
// of spans in another.
func TestTraceGoesOnElsewhere(t *testing.T) {
	receiver := otlptest.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=abc")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	var written string
	for _, service := range []string{"first", "second"} {
		tracer, stop, err := tracing.Open(t.Context(), tracing.Config{Endpoint: receiver.URL, Service: service, Version: "1.2.3"}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, span := tracer.Start(tracing.Under(t.Context(), written), "work of "+service, trace.WithAttributes(attribute.Int("n", 7)))
		written = tracing.Parent(ctx)
		span.End()
		if err := stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	spans := receiver.Spans()
	if len(spans) != 2 {
		t.Fatalf("%d spans arrived, want 2", len(spans))
	}
	first, second := spans[0], spans[1]
	if first.Service != "first" || first.Name != "work of first" || first.Parent != "" || first.Attributes["n"] != "7" || !strings.Contains(first.Raw, "1.2.3") {
		t.Errorf("%+v", first)
	}
	if second.Service != "second" || second.Trace != first.Trace || second.Parent != first.ID || !strings.Contains(second.Raw, "deployment.environment.name") {
		t.Errorf("%+v does not go on from %+v", second, first)
	}
	if got := receiver.Headers()[0].Get("X-Key"); got != "abc" {
		t.Errorf("OTEL_EXPORTER_OTLP_HEADERS: %q", got)
	}
}

// TestOff: without an endpoint, or with the SDK disabled, there is no span and
// no cost.
func TestOff(t *testing.T) {
	for name, set := range map[string]func(*testing.T) string{
		"no endpoint":          func(*testing.T) string { return "" },
		"OTEL_SDK_DISABLED":    func(t *testing.T) string { t.Setenv("OTEL_SDK_DISABLED", "true"); return "http://127.0.0.1:1" },
		"OTEL_TRACES_EXPORTER": func(t *testing.T) string { t.Setenv("OTEL_TRACES_EXPORTER", "none"); return "http://127.0.0.1:1" },
		"OTEL_TRACES_SAMPLER":  func(t *testing.T) string { t.Setenv("OTEL_TRACES_SAMPLER", "always_off"); return "http://127.0.0.1:1" },
	} {
		t.Run(name, func(t *testing.T) {
			tracer, stop, err := tracing.Open(t.Context(), tracing.Config{Endpoint: set(t)}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := stop(t.Context()); err != nil {
					t.Error(err)
				}
			}()
			ctx, span := tracer.Start(t.Context(), "work")
			span.End()
			if got := tracing.Parent(ctx); got != "" {
				t.Errorf("a span %s is kept", got)
			}
			if name != "no endpoint" {
				return
			}
			background := t.Context()
			if n := testing.AllocsPerRun(100, func() {
				_, span := tracer.Start(background, "work")
				span.End()
			}); n > 2 {
				t.Errorf("%v allocations a span", n)
			}
		})
	}
}

func TestOtherProtocolsAreRefused(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	if _, _, err := tracing.Open(t.Context(), tracing.Config{Endpoint: "http://127.0.0.1:1"}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "http/protobuf") {
		t.Errorf("%v", err)
	}
}

// TestCallerIsNotBelieved: a traceparent from outside is only linked to.
func TestCallerIsNotBelieved(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	if link, ok := tracing.Caller(t.Context(), "00-"+id+"-b7ad6b7169203331-01"); !ok || link.SpanContext.TraceID().String() != id {
		t.Errorf("%v, %v", link, ok)
	}
	for _, nonsense := range []string{"", "00-" + id, "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", "person@example.com"} {
		if link, ok := tracing.Caller(t.Context(), nonsense); ok {
			t.Errorf("%q: %v", nonsense, link)
		}
	}
}
