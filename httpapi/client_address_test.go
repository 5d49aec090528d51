package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/gin-gonic/gin"

	"rollcall/httpapi"
)

// TestClientAddress: the address from trusted proxies counts, read from the
// end, and any other claim is ignored.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name, peer string
		header     []string
		want       string
	}{
		{"no header", "10.0.0.1:4711", nil, "10.0.0.1"},
		{"the proxy's client", "10.0.0.1:4711", []string{"192.0.2.7"}, "192.0.2.7"},
		{"a stranger's own word", "203.0.113.9:4711", []string{"192.0.2.7"}, "203.0.113.9"},
		{"the client wrote the first", "10.0.0.1:4711", []string{"127.0.0.1, 192.0.2.7"}, "192.0.2.7"},
		{"in a header of its own", "10.0.0.1:4711", []string{"127.0.0.1", "192.0.2.7"}, "192.0.2.7"},
		{"over two proxies", "10.0.0.1:4711", []string{"192.0.2.7, 10.9.9.9"}, "192.0.2.7"},
		{"all of them trusted", "10.0.0.1:4711", []string{"10.1.1.1, 10.9.9.9"}, "10.1.1.1"},
		{"nonsense", "10.0.0.1:4711", []string{"192.0.2.7, unknown"}, "10.0.0.1"},
		{"nonsense before a trusted one", "10.0.0.1:4711", []string{"evil\"\n, 10.9.9.9"}, "10.0.0.1"},
		{"empty", "10.0.0.1:4711", []string{""}, "10.0.0.1"},
		{"IPv6", "[fd00::1]:4711", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv4 written as IPv6", "[::ffff:10.0.0.1]:4711", []string{"192.0.2.7"}, "192.0.2.7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got string
			engine := httpapi.NewEngine(trusted...)
			engine.GET("/", func(c *gin.Context) { got = c.ClientIP() })
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			r.Header.Set("X-Real-IP", "192.0.2.99")
			if tt.header != nil {
				r.Header["X-Forwarded-For"] = tt.header
			}
			engine.ServeHTTP(httptest.NewRecorder(), r)
			if got != tt.want {
				t.Errorf("the client is %s, want %s", got, tt.want)
			}
		})
	}
	t.Run("no trusted proxy", func(t *testing.T) {
		t.Parallel()
		var got string
		engine := httpapi.NewEngine()
		engine.GET("/", func(c *gin.Context) { got = c.ClientIP() })
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "10.0.0.1:4711"
		r.Header.Set("X-Forwarded-For", "192.0.2.7")
		engine.ServeHTTP(httptest.NewRecorder(), r)
		if got != "10.0.0.1" {
			t.Errorf("the client is %s", got)
		}
	})
}
