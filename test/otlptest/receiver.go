// Package otlptest is a receiver of OpenTelemetry traces for tests, by OTLP
// over HTTP on a loopback socket.
package otlptest

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span as it arrived.
type Span struct {
	Service           string
	Name              string
	Trace, ID, Parent string // in hex; Parent is "" for a root
	Links             []string
	Failed            bool
	Attributes        map[string]string // includes those of the process
	Raw               string            // everything about it, as text
}

// Receiver receives spans until the end of the test.
type Receiver struct {
	URL string

	mu      sync.Mutex
	spans   []Span
	headers []http.Header
}

// Start runs a receiver.
func Start(tb testing.TB) *Receiver {
	tb.Helper()
	r := &Receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if err := r.take(request); err != nil {
			tb.Errorf("receive traces: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	tb.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// Spans returns the spans received so far.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Headers returns the header of every request.
func (r *Receiver) Headers() []http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.headers)
}

func (r *Receiver) take(request *http.Request) error {
	if request.Method != http.MethodPost || request.URL.Path != "/v1/traces" {
		return fmt.Errorf("%s %s", request.Method, request.URL.Path)
	}
	var body io.Reader = request.Body
	if request.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(request.Body)
		if err != nil {
			return err
		}
		body = unpacked
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	var export collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &export); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.headers = append(r.headers, request.Header.Clone())
	for _, process := range export.ResourceSpans {
		about := attributes(process.Resource.GetAttributes())
		for _, scope := range process.ScopeSpans {
			for _, s := range scope.Spans {
				span := Span{
					Service: about["service.name"], Name: s.Name, Trace: hex.EncodeToString(s.TraceId),
					ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
					Failed: s.Status.GetCode() == 2, Attributes: attributes(s.Attributes), Raw: process.Resource.String() + s.String(),
				}
				for _, link := range s.Links {
					span.Links = append(span.Links, hex.EncodeToString(link.TraceId))
				}
				r.spans = append(r.spans, span)
			}
		}
	}
	return nil
}

func attributes(list []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, kv := range list {
		switch v := kv.Value.GetValue().(type) {
		case *common.AnyValue_StringValue:
			all[kv.Key] = v.StringValue
		default:
			all[kv.Key] = fmt.Sprint(kv.Value.GetIntValue())
		}
	}
	return all
}
