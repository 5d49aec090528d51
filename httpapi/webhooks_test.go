package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/httpapi"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/webhook"
)

const webhooksPath = "/api/admin/webhooks"

type webhookBody struct {
	ID, URL, Secret string
	CreatedBy       string  `json:"created_by"`
	OldSecretUntil  *string `json:"old_secret_until"`
}

type deliveryBody struct {
	ID, Event, Status string
	ImportID          string  `json:"import_id"`
	DueAt             *string `json:"due_at"`
	Attempts          []struct {
		Outcome string
		Status  *int
		TookMS  int64 `json:"took_ms"`
	}
}

// newHookedHouse is a test environment that can store secrets.
func newHookedHouse(t *testing.T) (*testEnv, *auth.Sealer) {
	t.Helper()
	sealer, err := auth.NewSealer(strings.Repeat("s", auth.MinSecretLength))
	if err != nil {
		t.Fatal(err)
	}
	return newTestEnv(t, func(d *httpapi.Deps) { d.Sealer = sealer }), sealer
}

// send makes a request with a JSON body.
func (h *testEnv) send(method, path, token, body string) answer {
	h.Helper()
	return h.do(call{method: method, path: path, token: token, body: strings.NewReader(body), header: http.Header{"Content-Type": {"application/json"}}})
}

// opened is the secret that signs deliveries to a webhook.
func (h *testEnv) opened(sealer *auth.Sealer, id string) string {
	h.Helper()
	var sealed string
	if err := h.store.DB().QueryRowContext(h.Context(), `SELECT secret FROM webhooks WHERE id = $1`, id).Scan(&sealed); err != nil {
		h.Fatal(err)
	}
	secret, err := sealer.Open(sealed, webhook.SecretContext(uuid.MustParse(id)))
	if err != nil {
		h.Fatal(err)
	}
	return secret
}

func TestWebhookLife(t *testing.T) {
	t.Parallel()
	h, sealer := newHookedHouse(t)
	a := h.send("POST", webhooksPath, "", `{"url": " https://hr.example.com/hook "}`)
	h.want(a, 201)
	made := as[webhookBody](t, a)
	path := webhooksPath + "/" + made.ID
	if made.URL != "https://hr.example.com/hook" || made.OldSecretUntil != nil || a.header.Get("Location") != path || a.header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("%v %s", a.header, a.body)
	}
	if made.Secret == "" || made.Secret != h.opened(sealer, made.ID) {
		t.Error("the secret told is not the one kept")
	}
	h.wantProblem(h.send("POST", webhooksPath, "", `{"url": "https://hr.example.com/hook"}`), 409, "wrong_state")

	a = h.post(path + "/rotate")
	h.want(a, 200)
	fresh := as[webhookBody](t, a)
	if fresh.Secret == made.Secret || fresh.Secret != h.opened(sealer, made.ID) || fresh.OldSecretUntil == nil {
		t.Errorf("%s", a.body)
	}
	for _, a := range []answer{h.get(webhooksPath), h.get(path)} {
		h.want(a, 200)
		if strings.Contains(string(a.body), "whsec_") || !strings.Contains(string(a.body), made.ID) {
			t.Errorf("%s", a.body)
		}
	}
	h.want(h.do(call{method: "DELETE", path: path}), 204)
	for _, c := range []call{{method: "GET", path: path}, {method: "DELETE", path: path}, {method: "POST", path: path + "/rotate"}, {method: "GET", path: path + "/deliveries"}} {
		h.wantProblem(h.do(c), 404, "not_found")
	}
	for _, secret := range []string{made.Secret, fresh.Secret} {
		if strings.Contains(h.log.String(), secret) {
			t.Error("a secret is in the log")
		}
	}
}

