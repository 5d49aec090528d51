package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// A path that is written out in the route table is never one with a parameter:
// /users/imports is no user. The router knows that only for routes with the same
// method, so these functions look at all of them.

// pathPattern is the path of a route in its segments.
type pathPattern []string

func newPathPattern(path string) pathPattern { return strings.Split(path, "/") }

// isParameter reports whether a segment stands for any text.
func isParameter(segment string) bool { return strings.HasPrefix(segment, ":") }

// matches reports whether a path, in its segments, is of this pattern.
func (p pathPattern) matches(path []string) bool {
	return slices.EqualFunc(p, path, func(want, got string) bool {
		return want == got || isParameter(want) && got != ""
	})
}

// precedes reports whether a path that matches both patterns is of this one: at the
// first difference this one has text and the other a parameter.
func (p pathPattern) precedes(other pathPattern) bool {
	if len(p) != len(other) {
		return false
	}
	for i, segment := range p {
		if isParameter(segment) != isParameter(other[i]) {
			return !isParameter(segment)
		}
		if segment != other[i] && !isParameter(segment) {
			return false
		}
	}
	return false
}

// preceding are the patterns of other routes that precede a route's.
func preceding(rt route, routes []route) (patterns []pathPattern) {
	own := newPathPattern(rt.path)
	for _, other := range routes {
		if p := newPathPattern(other.path); p.precedes(own) {
			patterns = append(patterns, p)
		}
	}
	return patterns
}

// unless serves a route but for paths of the patterns that precede it, which have
// no such method.
func (a *API) unless(patterns []pathPattern, serve gin.HandlerFunc) gin.HandlerFunc {
	if len(patterns) == 0 {
		return serve
	}
	return func(c *gin.Context) {
		path := newPathPattern(c.Request.URL.Path)
		if slices.ContainsFunc(patterns, func(p pathPattern) bool { return p.matches(path) }) {
			a.MethodNotAllowed(c)
			return
		}
		serve(c)
	}
}

// allowed lists the methods of a path; nil if it is none of the API's.
func (a *API) allowed(path string) (methods []string) {
	segments := newPathPattern(path)
	var best pathPattern
	for _, rt := range a.routes() {
		p := newPathPattern(rt.path)
		if !p.matches(segments) || best != nil && best.precedes(p) {
			continue
		}
		if best == nil || p.precedes(best) {
			best, methods = p, nil
		}
		methods = append(methods, rt.method)
		if rt.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return methods
}
