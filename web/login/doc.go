// Package login manages sessions and serves the pages around them: sign-in and
// its code, sign-out, the user's own account and second factor, set-password
// links of invitations, and password resets.
//
// Package web provides the route table, the access check, the templates and the
// layout of every page.
//
// Failed sign-ins are limited by account and by network address, except for
// browsers that have signed in to the account before; see login_limiter.go.
// Set-password and reset links need no cookie: the link alone is enough, once.
package login