func TestWebhookURLsThatAreRefused(t *testing.T) {
	t.Parallel()
	h, _ := newHookedHouse(t)
	for body, blames := range map[string]string{
		`{"url": "http://hr.example.com/"}`:          "url",
		`{"url": "https://10.0.0.1/"}`:               "url",
		`{"url": "https://169.254.169.254/latest/"}`: "url",
		`{"url": "https://a:b@hr.example.com/"}`:     "url",
		`{"url": ""}`:                                "url",
		`{}`:                                         "url",
		`{"url": 7}`:                                 "url",
	} {
		if p := h.wantProblem(h.send("POST", webhooksPath, "", body), 400, "invalid_parameter"); len(p.Errors) != 1 || p.Errors[0].Parameter != blames {
			t.Errorf("%s: %+v", body, p)
		}
	}
	if p := h.wantProblem(h.send("POST", webhooksPath, "", `{"ulr": "https://hr.example.com/"}`), 400, "invalid_parameter"); !strings.Contains(p.Detail, `"ulr"`) {
		t.Errorf("a misspelt member: %+v", p)
	}
	p := h.wantProblem(h.upload([]field{file("email,name\n"), {name: "webhook_url", value: "https://[::1]/"}}), 400, "invalid_parameter")
	if len(p.Errors) != 1 || p.Errors[0].Parameter != "webhook_url" {
		t.Errorf("%+v", p)
	}
}

// TestWebhookOfAnUpload: the first upload with a new URL creates the webhook
// and returns its secret, later ones do not; the end of each import is
// delivered.
func TestWebhookOfAnUpload(t *testing.T) {
	t.Parallel()
	h, sealer := newHookedHouse(t)
	url := field{name: "webhook_url", value: "https://hr.example.com/hook"}
	type withWebhook struct {
		ID      string
		Webhook *struct{ ID, Secret string }
	}
	a := h.upload([]field{file("email,name\nanna@example.com,Anna\n"), url}, "Idempotency-Key", "one")
	h.want(a, 200)
	first := as[withWebhook](t, a)
	if first.Webhook == nil || first.Webhook.Secret != h.opened(sealer, first.Webhook.ID) {
		t.Fatalf("%s", a.body)
	}
	again := as[withWebhook](t, h.upload([]field{file("email,name\nanna@example.com,Anna\n"), url}, "Idempotency-Key", "one"))
	second := as[withWebhook](t, h.upload([]field{file("email,name\nbo@example.com,Bo\n"), url}))
	if again.ID != first.ID || again.Webhook != nil || second.Webhook != nil {
		t.Errorf("%+v, %+v", again, second)
	}
	if view := h.get(importsPath + "/" + first.ID); strings.Contains(string(view.body), "whsec_") {
		t.Errorf("%s", view.body)
	}

	log := webhooksPath + "/" + first.Webhook.ID + "/deliveries"
	deliveries, _ := walk[deliveryBody](h, log+"?limit=1")
	if len(deliveries) != 2 || deliveries[0].ImportID != second.ID || deliveries[1].ImportID != first.ID {
		t.Fatalf("%+v", deliveries)
	}
	if d := deliveries[0]; d.Event != "import.completed" || d.Status != "pending" || d.DueAt == nil || len(d.Attempts) != 0 {
		t.Errorf("%+v", d)
	}
	h.checkEventBody(deliveries[0].ID)
	h.checkRedelivery(log, deliveries[1].ID)
}

// checkEventBody checks the body of a delivery against the API description.
func (h *testEnv) checkEventBody(delivery string) {
	h.Helper()
	var body []byte
	if err := h.store.DB().QueryRowContext(h.Context(), `SELECT body FROM webhook_deliveries WHERE id = $1`, delivery).Scan(&body); err != nil {
		h.Fatal(err)
	}
	var event map[string]any
	if err := json.Unmarshal(body, &event); err != nil {
		h.Fatal(err)
	}
	if err := h.spec.event.VisitJSON(event, openapi3.EnableJSONSchema2020()); err != nil {
		h.Errorf("%s: %v", body, err)
	}
}

