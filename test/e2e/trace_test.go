package e2e_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/test/otlptest"
	"rollcall/test/programtest"
	"rollcall/test/redistest"
)

// TestOneTraceFromUploadToLastBatch: the API and the workers report an import
// in one trace, though its task was lost in Redis, and without personal data.
func TestOneTraceFromUploadToLastBatch(t *testing.T) {
	t.Parallel()
	receiver, redis := otlptest.Start(t), redistest.Start(t)
	h := newTestEnv(t, redis.URL(), "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL, "OTEL_BSP_SCHEDULE_DELAY=100")
	api := h.startAPI()
	const outside = "0af7651916cd43dd8448eb211c80319c"
	var i imported
	h.post("email,name\nperson-one@example.com,Person One\nperson-two@example.com,Person Two\nbad,Person Three\n",
		[]string{"Prefer", "respond-async", "Traceparent", "00-" + outside + "-b7ad6b7169203331-01"}).read(&i)
	redis.Stop() // and with it the task
	redis.Restart()
	worker := h.startWorker()
	h.until(i.ID, 30*time.Second, mailed)
	worker.Stop()
	api.Stop()

	byName := map[string][]otlptest.Span{}
	var upload otlptest.Span
	for _, s := range receiver.Spans() {
		for _, personal := range []string{"person-", "Person ", "example.com", "users.csv", programtest.Token} {
			if strings.Contains(s.Raw, personal) {
				t.Errorf("a span holds %q: %s", personal, s.Raw)
			}
		}
		if s.Name == "POST /api/admin/users/import" {
			upload = s
		}
		byName[s.Service+" "+s.Name] = append(byName[s.Service+" "+s.Name], s)
	}
	if upload.Trace == "" || upload.Service != "rollcall-api" || upload.Parent != "" || upload.Attributes["http.response.status_code"] != "202" {
		t.Fatalf("the upload: %+v", upload)
	}
	if upload.Trace == outside || len(upload.Links) != 1 || upload.Links[0] != outside {
		t.Errorf("the client's trace is to be linked to, not joined: %+v", upload)
	}
	slices := byName["rollcall-worker import slice"]
	if len(slices) == 0 {
		t.Fatal("no worker told of a slice")
	}
	bySpan := map[string]bool{}
	for _, s := range slices {
		if s.Trace != upload.Trace || s.Parent != upload.ID || s.Attributes["rollcall.import_id"] != i.ID {
			t.Errorf("a slice is not under the upload: %+v", s)
		}
		bySpan[s.ID] = true
	}
	if last := slices[len(slices)-1]; last.Attributes["rollcall.import_status"] != "completed" {
		t.Errorf("the last slice: %+v", last)
	}
	for _, name := range []string{"check batch", "apply batch"} {
		batches := byName["rollcall-worker "+name]
		if len(batches) == 0 {
			t.Errorf("no span named %s", name)
		}
		for _, b := range batches {
			if b.Trace != upload.Trace || !bySpan[b.Parent] || b.Attributes["rollcall.rows"] != "3" {
				t.Errorf("%s: %+v", name, b)
			}
		}
	}
}
