// Package web serves the pages: sign-in, set-password links, the admin panel
// and, where there is one, the captured mailbox.
//
// Pages are rendered on the server from typed views and embedded templates and
// work without JavaScript; the scripts in assets make some of them livelier. A
// handler returns an error and the
// table in failure.go turns it into a page. The route table is in routes.go.
//
// What changes something and relies on the session cookie is refused when it
// comes from another origin (net/http.CrossOriginProtection). Set-password and
// reset links rely on no cookie: whoever knows the link may use it, once.
// Failed sign-ins are bounded by account and by network address, but for
// browsers that have signed in to the account before; see attempts.go.
package web
