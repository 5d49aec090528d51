package httpapi

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"

	"rollcall/httpapi/problem"
)

// Quota is so many requests in a window of time: as many at once, and then one
// for each Count-th part of the window.
type Quota struct {
	Count  int
	Window time.Duration // whole seconds
}

// Limits bound how often a client may ask one process. They are far above what
// a client does that heeds Retry-After. Zero values take the default.
type Limits struct {
	// Uploads a token. Default 3,000 a minute.
	Uploads Quota
	// Polls are requests for one import or its events, by a token over one
	// connection: a thousand clients may share a token, and be well-behaved.
	// Default 1,000 in 10 s.
	Polls Quota
	// Failures are failed authentications an address. Valid tokens are taken
	// from the same address all the while: it may be a proxy's. Default 100 a
	// minute.
	Failures Quota
	// MailTests a token, each a mail. Default 10 a minute.
	MailTests Quota
	// Imports is how many imports of one token may be under way at once.
	// Default 5,000: a night of files may well wait for a Redis to come back.
	Imports int
}

func (l *Limits) fill() {
	def := func(q *Quota, count int, window time.Duration) {
		if q.Count == 0 {
			*q = Quota{count, window}
		}
	}
	def(&l.Uploads, 3000, time.Minute)
	def(&l.Polls, 1000, 10*time.Second)
	def(&l.Failures, 100, time.Minute)
	def(&l.MailTests, 10, time.Minute)
	if l.Imports == 0 {
		l.Imports = 5000
	}
}

// limiters are the limits in force.
type limiters struct {
	uploads, polls, failures, mailTests *limiter
}

func newLimiters(l Limits) limiters {
	return limiters{
		uploads:   newLimiter("uploads", l.Uploads),
		polls:     newLimiter("polls", l.Polls),
		failures:  newLimiter("failed-authentications", l.Failures),
		mailTests: newLimiter("mail-tests", l.MailTests),
	}
}

// maxBuckets bounds the memory of one limiter, at some 200 bytes each.
const maxBuckets = 20_000

// limiter is a quota for each of many keys: token buckets, as many as there are
// keys that have used any of theirs.
type limiter struct {
	name  string
	quota Quota
	every rate.Limit

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

func newLimiter(name string, q Quota) *limiter {
	return &limiter{name: name, quota: q, every: rate.Limit(float64(q.Count) / q.Window.Seconds()), buckets: map[string]*rate.Limiter{}}
}

// allowance is what is left to a client.
type allowance struct {
	ok        bool
	remaining int
	again     time.Duration // until one more request is allowed; 0 with ok
	full      time.Duration // until the whole quota is there again
}

// take uses one request of the key's quota.
func (l *limiter) take(key string, now time.Time) allowance {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		l.makeRoom(now)
		b = rate.NewLimiter(l.every, l.quota.Count)
		l.buckets[key] = b
	}
	a := allowance{ok: b.AllowN(now, 1)}
	tokens := b.TokensAt(now)
	a.remaining = max(0, int(tokens))
	a.full = l.lasts(float64(l.quota.Count) - tokens)
	if !a.ok {
		a.again = l.lasts(1 - tokens)
	}
	return a
}

func (l *limiter) lasts(tokens float64) time.Duration {
	return time.Duration(tokens / float64(l.every) * float64(time.Second))
}

// makeRoom forgets the keys whose quota is whole again; a fresh bucket is the
// same. If too many are left even so, any of them go: memory stays bounded, and
// the worst is that a client gets its quota twice. A quarter becomes free at
// once, so that a flood of new keys does not lead through all of them each time.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.buckets) < maxBuckets {
		return
	}
	for key, b := range l.buckets {
		if b.TokensAt(now) >= float64(l.quota.Count) {
			delete(l.buckets, key)
		}
	}
	for key := range l.buckets {
		if len(l.buckets) <= maxBuckets*3/4 {
			return
		}
		delete(l.buckets, key)
	}
}

// tell writes the quota and what is left of it
// (draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4).
func (l *limiter) tell(h http.Header, a allowance) {
	h.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", l.name, l.quota.Count, int(l.quota.Window.Seconds())))
	h.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", l.name, a.remaining, wholeSeconds(a.full)))
}

// wholeSeconds rounds up: who waits so long does not come too early.
func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// limit names a limiter and says what it counts by.
type limit func(a *API, r *http.Request, by caller) (*limiter, string)

func uploads(a *API, _ *http.Request, by caller) (*limiter, string) {
	return a.limits.uploads, by.actor.Key()
}

func polls(a *API, r *http.Request, by caller) (*limiter, string) {
	return a.limits.polls, by.actor.Key() + " " + r.RemoteAddr
}

func mailTests(a *API, _ *http.Request, by caller) (*limiter, string) {
	return a.limits.mailTests, by.actor.Key()
}

// admit returns nil if the caller may ask once more, and tells what is left.
func (a *API) admit(c *gin.Context, l limit, by caller) error {
	if l == nil {
		return nil
	}
	limiter, key := l(a, c.Request, by)
	left := limiter.take(key, time.Now())
	limiter.tell(c.Writer.Header(), left)
	if left.ok {
		return nil
	}
	return tooMany(left, "This is more than %d requests in %d seconds. Heed Retry-After.",
		limiter.quota.Count, int(limiter.quota.Window.Seconds()))
}

func tooMany(left allowance, detail string, args ...any) error {
	return problem.New(problem.TooManyRequests, detail, args...).
		With("Retry-After", strconv.Itoa(max(1, wholeSeconds(left.again))))
}

// unauthenticated counts a failed authentication and is the answer to it: why
// it failed, or, after too many from one address, that there were too many.
func (a *API) unauthenticated(c *gin.Context, why error) error {
	if problem.From(why).Status != http.StatusUnauthorized {
		return why
	}
	left := a.limits.failures.take(remoteHost(c.Request), time.Now())
	if left.ok {
		return why
	}
	a.limits.failures.tell(c.Writer.Header(), left)
	return tooMany(left, "Too many authentications from this address have failed. A valid token is taken at any time.")
}

// mayStart returns nil if the caller may have one more import under way. Two
// uploads at once may both pass where one was left: the bound is there to keep
// one client from taking all workers, and need not be exact.
func (a *API) mayStart(c *gin.Context, by caller) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), ordinary)
	defer cancel()
	under, err := a.Store.UnderWay(ctx, by.actor)
	if err != nil {
		return err
	}
	if under < a.Limits.Imports {
		return nil
	}
	return problem.New(problem.TooManyImports, "As many imports of this token are under way as one may have, %d. Wait for one to end.", a.Limits.Imports).
		RetryAfter(10 * time.Second)
}
