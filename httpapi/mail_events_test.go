package httpapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"rollcall/auth"
	"rollcall/httpapi"
	"rollcall/jobs/bounces"
	"rollcall/mail/bounce/events"
	"rollcall/storage"
)

const postmarkPassword = "a-password-for-postmark-of-32-characters"

func basic(user, password string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}, "Content-Type": {"application/json"}}
}

// TestMailEvents: what a provider reports is recorded, once it has shown who it is.
func TestMailEvents(t *testing.T) {
	t.Parallel()
	signer, err := auth.NewSigner(strings.Repeat("s", 32))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := newTestEnv(t, func(d *httpapi.Deps) {
		d.MailEvents = httpapi.MailEvents{
			Recorder: bounces.NewRecorder(d.Store, signer, bounces.NewMetrics(nil)), SendGrid: &key.PublicKey, PostmarkPassword: postmarkPassword,
			SES: events.NewSNS([]string{"arn:aws:sns:eu-west-1:123456789012:bounces"}, func(context.Context, string) ([]byte, error) {
				return nil, errors.New("Amazon is away")
			}),
		}
	})
	id, err := h.store.CreateUser(t.Context(), storage.NewUser{Email: "ada@example.com", EmailKey: "ada@example.com", Name: "Ada", Role: "user"}, 1e12, operator)
	if err != nil {
		t.Fatal(err)
	}
	user := "/api/admin/users/" + id.String()
	status := func(want string) {
		t.Helper()
		if a := h.do(call{method: "GET", path: user}); !strings.Contains(string(a.body), want) {
			t.Errorf("%s, want %s", a.body, want)
		}
	}
	postmark := func(token string) string {
		return `{"RecordType":"Bounce","Type":"HardBounce","Details":"550 5.1.1 no such user","Metadata":{"rollcall_token":"` + token + `"}}`
	}
	signed := func(body string) http.Header {
		const at = "1796083200"
		sum := sha256.Sum256([]byte(at + body))
		raw, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return http.Header{events.SendGridSignatureHeader: {base64.StdEncoding.EncodeToString(raw)}, events.SendGridTimestampHeader: {at}, "Content-Type": {"application/json"}}
	}
	delayed := `[{"event":"deferred","response":"451 later","rollcall_token":"` + signer.BounceToken(id, 1) + `"}]`
	sns := `{"Type":"Notification","TopicArn":"arn:aws:sns:eu-west-1:123456789012:bounces","SignatureVersion":"1","Signature":"AAAA",` +
		`"SigningCertURL":"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem"}`
	for _, c := range []struct {
		provider, body string
		header         http.Header
		want           int
	}{
		{"postmark", postmark(signer.BounceToken(id, 1)), basic("rollcall", "a-password"), 403},
		{"postmark", postmark(signer.BounceToken(id, 1)), basic("admin", postmarkPassword), 403},
		{"postmark", postmark(signer.BounceToken(id, 1)), http.Header{"Authorization": {"Bearer " + adminToken}}, 403},
		{"postmark", "{", basic("rollcall", postmarkPassword), 400},
		{"postmark", postmark(signer.BounceToken(id, 1)) + strings.Repeat(" ", 3<<20), basic("rollcall", postmarkPassword), 400},
		{"postmark", postmark(signer.BounceToken(id, 2)), basic("rollcall", postmarkPassword), 204},
		{"postmark", postmark(strings.Repeat("a", 48)), basic("rollcall", postmarkPassword), 204},
		{"sendgrid", delayed, signed(delayed + " "), 403},
		{"sendgrid", delayed, nil, 403},
		{"sendgrid", delayed, signed(delayed), 204},
		{"ses", "{}", nil, 403},
		{"ses", sns, http.Header{"Content-Type": {"text/plain; charset=UTF-8"}}, 503},
	} {
		a := h.do(call{method: "POST", path: "/hooks/mail/" + c.provider, token: "-", header: c.header, body: strings.NewReader(c.body)})
		if a.status != c.want {
			t.Errorf("%s %.90s: %d %s, want %d", c.provider, c.body, a.status, a.body, c.want)
		}
	}
	status(`"status":"sent"`)
	status(`"last_error":"451 later"`)
	for range 2 {
		if a := h.do(call{method: "POST", path: "/hooks/mail/postmark", token: "-", header: basic("rollcall", postmarkPassword), body: strings.NewReader(postmark(signer.BounceToken(id, 1)))}); a.status != 204 {
			t.Errorf("%d %s", a.status, a.body)
		}
		status(`"status":"bounced"`)
	}
	status(`"last_error":"550 5.1.1 no such user"`)
	for path, want := range map[string]string{"bounced": id.String(), "failed": `"items":[]`} {
		if a := h.do(call{method: "GET", path: "/api/admin/users?invitation=" + path}); !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	for _, c := range []struct{ query, want string }{{"", `{"resent":0}`}, {"?bounced=yes", "invalid_parameter"}, {"?bounced=true", `{"resent":1}`}} {
		if a := h.do(call{method: "POST", path: "/api/admin/users/invitations/retry" + c.query}); !strings.Contains(string(a.body), c.want) {
			t.Errorf("retry%s: %s", c.query, a.body)
		}
	}
	status(`"status":"pending"`)
	if strings.Contains(h.log.String(), "ada@example.com") || strings.Contains(h.log.String(), signer.BounceToken(id, 1)) {
		t.Errorf("the log has an address or a token:\n%s", h.log)
	}
}

// TestMailEventsAreOff: a provider that is not configured is unknown.
func TestMailEventsAreOff(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for _, provider := range []string{"ses", "sendgrid", "postmark"} {
		if a := h.do(call{method: "POST", path: "/hooks/mail/" + provider, token: "-", header: basic("rollcall", ""), body: strings.NewReader("{}")}); a.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", provider, a.status, a.body)
		}
	}
}
