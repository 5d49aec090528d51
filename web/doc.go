// Package web serves the pages: sign-in, set-password links, the admin panel
// and, where there is one, the captured mailbox.
//
// Pages are rendered on the server from typed views and embedded templates and
// work without JavaScript; there is none. A handler returns an error and the
// table in failure.go turns it into a page. The route table is in routes.go.
//
// What changes something and relies on the session cookie is refused when it
// comes from another origin (net/http.CrossOriginProtection). Set-password
// links rely on no cookie: whoever knows the link may use it, once.
package web
