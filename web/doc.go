// Package web serves the HTML pages: the admin panel, the pages of package
// login and, if one is configured, the captured mailbox.
//
// Pages are rendered on the server from typed views and embedded templates and
// work without JavaScript; the scripts in assets add live updates and
// shortcuts. A handler returns an error, and the table in errors.go turns it
// into a page. The route table is in routes.go.
//
// Requests that change something and rely on the session cookie are rejected
// when they come from another origin (net/http.CrossOriginProtection). Package
// login handles sessions and the pages around signing in.
package web
