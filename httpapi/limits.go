package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/httpapi/problem"
	"rollcall/internal/ratelimit"
)

// Quota is a number of requests per window of time: up to Count at once, and
// then one for each Count-th part of the window.
type Quota struct {
	Count  int
	Window time.Duration // whole seconds
}

// Limits bounds how often a client may call one process. They are far above the
// needs of a client that honors Retry-After. Zero values take the default.
type Limits struct {
	// Uploads per token. Default 3,000 a minute.
	Uploads Quota
	// Polls are requests for one import or its events, per token and
	// connection: a thousand well-behaved clients may share a token. Default
	// 1,000 in 10 s.
	Polls Quota
	// Failures are failed authentications per address. Valid tokens from the
	// same address keep working: it may be a proxy's. Default 100 a minute.
	Failures Quota
	// Redeliveries of webhook events a token. Default 60 a minute.
	Redeliveries Quota
	// UserWrites are users created or changed one by one, and rows edited, per token. Default 1,200
	// a minute; an import is the way for more.
	UserWrites Quota
	// MailTests a token, each a mail. Default 10 a minute.
	MailTests Quota
	// Imports is how many imports of one token may be in progress at once.
	// Default 5,000: a night's files may have to wait for Redis to return.
	Imports int
}

func (l *Limits) setDefaults() {
	l.Uploads = cmp.Or(l.Uploads, Quota{3000, time.Minute})
	l.Polls = cmp.Or(l.Polls, Quota{1000, 10 * time.Second})
	l.Failures = cmp.Or(l.Failures, Quota{100, time.Minute})
	l.Redeliveries = cmp.Or(l.Redeliveries, Quota{60, time.Minute})
	l.UserWrites = cmp.Or(l.UserWrites, Quota{1200, time.Minute})
	l.MailTests = cmp.Or(l.MailTests, Quota{10, time.Minute})
	l.Imports = cmp.Or(l.Imports, 5000)
}

// limiters are the active limits.
type limiters struct {
	uploads, polls, failures, redeliveries, userWrites, mailTests *limiter
}

func newLimiters(l Limits) limiters {
	return limiters{
		uploads:      newLimiter("uploads", l.Uploads),
		polls:        newLimiter("polls", l.Polls),
		failures:     newLimiter("failed-authentications", l.Failures),
		redeliveries: newLimiter("redeliveries", l.Redeliveries),
		userWrites:   newLimiter("user-writes", l.UserWrites),
		mailTests:    newLimiter("mail-tests", l.MailTests),
	}
}

// limiter is a quota for each of many keys.
type limiter struct {
	*ratelimit.Limiter
	name  string
	quota Quota
}

func newLimiter(name string, q Quota) *limiter {
	return &limiter{ratelimit.New(q.Count, q.Window/time.Duration(q.Count)), name, q}
}

// tell sends the quota and what is left of it
// (draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4).
func (l *limiter) tell(h http.Header, left ratelimit.Result) {
	h.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", l.name, l.quota.Count, int(l.quota.Window.Seconds())))
	h.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", l.name, left.Remaining, wholeSeconds(left.ResetAfter)))
}

// wholeSeconds rounds up, so that a client that waits this long is not too
// early.
func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// limit selects a limiter and the key it counts by.
type limit func(a *API, c *gin.Context, by caller) (*limiter, string)

func uploads(a *API, _ *gin.Context, by caller) (*limiter, string) {
	return a.limits.uploads, by.actor.Key()
}

func polls(a *API, c *gin.Context, by caller) (*limiter, string) {
	return a.limits.polls, by.actor.Key() + " " + c.ClientIP() + " " + c.Request.RemoteAddr
}

func redeliveries(a *API, _ *gin.Context, by caller) (*limiter, string) {
	return a.limits.redeliveries, by.actor.Key()
}

func userWrites(a *API, _ *gin.Context, by caller) (*limiter, string) {
	return a.limits.userWrites, by.actor.Key()
}

func mailTests(a *API, _ *gin.Context, by caller) (*limiter, string) {
	return a.limits.mailTests, by.actor.Key()
}

// admit returns nil if the caller may send another request, and reports what is
// left.
func (a *API) admit(c *gin.Context, l limit, by caller) error {
	if l == nil {
		return nil
	}
	limiter, key := l(a, c, by)
	left := limiter.Take(key)
	limiter.tell(c.Writer.Header(), left)
	if left.OK {
		return nil
	}
	return tooMany(left, "More than %d requests in %d seconds. Wait for the time in Retry-After.",
		limiter.quota.Count, int(limiter.quota.Window.Seconds()))
}

func tooMany(left ratelimit.Result, detail string, args ...any) error {
	return problem.New(problem.TooManyRequests, detail, args...).
		With("Retry-After", strconv.Itoa(max(1, wholeSeconds(left.RetryAfter))))
}

// unauthenticated counts a failed authentication and returns the response: why
// it failed or, after too many from one address, that there were too many.
func (a *API) unauthenticated(c *gin.Context, why error) error {
	if problem.From(why).Status != http.StatusUnauthorized {
		return why
	}
	left := a.limits.failures.Take(c.ClientIP())
	if left.OK {
		return why
	}
	a.limits.failures.tell(c.Writer.Header(), left)
	return tooMany(left, "Too many failed authentication attempts from this address. Requests with a valid token still work.")
}

// mayStart returns nil if the caller may have one more import in progress. Two
// simultaneous uploads may both pass when one place is left: the limit keeps
// one client from occupying all workers and need not be exact.
func (a *API) mayStart(c *gin.Context, by caller) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), requestTimeout)
	defer cancel()
	under, err := a.Store.CountActiveImports(ctx, by.actor)
	if err != nil {
		return err
	}
	if under < a.Limits.Imports {
		return nil
	}
	return problem.New(problem.TooManyImports, "This token already has %d imports in progress, the maximum. Wait for one to finish.", a.Limits.Imports).
		RetryAfter(10 * time.Second)
}
