package sanitize_test

import (
	"net/url"
	"strings"
	"testing"

	"rollcall/web/sanitize"
)

// FuzzOwnPath: signing in never redirects to another site.
func FuzzOwnPath(f *testing.F) {
	for _, seed := range []string{"/admin/users", "//evil.example/admin/", "/admin/../..//evil.example", "/\\evil.example", "/admin/\\evil", "https://evil.example/admin/", "/admin/\r\nX: y", "javascript:alert(1)", "/admin/%2f%2fevil"} {
		f.Add(seed)
	}
	base, _ := url.Parse("https://rollcall.example.com/signin")
	f.Fuzz(func(t *testing.T, next string) {
		path := sanitize.LocalPath(next)
		if path == "" {
			return
		}
		u, err := url.Parse(path)
		if err != nil || base.ResolveReference(u).Host != base.Host || !strings.HasPrefix(path, "/admin/") || strings.ContainsAny(path, "\\\r\n\t") {
			t.Errorf("%q leads to %q", next, path)
		}
	})
}

// FuzzMailPage: every mail becomes a page whose policy remains one directive.
func FuzzMailPage(f *testing.F) {
	for _, seed := range []string{"", "<p style=a:b>x", "<style>a{}</style><a href=x target=_top>", "<svg><style><p style=x>", "<title><style>", "<p style='x}</style><script>'>", "<template><p style=x></template>", "<noscript><p style=x>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		page, styles, err := sanitize.MailPage(document)
		if err != nil {
			return
		}
		if strings.Contains(styles, "unsafe") || strings.ContainsAny(styles, ";\r\n") {
			t.Errorf("styles %q", styles)
		}
		if again, _, err := sanitize.MailPage(string(page)); err != nil || len(again) == 0 {
			t.Errorf("the page %q is not read again: %v", page, err)
		}
	})
}
