package events_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/egress"
	"rollcall/mail/bounce"
	"rollcall/mail/bounce/events"
)

// token is in the form of a token.
var token = strings.Repeat("abcd2345", 6)

func report(verdict bounce.Verdict, reason string) []bounce.Report {
	return []bounce.Report{{Verdict: verdict, Reason: reason, Tokens: []string{token}}}
}

func TestReadPostmark(t *testing.T) {
	t.Parallel()
	event := func(record, kind, metadata string) string {
		return `{"RecordType":"` + record + `","Type":"` + kind + `","Details":"smtp;550 5.1.1 no such user","Description":"The server was unable to deliver",
			"Email":"ada@customer.example","MessageID":"883953f4","Metadata":{` + metadata + `},"DumpAvailable":true,"TypeCode":1}`
	}
	ours := `"rollcall_token":"` + token + `"`
	for name, c := range map[string]struct {
		body string
		want []bounce.Report
		err  error
	}{
		"hard":        {event("Bounce", "HardBounce", ours), report(bounce.Permanent, "smtp;550 5.1.1 no such user"), nil},
		"soft":        {event("Bounce", "SoftBounce", ours), report(bounce.Delayed, "smtp;550 5.1.1 no such user"), nil},
		"absence":     {event("Bounce", "AutoResponder", ours), nil, nil},
		"delivery":    {event("Delivery", "", ours), nil, nil},
		"not of ours": {event("Bounce", "HardBounce", `"order":"7"`), nil, nil},
		"a list":      {`[]`, nil, events.ErrMalformed},
		"no JSON":     {`RecordType=Bounce`, nil, events.ErrMalformed},
	} {
		got, err := events.ReadPostmark([]byte(c.body))
		if !errors.Is(err, c.err) || cmp.Diff(c.want, got) != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestReadSendGrid(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	key, err := events.ParseSendGridKey(base64.StdEncoding.EncodeToString(der))
	if err != nil {
		t.Fatal(err)
	}
	const at = "1796083200"
	body := []byte(`[
		{"event":"bounce","type":"bounce","status":"5.1.1","reason":"550 5.1.1 no such user","rollcall_token":"` + token + `","smtp-id":"<a@b>"},
		{"event":"bounce","type":"bounce","status":"4.2.2","reason":"mailbox full","rollcall_token":"` + token + `"},
		{"event":"dropped","reason":"Bounced Address","rollcall_token":"` + token + `"},
		{"event":"deferred","response":"451 try later","attempt":"3","rollcall_token":"` + token + `"},
		{"event":"delivered","rollcall_token":"` + token + `"},
		{"event":"bounce","status":"5.1.1","rollcall_token":7},
		{"event":"bounce","status":"5.1.1","reason":"of another program"}]`)
	sum := sha256.Sum256(append([]byte(at), body...))
	raw, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := base64.StdEncoding.EncodeToString(raw)
	got, err := events.ReadSendGrid(key, signature, at, body)
	want := []bounce.Report{
		report(bounce.Permanent, "550 5.1.1 no such user")[0], report(bounce.Delayed, "4.2.2 mailbox full")[0],
		report(bounce.Permanent, "Bounced Address")[0], report(bounce.Delayed, "451 try later")[0],
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, c := range map[string]struct{ signature, at, body string }{
		"no signature":      {"", at, string(body)},
		"another time":      {signature, at + "1", string(body)},
		"another body":      {signature, at, string(body) + " "},
		"another signature": {base64.StdEncoding.EncodeToString(sum[:]), at, string(body)},
	} {
		if _, err := events.ReadSendGrid(key, c.signature, c.at, []byte(c.body)); !errors.Is(err, events.ErrUnsigned) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "abc", base64.StdEncoding.EncodeToString([]byte("abc"))} {
		if _, err := events.ParseSendGridKey(text); err == nil {
			t.Errorf("%q is taken for a key", text)
		}
	}
}

// TestFetch: over HTTPS, to public addresses, without redirects, and not without end.
func TestFetch(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			w.Write([]byte("fetched"))
		case "/away":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/long":
			w.Write(make([]byte, 65<<10))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	inside, err := egress.ParseAddresses("127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	fetch := events.NewFetch(events.FetchConfig{Allowed: inside, Roots: roots})
	if got, err := fetch(t.Context(), server.URL+"/ok"); err != nil || string(got) != "fetched" {
		t.Errorf("%q, %v", got, err)
	}
	for _, path := range []string{"/away", "/long", "/none"} {
		if _, err := fetch(t.Context(), server.URL+path); !errors.Is(err, events.ErrFetch) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := fetch(t.Context(), strings.Replace(server.URL, "https:", "http:", 1)+"/ok"); !errors.Is(err, events.ErrFetch) {
		t.Errorf("without TLS: %v", err)
	}
	if _, err := events.NewFetch(events.FetchConfig{Roots: roots})(t.Context(), server.URL+"/ok"); !errors.Is(err, egress.ErrAddress) {
		t.Errorf("an address inside: %v", err)
	}
	if _, err := events.NewFetch(events.FetchConfig{Allowed: inside})(t.Context(), server.URL+"/ok"); err == nil {
		t.Error("an unknown certificate is trusted")
	}
}
