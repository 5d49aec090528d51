package upload_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"rollcall/httpapi/problem"
	"rollcall/httpapi/upload"
	"rollcall/internal/egress"
	"rollcall/roster"
	"rollcall/userfile"
	"rollcall/webhook"
)

// limit is the largest file, in bytes.
const limit = 1000

var rights = upload.Rights{AnySource: true, Webhooks: upload.Webhooks{CheckURL: func(url string) error { return webhook.CheckURL(url, egress.Addresses{}) }}}

// FuzzForm reads any body with any Content-Type. The result is a file within
// the limit and valid options, or a problem.
func FuzzForm(f *testing.F) {
	const head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\n"
	const option = "--b\r\nContent-Disposition: form-data; name=\"dry_run\"\r\n\r\ntrue\r\n"
	const multipart = "multipart/form-data; boundary=b"
	for _, seed := range [][2]string{
		{multipart, head + "email,name\r\n--b--\r\n"}, {multipart, option + head + "x\r\n" + strings.Replace(option, "dry_run", "mapping", 1) + "--b--"},
		{multipart, head + strings.Repeat("x", limit+1) + "\r\n--b--"}, {multipart, head + "x"}, {multipart, "--b--"}, {multipart, ""},
		{"multipart/form-data; boundary=\"\"", head}, {"multipart/form-data; boundary=" + strings.Repeat("b", 80), head},
		{multipart, "--b\r\nContent-Disposition: form-data; name=file; filename*=UTF-8''%0d%0a%2e%2e%2f%00\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=3D=\r\n=zz\r\n--b--"},
	} {
		f.Add(seed[0], []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, mediaType string, body []byte) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header["Content-Type"] = []string{mediaType}
		file, name, o, err := upload.ReadForm(httptest.NewRecorder(), r, limit, rights)
		if err != nil {
			if _, ok := errors.AsType[*problem.Problem](err); !ok {
				t.Fatalf("an error that is no problem: %v", err)
			}
			return
		}
		if len(file) > limit {
			t.Errorf("a file of %d bytes", len(file))
		}
		if name == "" || len(name) > upload.MaxFilename || !utf8.ValidString(name) || strings.ContainsAny(name, `/\`) ||
			strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
			t.Errorf("a file named %q", name)
		}
		obeyed(t, o)
	})
}

// FuzzOptions reads any query; mapping, the one option with a syntax of its own,
// gets most of the seeds.
func FuzzOptions(f *testing.F) {
	for _, mapping := range []string{
		`{"email": "E-mail"}`, `{"email": "a", "name": "a"}`, `{"email": ""}`, `{"nobody": "x"}`, `{"email": "\u0000"}`, `{"email": 1}`, `[]`, `null`,
		`{"email": "a", "email": "b"}`, `{"email"`, `{"EMAIL": "x"}`, strings.Repeat(`{"a":`, 1000), `{"email": "\ud800"}`,
		`{"name": ["First", "Last"]}`, `{"name": []}`, `{"name": ["a", "a"]}`, `{"email": ["a", "b"]}`, `{"name": "a\u001fb"}`, `{"name": null}`,
	} {
		f.Add("mapping=" + url.QueryEscape(mapping))
	}
	f.Add("dryRun=true")
	f.Add("encoding=utf-16&delimiter=%09&on_duplicate=update&webhook_url=https://127.0.0.1/")
	f.Add("dry_run=true&dry_run=false;%zz")
	f.Fuzz(func(t *testing.T, query string) {
		const body = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\n\r\n--b--"
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		_, _, o, err := upload.ReadForm(httptest.NewRecorder(), r, limit, rights)
		if err != nil {
			if _, ok := errors.AsType[*problem.Problem](err); !ok {
				t.Fatalf("an error that is no problem: %v", err)
			}
			return
		}
		obeyed(t, o)
	})
}

// obeyed fails the test if invalid options, or ones that cannot be stored, were
// accepted.
func obeyed(t *testing.T, o roster.Options) {
	t.Helper()
	if err := userfile.CheckOptions(o); err != nil {
		t.Errorf("%+v: %v", o, err)
	}
	headers := map[string]bool{}
	for column, joined := range o.Mapping {
		for _, header := range roster.Headers(joined).List() {
			if strings.TrimSpace(header) == "" || headers[header] {
				t.Errorf("mapping %q", o.Mapping)
			}
			headers[header] = true
		}
		header := joined
		if !slices.Contains(roster.Columns[:], roster.Column(column)) || strings.TrimSpace(header) == "" || strings.ContainsRune(header, 0) {
			t.Errorf("mapping %q", o.Mapping)
		}
	}
	if _, err := json.Marshal(o); err != nil {
		t.Errorf("%+v: %v", o, err)
	}
	if o.WebhookURL != "" && webhook.CheckURL(o.WebhookURL, egress.Addresses{}) != nil {
		t.Errorf("webhook %q", o.WebhookURL)
	}
}
