package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/webhook"
)

// TestWebhook: an integration names its URL with an upload, keeps the secret
// from the response, fails once, and can then verify the delivery.
func TestWebhook(t *testing.T) {
	t.Parallel()
	type delivery struct {
		header http.Header
		body   []byte
	}
	deliveries := make(chan delivery, 10)
	first := true // requests come one after the other
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if first {
			first = false
			w.WriteHeader(http.StatusInternalServerError)
		}
		deliveries <- delivery{r.Header, body}
	}))
	defer receiver.Close()
	h := newTestEnv(t, smallRedis(t), "ROLLCALL_WEBHOOK_ALLOW_PRIVATE=127.0.0.0/8")
	h.startAPI()
	worker := h.startWorker()
	a := h.post(people, nil, "webhook_url", receiver.URL+"/imports")
	var i struct {
		ID      string
		Webhook struct{ ID, Secret string }
	}
	a.read(&i)
	if a.status != 200 || i.Webhook.Secret == "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	var ids []string
	for range 2 {
		select {
		case d := <-deliveries:
			seconds, err := strconv.ParseInt(d.header.Get("Webhook-Timestamp"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			want, err := webhook.Sign(i.Webhook.Secret, d.header.Get("Webhook-Id"), time.Unix(seconds, 0), d.body)
			if err != nil || d.header.Get("Webhook-Signature") != want {
				t.Errorf("signature %q, want %q (%v)", d.header.Get("Webhook-Signature"), want, err)
			}
			var event struct {
				Type string
				Data imported
			}
			answer{body: d.body}.read(&event)
			if event.Type != "import.completed" || event.Data.ID != i.ID || event.Data.Imported != 3 || event.Data.Failed != 2 || event.Data.Errors != nil {
				t.Errorf("%s", d.body)
			}
			ids = append(ids, d.header.Get("Webhook-Id"))
		case <-time.After(30 * time.Second):
			t.Fatalf("%d deliveries\n%s", len(ids), worker.Tail())
		}
	}
	if ids[0] != ids[1] {
		t.Errorf("the attempts have the ids %v", ids)
	}
	if code, _ := worker.Stop(); code != 0 {
		t.Errorf("the worker ended with %d", code)
	}
	log := h.ask("GET", "/api/admin/webhooks/"+i.Webhook.ID+"/deliveries", nil)
	if !strings.Contains(string(log.body), `"status":500`) || !strings.Contains(string(log.body), `"status":"delivered"`) {
		t.Errorf("%s", log.body)
	}
	if strings.Contains(worker.Output(), "whsec_") {
		t.Error("a secret is in the log")
	}
}
