package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"

	"rollcall/httpapi/problem"
	"rollcall/test/browsertest"
)

// TestDocsPageIsSelfContained: the page loads nothing from other sites, has no
// inline scripts or styles, and has an anchor for every problem type.
func TestDocsPageIsSelfContained(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	answer := h.do(call{method: "GET", path: "/docs", token: "-"})
	h.want(answer, 200)
	policy := answer.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'; script-src 'self'; ") || strings.Contains(policy, "http") {
		t.Errorf("policy %s", policy)
	}
	page, err := html.Parse(strings.NewReader(string(answer.body)))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for n := range page.Descendants() {
		if (n.Data == "script" || n.Data == "style") && n.FirstChild != nil {
			t.Errorf("the page has an inline %s", n.Data)
		}
		for _, a := range n.Attr {
			switch {
			case a.Key == "id" && ids[a.Val]:
				t.Errorf("two elements have the id %s", a.Val)
			case a.Key == "id":
				ids[a.Val] = true
			case (a.Key == "src" || a.Key == "href") && a.Val != "data:,":
				if !strings.HasPrefix(a.Val, "/") {
					t.Errorf("the page links to %s", a.Val)
					continue
				}
				h.want(h.do(call{method: "GET", path: a.Val, token: "-"}), 200)
			case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
				t.Errorf("%s has %s", n.Data, a.Key)
			}
		}
	}
	for _, code := range problem.Codes() {
		if !ids[string(code)] {
			t.Errorf("the page has no place for %s", code)
		}
	}
}

// TestDocsAssetsAreCompressedForThoseWhoAccept: and have the same content when
// decompressed.
func TestDocsAssetsAreCompressedForThoseWhoAccept(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for _, path := range []string{"/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"} {
		unpacked := h.do(call{method: "GET", path: path, token: "-"}) // by Go's client
		plain := h.do(call{method: "GET", path: path, token: "-", header: http.Header{"Accept-Encoding": {"identity"}}})
		packed := h.do(call{method: "GET", path: path, token: "-", header: http.Header{"Accept-Encoding": {"gzip"}}})
		if string(unpacked.body) != string(plain.body) || plain.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d bytes plain, %d unpacked", path, len(plain.body), len(unpacked.body))
		}
		if packed.header.Get("Content-Encoding") != "gzip" || 3*len(packed.body) > len(plain.body) {
			t.Errorf("%s: %d bytes packed, %d plain", path, len(packed.body), len(plain.body))
		}
	}
	h.want(h.do(call{method: "GET", path: "/docs/nothing.js", token: "-"}), 404)
}

// TestDocsPageInChromium: the viewer shows the operations and sends requests, in
// light and dark, within the page's policy: what the browser blocks fails the
// test.
func TestDocsPageInChromium(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	b := browsertest.NewTab(t, h.url, true)
	b.Do(browsertest.Scheme("light"))
	b.Open("/docs?url=/nothing&configUrl=/nothing#purged") // the viewer reads no settings from the query
	b.Awaits("#operations-imports-startImport .opblock-summary-description", "Upload a file")
	if got := evaluate[bool](t, b.Ctx, "document.querySelector('tr:target').id === 'purged' && scrollY > 0"); !got {
		t.Error("the page does not show the problem in its fragment")
	}
	operations := len(operationIDs(described(t)))
	if shown := evaluate[int](t, b.Ctx, "document.querySelectorAll('.opblock:not(.webhooks *)').length"); shown != operations {
		t.Errorf("%d operations are shown, %d described", shown, operations)
	}
	for scheme, dark := range map[string]bool{"light": false, "dark": true} {
		b.Do(browsertest.Scheme(scheme))
		const isDark = `(() => {
			const sum = (property) => getComputedStyle(document.querySelector(".swagger-ui .info .title"))[property].match(/\d+/g).slice(0, 3).reduce((n, v) => n + +v, 0);
			const background = getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((n, v) => n + +v, 0);
			return sum("color") > background;
		})()`
		if got := evaluate[bool](t, b.Ctx, isDark); got != dark {
			t.Errorf("%s: light text on a dark page: %t", scheme, got)
		}
	}
	b.Press(".btn.authorize", ".auth-container input")
	b.Enter(".auth-container input", adminToken)
	b.Press(".auth-container .authorize", ".auth-container .btn-done")
	b.Press(".auth-container .btn-done", ".btn.authorize.locked")
	const listImports = "#operations-imports-listImports"
	b.Press(listImports+" .opblock-summary-control", listImports+" .execute")
	b.Press(listImports+" .execute", listImports+" .live-responses-table .response")
	if got := b.Text(listImports + " .live-responses-table .response"); !strings.HasPrefix(got, "200") || !strings.Contains(got, `"items": []`) {
		t.Errorf("trying an operation shows %s", got)
	}
	const startImport = "#operations-imports-startImport"
	b.Press(startImport+" .opblock-summary-control", startImport+" input[type=file]")
	if stored := evaluate[int](t, b.Ctx, "localStorage.length + sessionStorage.length"); stored != 0 {
		t.Errorf("the page stores %d values in the browser", stored)
	}
}

func evaluate[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// operationIDs are the ids of all operations.
func operationIDs(c *contract) (ids []string) {
	for _, item := range c.doc.Paths.Map() {
		for _, o := range item.Operations() {
			ids = append(ids, o.OperationID)
		}
	}
	return ids
}
