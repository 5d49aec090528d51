package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rollcall/apitypes"
	"rollcall/roster"
	"rollcall/storage"
)

// TestStoppedWebhooksAreShown: administrators see which receivers fall behind, and not
// what their URLs may hold as secrets.
func TestStoppedWebhooksAreShown(t *testing.T) {
	t.Parallel()
	b := newTestEnv(t).admin()
	const path = "/admin/settings/tokens"
	if p := b.get(path).want(http.StatusOK); strings.Contains(p.body, "Stopped webhooks") {
		t.Error("none has stopped")
	}
	by := storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "test"}}
	w, err := b.store.CreateWebhook(t.Context(), "https://crm.example.com/hook?key=s3cr3t", []string{apitypes.EventUsersChanged}, func(uuid.UUID) string { return "sealed" }, by)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.DB().ExecContext(t.Context(), `UPDATE webhooks SET disabled_at = now(), disabled_reason = 'failing' WHERE id = $1`, w.ID); err != nil {
		t.Fatal(err)
	}
	p := b.get(path).says("#stopped", "Stopped webhooks").says("section[aria-labelledby=stopped] .strong", "https://crm.example.com/hook").
		says("section[aria-labelledby=stopped] td[data-label=Reason]", "The receiver failed for a day. Once it works, redeliver the delivery that failed.")
	if strings.Contains(p.body, "s3cr3t") {
		t.Error("the query of the URL is shown")
	}
}
