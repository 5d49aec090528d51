package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/auth"
	"rollcall/internal/broadcast"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/login"
	"rollcall/web/postform"
)

// Errors that handlers return to select a page.
var (
	errNeeds2FA    = errors.New("a second factor must be set up first")
	errHidden      = errors.New("not allowed for the signed-in user")
	errCrossOrigin = errors.New("request from another origin")
	errForeignHost = errors.New("request for another host")
)

// errorView is a page that explains why a request failed.
type errorView struct {
	Heading   string
	Text      string
	SignOut   bool   // offers to sign in as someone else
	Import    string // path of the import to go back to, "" for none
	RequestID string // "" if it would not help
}

func (v errorView) pageMeta() pageMeta { return pageMeta{Template: "errors", Title: v.Heading} }

// errorPage is one row of the table from errors to pages.
type errorPage struct {
	err        error
	status     int
	retryAfter string // seconds
	view       errorView
}

var errorPages = []errorPage{
	{err: errCrossOrigin, status: http.StatusForbidden, view: errorView{
		Heading: "Request blocked",
		Text:    "This request came from another site, so nothing was changed. Go back, reload the page and try again."}},
	{err: errForeignHost, status: http.StatusForbidden, view: errorView{
		Heading: "Unknown host",
		Text:    "Captured emails are only available on localhost, an IP address or the public address of this server."}},
	{err: postform.ErrInvalid, status: http.StatusBadRequest, view: errorView{
		Heading: "Invalid form data",
		Text:    "Go back, reload the page and try again."}},
	{err: storage.ErrNotFound, status: http.StatusNotFound, view: errorView{
		Heading: "Page not found",
		Text:    "It doesn't exist or was removed."}},
	{err: errHidden, status: http.StatusNotFound, view: errorView{
		Heading: "Page not found", SignOut: true,
		Text: "It doesn't exist, or your account doesn't have access to it."}},
	{err: errNoMail, status: http.StatusNotFound, view: errorView{
		Heading: "Email not found",
		Text:    "It doesn't exist or was removed to make room for newer emails."}},
	{err: storage.ErrWrongState, status: http.StatusConflict, view: errorView{
		Heading: "This page is out of date",
		Text:    "Reload it and try again."}},
	{err: report.ErrNotEnded, status: http.StatusConflict, view: errorView{
		Heading: "Report not ready",
		Text:    "The report is available once the whole file has been checked. Try again in a moment."}},
	{err: report.ErrTooManyRows, status: http.StatusConflict, view: errorView{
		Heading: "Too many failed rows",
		Text:    "More rows failed than a sheet of a workbook can have. Download the error report as CSV instead."}},
	{err: storage.ErrPurged, status: http.StatusGone, view: errorView{
		Heading: "No longer available",
		Text:    "The uploaded file and its values were deleted after the retention period. Counts and reasons are still on the import page."}},
	{err: storage.ErrUnavailable, status: http.StatusServiceUnavailable, retryAfter: "5", view: errorView{
		Heading: "Temporarily unavailable",
		Text:    "The database isn't responding. Nothing was changed. Try again in a few seconds."}},
	{err: context.DeadlineExceeded, status: http.StatusServiceUnavailable, retryAfter: "5", view: errorView{
		Heading: "Temporarily unavailable",
		Text:    "The request took too long. Try again in a few seconds."}},
	{err: broadcast.ErrTooManyStreams, status: http.StatusServiceUnavailable, retryAfter: "5", view: errorView{
		Heading: "Temporarily unavailable",
		Text:    "Too many live progress pages are open. Try again in a few seconds."}},
	{err: login.ErrTooManyAtOnce, status: http.StatusTooManyRequests, retryAfter: "2", view: errorView{
		Heading: "Too many attempts at once",
		Text:    "Several passwords for this account, or from your network, are being checked. Try again in a few seconds."}},
	{err: auth.ErrBusy, status: http.StatusServiceUnavailable, retryAfter: "5", view: errorView{
		Heading: "Temporarily unavailable",
		Text:    "Too many people are signing in. Try again in a few seconds."}},
}

