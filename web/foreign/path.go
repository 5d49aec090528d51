// Package foreign makes what others wrote fit for the pages: paths to go back
// to, and captured mail.
package foreign

import (
	"net/url"
	"strings"
)

// OwnPath returns path if it leads into the admin panel, else "": a link to the
// sign-in must not send people to another site afterwards.
func OwnPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.EscapedPath(), "/admin/") || strings.Contains(path, `\`) {
		return ""
	}
	return u.RequestURI()
}
