package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"

	"github.com/gin-gonic/gin"

	"rollcall/auth"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
)

// What a handler decides by returning it.
var (
	errSignedOut   = errors.New("nobody is signed in")
	errOwing       = errors.New("a second factor is to be set up first")
	errHidden      = errors.New("not for who is signed in")
	errCrossOrigin = errors.New("request from another origin")
	errForeignHost = errors.New("request for another host")
	errBadForm     = errors.New("form cannot be read")
)

// failureView is a page that says why there is nothing else to see.
type failureView struct {
	Heading   string
	Text      string
	SignOut   bool   // offers to sign in as someone else
	RequestID string // "" unless it is worth telling
}

func (v failureView) frame() frame { return frame{Template: "failure", Title: v.Heading} }

// failure is one line of the table from errors to pages.
type failure struct {
	err        error
	status     int
	retryAfter string // seconds
	view       failureView
}

var failures = []failure{
	{err: errCrossOrigin, status: http.StatusForbidden, view: failureView{
		Heading: "This did not come from our own page",
		Text:    "Your browser says the request was started by another site, so nothing was changed. Go back, load the page again and repeat."}},
	{err: errForeignHost, status: http.StatusForbidden, view: failureView{
		Heading: "Unknown host",
		Text:    "Captured mail is shown under localhost, an IP address or the public address of this server only."}},
	{err: errBadForm, status: http.StatusBadRequest, view: failureView{
		Heading: "The form could not be read",
		Text:    "Go back, load the page again and repeat."}},
	{err: storage.ErrNotFound, status: http.StatusNotFound, view: failureView{
		Heading: "Nothing here",
		Text:    "There is no such page, or it is no longer there."}},
	{err: errHidden, status: http.StatusNotFound, view: failureView{
		Heading: "Nothing here", SignOut: true,
		Text: "There is no such page, or it is not for this account."}},
	{err: errNoMail, status: http.StatusNotFound, view: failureView{
		Heading: "No such mail",
		Text:    "It was never captured, or has made room for newer mail."}},
	{err: storage.ErrWrongState, status: http.StatusConflict, view: failureView{
		Heading: "That is no longer possible",
		Text:    "Things have moved on since the page was loaded. Go back, load it again and look."}},
	{err: report.ErrNotEnded, status: http.StatusConflict, view: failureView{
		Heading: "Not there yet",
		Text:    "The report is made once the file has been checked to its end. Look again in a moment."}},
	{err: storage.ErrPurged, status: http.StatusGone, view: failureView{
		Heading: "No longer kept",
		Text:    "The uploaded file and the values in it were deleted when their time was over. Counts and reasons are still on the import's page."}},
	{err: storage.ErrUnavailable, status: http.StatusServiceUnavailable, retryAfter: "5", view: failureView{
		Heading: "One moment, please",
		Text:    "The database does not answer right now. Nothing was changed. Try again in a few seconds."}},
	{err: context.DeadlineExceeded, status: http.StatusServiceUnavailable, retryAfter: "5", view: failureView{
		Heading: "One moment, please",
		Text:    "This took longer than it may. Try again in a few seconds."}},
	{err: errCrowded, status: http.StatusServiceUnavailable, retryAfter: "5", view: failureView{
		Heading: "One moment, please",
		Text:    "Many pages follow imports right now. Try again in a few seconds."}},
	{err: auth.ErrBusy, status: http.StatusServiceUnavailable, retryAfter: "5", view: failureView{
		Heading: "One moment, please",
		Text:    "Many people are signing in right now. Try again in a few seconds."}},
}

// unexpected is for errors that no line of the table names: they show nothing
// of themselves.
var unexpected = failure{status: http.StatusInternalServerError, view: failureView{
	Heading: "Something went wrong on our side",
	Text:    "It has been logged. If it happens again, tell whoever runs this server the number below."}}

// fail answers with the page for err, or sends to the sign-in.
func (s *Site) fail(c *gin.Context, user *roster.User, err error) {
	// The database calls a deadline and a leaving client by another name.
	if ended := c.Request.Context().Err(); ended != nil {
		err = fmt.Errorf("%w: %w", ended, err)
	}
	switch {
	case c.Writer.Written() && errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // the download was stopped
	case c.Writer.Written():
		// Too late for a page. A cut-off answer tells the client that it is not whole.
		s.log(c, "answer broken off", err)
		panic(http.ErrAbortHandler)
	case errors.Is(err, errSignedOut):
		seeOther(c, signInPath(c.Request))
		return
	case errors.Is(err, errOwing):
		seeOther(c, factorPath)
		return
	case errors.Is(c.Request.Context().Err(), context.Canceled):
		return // nobody is there to read an answer
	}
	found := unexpected
	for _, f := range failures {
		if errors.Is(err, f.err) {
			found = f
			break
		}
	}
	if found.status >= http.StatusInternalServerError {
		s.log(c, "page failed", err)
		found.view.RequestID = requestID(c)
	}
	if errors.Is(err, errHidden) || errors.Is(err, errCrossOrigin) || errors.Is(err, errForeignHost) {
		s.logRefusal(c, "page refused", "reason", found.err.Error())
	}
	if found.retryAfter != "" {
		c.Header("Retry-After", found.retryAfter)
	}
	if err := s.show(c, found.status, user, found.view); err != nil {
		s.log(c, "error page failed", err)
		c.String(unexpected.status, unexpected.view.Heading)
	}
}

// log writes what happened. The route stands for the path, which may hold a
// secret.
func (s *Site) log(c *gin.Context, message string, err error) {
	s.Log.ErrorContext(c.Request.Context(), message, "error", err, "route", c.FullPath(), "request_id", requestID(c))
}

// logRefusal writes that somebody was not let in: from where, and to what, but
// neither who they said they are nor the path, which may hold a secret.
func (s *Site) logRefusal(c *gin.Context, message string, more ...any) {
	s.Log.With(more...).InfoContext(c.Request.Context(), message, "client", c.ClientIP(), "route", c.FullPath(), "request_id", requestID(c))
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

// signInPath is the sign-in that leads back to what was asked for, if that can
// be asked for again.
func signInPath(r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return "/signin"
	}
	return "/signin?" + url.Values{"next": {r.URL.RequestURI()}}.Encode()
}

// NotFound is the page for paths that no route answers.
func (s *Site) NotFound(c *gin.Context) {
	s.identify(c)
	s.harden(c)
	s.fail(c, nil, storage.ErrNotFound)
}
