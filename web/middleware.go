package web

import (
	"net"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// requestIDHeader carries the request id in the response; error pages show it
// too.
const requestIDHeader = "X-Request-Id"

// contentPolicy restricts a page to our own stylesheets, scripts, images and
// connections.
const contentPolicy = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// identify gives the request an id unless an outer handler already has.
func (s *Site) identify(c *gin.Context) {
	if c.Writer.Header().Get(requestIDHeader) != "" {
		return
	}
	if id, err := uuid.NewV7(); err == nil {
		c.Header(requestIDHeader, id.String())
	}
}

func requestID(c *gin.Context) string { return c.Writer.Header().Get(requestIDHeader) }

// harden sets the security headers of every page.
func (s *Site) harden(c *gin.Context) {
	c.Header("Content-Security-Policy", contentPolicy)
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("X-Frame-Options", "DENY")
	c.Header("Referrer-Policy", "same-origin")
	c.Header("Cross-Origin-Opener-Policy", "same-origin")
	c.Header("Cross-Origin-Resource-Policy", "same-origin")
	c.Header("Cache-Control", "no-store") // people's names and addresses
}

// requireSameOrigin rejects requests that change something on behalf of another
// site.
func (s *Site) requireSameOrigin(c *gin.Context) {
	if err := s.sameOrigin.Check(c.Request); err != nil {
		s.fail(c, nil, errCrossOrigin)
		c.Abort()
	}
}

// allowLocalHost rejects host names that another site could point at this
// server (DNS rebinding). It guards pages that need no sign-in. IP addresses
// cannot be rebound, and localhost is not resolved through DNS (RFC 6761 §6.3).
func (s *Site) allowLocalHost(c *gin.Context) {
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
