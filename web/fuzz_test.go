package web_test

import (
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"rollcall/web"
)

// FuzzOwnPath: after a sign-in nobody is led to another site.
func FuzzOwnPath(f *testing.F) {
	for _, seed := range []string{"/admin/users", "//evil.example/admin/", "/admin/../..//evil.example", "/\\evil.example", "/admin/\\evil", "https://evil.example/admin/", "/admin/\r\nX: y", "javascript:alert(1)", "/admin/%2f%2fevil"} {
		f.Add(seed)
	}
	base, _ := url.Parse("https://rollcall.example.com/signin")
	f.Fuzz(func(t *testing.T, next string) {
		path := web.OwnPath(next)
		if path == "" {
			return
		}
		u, err := url.Parse(path)
		if err != nil || base.ResolveReference(u).Host != base.Host || !strings.HasPrefix(path, "/admin/") || strings.ContainsAny(path, "\\\r\n\t") {
			t.Errorf("%q leads to %q", next, path)
		}
	})
}

// FuzzMailPage: any mail becomes a page without styles in attributes, whose
// links open elsewhere.
func FuzzMailPage(f *testing.F) {
	for _, seed := range []string{"", "<p style=a:b>x", "<style>a{}</style><a href=x target=_top>", "<svg><style><p style=x>", "<title><style>", "<p style='x}</style><script>'>", "<template><p style=x></template>", "<noscript><p style=x>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		page, styles, err := web.MailPage(document)
		if err != nil {
			return
		}
		if strings.Contains(styles, "unsafe") || strings.ContainsAny(styles, ";\r\n") {
			t.Errorf("styles %q", styles)
		}
		root, err := html.ParseWithOptions(strings.NewReader(string(page)), html.ParseOptionEnableScripting(false))
		if err != nil {
			t.Fatal(err)
		}
		for node := range root.Descendants() {
			if node.Type == html.ElementNode && node.Data == "a" && node.Namespace == "" && attribute(node, "target") != "_blank" {
				t.Errorf("a link opens in %q", attribute(node, "target"))
			}
		}
	})
}
