package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"rollcall/storage"
	"rollcall/test/smtptest"
)

// TestOAuthSettings: a client secret is write-only, sealed, kept only for the same
// client and endpoint, and a test mail is sent with its token.
func TestOAuthSettings(t *testing.T) {
	t.Parallel()
	h := mailHouse(t, nil)
	const secret = "a client secret that stays secret"
	var refuse atomic.Bool
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if refuse.Load() {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		fmt.Fprint(w, `{"access_token":"token-1","token_type":"Bearer"}`)
	}))
	t.Cleanup(tokens.Close)
	server := smtptest.Start(t, smtptest.Config{Auth: "XOAUTH2", Bearer: func(user, token string) bool { return user == "hr@example.com" && token == "token-1" }})
	in := members{
		"host": smtptest.Host, "port": server.Port(), "security": "none", "user": "hr@example.com", "from": "hr@example.com",
		"auth": "oauth2", "token_url": tokens.URL, "client_id": "client-1", "client_secret": secret, "scope": "mail.send",
	}
	if a := h.sendJSON("PUT", emailPath, in); a.status != http.StatusOK || strings.Contains(string(a.body), secret) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a := h.do(call{method: "GET", path: emailPath})
	var got map[string]any
	if err := json.Unmarshal(a.body, &got); err != nil {
		t.Fatal(err)
	}
	if got["auth"] != "oauth2" || got["client_secret_set"] != true || got["token_url"] != tokens.URL || got["client_id"] != "client-1" || strings.Contains(string(a.body), secret) {
		t.Errorf("read back: %s", a.body)
	}
	stored, err := h.store.EmailSettings(t.Context())
	if err != nil || stored.SealedClientSecret == "" || strings.Contains(stored.SealedClientSecret, secret) {
		t.Fatalf("%+v, %v", stored, err)
	}
	if opened, err := sealer(t).Open(stored.SealedClientSecret, storage.SMTPClientSecretContext); err != nil || opened != secret {
		t.Errorf("opened %q, %v", opened, err)
	}
	if a := h.sendJSON("POST", testPath, members{"to": "ada@example.org"}); !strings.Contains(string(a.body), `"ok":true`) || server.Accepted() != 1 {
		t.Errorf("test mail: %s", a.body)
	}

	// What GET returns can be sent back; any other client needs its own secret.
	if a := h.sendJSON("PUT", emailPath, got); a.status != http.StatusOK {
		t.Errorf("sent back: %d %s", a.status, a.body)
	}
	for _, member := range []string{"token_url", "client_id", "scope", "user"} {
		other := members{}
		for k, v := range in {
			other[k] = v
		}
		delete(other, "client_secret")
		other[member] = map[string]string{"token_url": "https://elsewhere.example/token", "user": "it@example.com"}[member] + map[string]string{"client_id": "client-2", "scope": "x"}[member]
		if a := h.sendJSON("PUT", emailPath, other); a.status != http.StatusBadRequest || !strings.Contains(string(a.body), "client_secret") {
			t.Errorf("another %s: %d %s", member, a.status, a.body)
		}
	}
	in["token_url"] = "http://login.example.com/token"
	if a := h.sendJSON("PUT", emailPath, in); a.status != http.StatusBadRequest || !strings.Contains(string(a.body), "token_url") {
		t.Errorf("without TLS: %d %s", a.status, a.body)
	}

	// The test names the step that failed, and what to do.
	refuse.Store(true)
	in["token_url"], in["client_id"] = tokens.URL, "client-3"
	if a := h.sendJSON("POST", testPath, members{"to": "ada@example.org", "settings": in}); !strings.Contains(string(a.body), `"stage":"token"`) || !strings.Contains(string(a.body), "client secret") || strings.Contains(string(a.body), secret) {
		t.Errorf("refused: %s", a.body)
	}
}