// unexpected is the page for errors without a row in the table. It shows no
// details of the error.
var unexpected = errorPage{status: http.StatusInternalServerError, view: errorView{
	Heading: "Something went wrong",
	Text:    "We've logged this error. If it happens again, give your administrator this request ID."}}

// fail answers with the page for err, or redirects to the sign-in.
func (s *Site) fail(c *gin.Context, user *roster.User, err error) {
	// The database wraps a deadline and a client's disconnect in errors of its
	// own.
	if ended := c.Request.Context().Err(); ended != nil {
		err = fmt.Errorf("%w: %w", ended, err)
	}
	switch {
	case c.Writer.Written() && errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // the client stopped the download
	case c.Writer.Written():
		// Too late for a page. Aborting the response tells the client that it
		// is incomplete.
		s.log(c, "response aborted", err)
		panic(http.ErrAbortHandler)
	case errors.Is(err, login.ErrSignedOut):
		seeOther(c, signInPath(c.Request))
		return
	case errors.Is(err, errNeeds2FA):
		seeOther(c, login.FactorPath)
		return
	case errors.Is(c.Request.Context().Err(), context.Canceled):
		return // the client is gone
	}
	found := unexpected
	for _, f := range errorPages {
		if errors.Is(err, f.err) {
			found = f
			break
		}
	}
	if found.status >= http.StatusInternalServerError {
		s.log(c, "page failed", err)
		found.view.RequestID = requestID(c)
	}
	if errors.Is(err, storage.ErrWrongState) && strings.HasPrefix(c.FullPath(), "/admin/imports/:id/") {
		if id, invalid := importID(c); invalid == nil {
			found.view.Import, found.view.Text = importPath(id), "Go back to the current version and try again."
		}
	}
	if errors.Is(err, errHidden) || errors.Is(err, errCrossOrigin) || errors.Is(err, errForeignHost) {
		s.logRefusal(c, "page access denied", "reason", found.err.Error())
	}
	if found.retryAfter != "" {
		c.Header("Retry-After", found.retryAfter)
	}
	if err := s.show(c, found.status, user, found.view); err != nil {
		s.log(c, "error page failed", err)
		c.String(unexpected.status, unexpected.view.Heading)
	}
}

// log writes what happened. It logs the route instead of the path, which may
// contain a secret.
func (s *Site) log(c *gin.Context, message string, err error) {
	s.deps.Log.ErrorContext(c.Request.Context(), message, "error", err, "route", c.FullPath(), "request_id", requestID(c))
}

// logRefusal logs that access was denied: from where and to which route, but
// not the claimed identity or the path, which may contain a secret.
func (s *Site) logRefusal(c *gin.Context, message string, more ...any) {
	s.deps.Log.With(more...).InfoContext(c.Request.Context(), message, "client", c.ClientIP(), "route", c.FullPath(), "request_id", requestID(c))
}

// recover turns a panic of a handler into an error page. It is deferred.
func (s *Site) recover(c *gin.Context) {
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		panic(v) // for net/http: closes the connection
	default:
		s.fail(c, nil, fmt.Errorf("panic of type %T\n%s", v, debug.Stack()))
	}
}

// signInPath is the sign-in that leads back to the requested page, if the
// request can be repeated.
func signInPath(r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return "/signin"
	}
	return "/signin?" + url.Values{"next": {r.URL.RequestURI()}}.Encode()
}

// NotFound is the page for paths without a route. It has the navigation of the
// signed-in user, if that can be found out.
func (s *Site) NotFound(c *gin.Context) {
	defer bound(c, pageTimeout)()
	s.identify(c)
	s.harden(c)
	user, err := s.login.SignedIn(c)
	if err != nil {
		user = nil
	}
	if user != nil {
		if must, err := s.login.Must2FA(c.Request.Context(), user); err != nil || must {
			user = nil // may see no other page yet
		}
	}
	s.fail(c, user, storage.ErrNotFound)
}
