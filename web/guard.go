package web

import (
	"net"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// requestIDHeader names the request in the answer and on error pages.
const requestIDHeader = "X-Request-Id"

// contentPolicy lets a page use our stylesheet, script and images and talk to
// us, and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// identify gives the request an id unless the server around has done so.
func (s *Site) identify(c *gin.Context) {
	if c.Writer.Header().Get(requestIDHeader) != "" {
		return
	}
	if id, err := uuid.NewV7(); err == nil {
		c.Header(requestIDHeader, id.String())
	}
}

func requestID(c *gin.Context) string { return c.Writer.Header().Get(requestIDHeader) }

// harden sets what every page tells the browser about itself.
func (s *Site) harden(c *gin.Context) {
	c.Header("Content-Security-Policy", contentPolicy)
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("X-Frame-Options", "DENY")
	c.Header("Referrer-Policy", "same-origin")
	c.Header("Cross-Origin-Opener-Policy", "same-origin")
	c.Header("Cross-Origin-Resource-Policy", "same-origin")
	c.Header("Cache-Control", "no-store") // people's names and addresses
}

// fromHere refuses what would change something on behalf of another site.
func (s *Site) fromHere(c *gin.Context) {
	if err := s.sameOrigin.Check(c.Request); err != nil {
		s.fail(c, nil, errCrossOrigin)
		c.Abort()
	}
}

// unbound refuses hosts under which a foreign page could have itself taken for
// ours by changing what its name resolves to (DNS rebinding). It stands before
// pages that ask for no sign-in. An address cannot be bound anew, and
// localhost is not resolved elsewhere (RFC 6761 §6.3).
func (s *Site) unbound(c *gin.Context) {
	host := hostname(c.Request)
	if host == s.public.Hostname() || host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(host) != nil {
		return
	}
	s.fail(c, nil, errForeignHost)
	c.Abort()
}

func hostname(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}