// checkRedelivery completes a delivery as the dispatcher would, and requests it
// again.
func (h *testEnv) checkRedelivery(log, id string) {
	h.Helper()
	claimed, err := h.store.ClaimDeliveries(h.Context(), 1, time.Minute)
	if err != nil || len(claimed) != 1 || claimed[0].ID.String() != id {
		h.Fatalf("%+v, %v", claimed, err)
	}
	outcome := storage.DeliveryOutcome{
		ID: claimed[0].ID, Fence: claimed[0].Fence, Status: storage.DeliveryFailed,
		Attempt: storage.Attempt{Outcome: string(webhook.Gone), Status: 410, TookMS: 12},
	}
	if _, _, err := h.store.RecordDelivery(h.Context(), outcome); err != nil {
		h.Fatal(err)
	}
	d := as[listBody[deliveryBody]](h, h.get(log)).Items[1]
	if d.Status != "failed" || d.DueAt != nil || len(d.Attempts) != 1 || *d.Attempts[0].Status != 410 || d.Attempts[0].Outcome != "gone" || d.Attempts[0].TookMS != 12 {
		h.Errorf("%+v", d)
	}
	a := h.post(log + "/" + id + "/redeliver")
	h.want(a, 202)
	if d = as[deliveryBody](h, a); d.ID != id || d.Status != "pending" || d.DueAt == nil || len(d.Attempts) != 1 {
		h.Errorf("%s", a.body)
	}
	h.wantProblem(h.post(log+"/"+uuid.NewString()+"/redeliver"), 404, "not_found")
	h.wantProblem(h.post(log+"/x/redeliver"), 404, "not_found")
}

// TestWebhooksOfOthers: only a caller with full access can see or change the
// webhooks of others. Two callers may have the same URL, each with its own
// secret.
func TestWebhooksOfOthers(t *testing.T) {
	t.Parallel()
	h, _ := newHookedHouse(t)
	anna, bo, reader := h.token("imports"), h.token("imports"), h.token("imports:read")
	const body = `{"url": "https://hr.example.com/hook"}`
	hers := as[webhookBody](t, h.send("POST", webhooksPath, anna, body))
	his := as[webhookBody](t, h.send("POST", webhooksPath, bo, body))
	if hers.Secret == his.Secret {
		t.Error("two callers share a secret")
	}
	path := webhooksPath + "/" + hers.ID
	for _, c := range []call{
		{method: "GET", path: path}, {method: "DELETE", path: path}, {method: "POST", path: path + "/rotate"},
		{method: "GET", path: path + "/deliveries"}, {method: "POST", path: path + "/deliveries/" + uuid.NewString() + "/redeliver"},
	} {
		c.token = bo
		h.wantProblem(h.do(c), 404, "not_found")
		c.token = reader
		h.wantProblem(h.do(c), 403, "insufficient_scope")
	}
	for token, want := range map[string]string{anna: hers.ID, bo: his.ID, "": hers.ID + his.ID} {
		var got string
		for _, w := range as[listBody[webhookBody]](t, h.do(call{method: "GET", path: webhooksPath, token: token})).Items {
			got += w.ID
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	h.want(h.get(path), 200)
}

// TestTooManyWebhooks: more webhooks than allowed are rejected, also in an
// upload, which then stores nothing.
func TestTooManyWebhooks(t *testing.T) {
	t.Parallel()
	h, _ := newHookedHouse(t)
	if _, err := h.store.DB().ExecContext(t.Context(), `
		INSERT INTO webhooks (id, actor_kind, actor_id, actor, url, secret)
		SELECT gen_random_uuid(), $1, $2, '', n::text, '' FROM generate_series(1, $3) n`,
		roster.ActorConfig, uuid.Nil, storage.MaxWebhooks); err != nil {
		t.Fatal(err)
	}
	h.wantProblem(h.send("POST", webhooksPath, "", `{"url": "https://hr.example.com/hook"}`), 409, "wrong_state")
	h.wantProblem(h.upload([]field{file("email,name\n"), {name: "webhook_url", value: "https://hr.example.com/hook"}}), 409, "wrong_state")
	if imports := as[listBody[importBody]](t, h.get(importsPath)).Items; len(imports) != 0 {
		t.Errorf("%+v", imports)
	}
}
