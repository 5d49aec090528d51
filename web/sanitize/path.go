// Package sanitize makes untrusted redirect paths and captured HTML mail safe
// to show.
package sanitize

import (
	"net/url"
	"strings"
)

// LocalPath returns path if it leads into the admin panel, else "": a link to
// the sign-in must not send users to another site afterwards.
func LocalPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.EscapedPath(), "/admin/") || strings.Contains(path, `\`) {
		return ""
	}
	return u.RequestURI()
}
