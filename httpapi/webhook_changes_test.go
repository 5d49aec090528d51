package httpapi_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"rollcall/apitypes"
)

// TestWebhookForChangesOfUsers: who may register one, what it is shown as, and what it
// gets.
func TestWebhookForChangesOfUsers(t *testing.T) {
	t.Parallel()
	h, _ := newHookedHouse(t)
	const body = `{"url": "https://hr.example.com/users", "events": ["users.changed"]}`
	h.wantProblem(h.send("POST", webhooksPath, h.token("imports"), body), 403, "insufficient_scope")
	for _, events := range []string{`[]`, `["users.created"]`, `["users.changed", "users.changed"]`, `"users.changed"`} {
		h.wantProblem(h.send("POST", webhooksPath, "", `{"url": "https://hr.example.com/users", "events": `+events+`}`), 400, "invalid_parameter")
	}
	type webhook struct {
		ID, Secret string
		Events     []string
		DisabledAt *string `json:"disabled_at"`
	}
	a := h.send("POST", webhooksPath, "", body)
	h.want(a, 201)
	w := as[webhook](t, a)
	if w.Secret == "" || !slices.Equal(w.Events, []string{"users.changed"}) || w.DisabledAt != nil {
		t.Errorf("%s", a.body)
	}
	path := webhooksPath + "/" + w.ID
	if got := as[webhook](t, h.get(path)); got.Secret != "" || !slices.Equal(got.Events, w.Events) {
		t.Errorf("%+v", got)
	}
	plain := as[webhook](t, h.send("POST", webhooksPath, "", `{"url": "https://hr.example.com/imports"}`))
	if !slices.Equal(plain.Events, apitypes.ImportEvents()) {
		t.Errorf("%+v", plain)
	}

	h.created(`{"email": "anna@example.com", "name": "Anna"}`)
	if _, err := h.store.PlanChangeDeliveries(t.Context()); err != nil {
		t.Fatal(err)
	}
	deliveries := as[listBody[struct {
		Event    string
		ImportID *string `json:"import_id"`
	}]](t, h.get(path+"/deliveries")).Items
	if len(deliveries) != 1 || deliveries[0].Event != "users.changed" || deliveries[0].ImportID != nil {
		t.Fatalf("%+v", deliveries)
	}
	claimed, err := h.store.ClaimDeliveries(t.Context(), 10, 60e9)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("%+v, %v", claimed, err)
	}
	entries, next, err := h.store.DeliveredChanges(t.Context(), claimed[0])
	if err != nil {
		t.Fatal(err)
	}
	sent, err := apitypes.ChangesEventBody(entries, next)
	if err != nil {
		t.Fatal(err)
	}
	var event map[string]any
	if err := json.Unmarshal(sent, &event); err != nil {
		t.Fatal(err)
	}
	schema := h.spec.doc.Webhooks["usersChanged"].Post.RequestBody.Value.Content["application/json"].Schema.Value
	if err := schema.VisitJSON(event, openapi3.EnableJSONSchema2020()); err != nil {
		t.Errorf("%s: %v", sent, err)
	}
	if got := as[changesBody](t, h.get(changesPath)); got.Next != next.String() || got.told() != "created" {
		t.Errorf("the webhook has %s, the feed %+v", sent, got)
	}
	h.want(h.do(call{method: "DELETE", path: path}), 204)
}
