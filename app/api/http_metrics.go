package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
)

// httpMetrics counts requests. Its labels have a fixed set of values (route
// templates, known methods, response codes), never text from the client.
type httpMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	underWay prometheus.Gauge
}

func newHTTPMetrics(reg prometheus.Registerer) *httpMetrics {
	m := &httpMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_http_requests_total", Help: "Requests answered, by method, route and status code; code aborted: broken off.",
		}, []string{"method", "route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rollcall_http_request_duration_seconds", Help: "Time from the head of a request to the end of its answer, by method and route; waits, streams and uploads included.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method", "route"}),
		underWay: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_http_requests_in_flight", Help: "Requests not yet answered, streams among them.",
		}),
	}
	reg.MustRegister(m.requests, m.seconds, m.underWay)
	return m
}

// count is the outermost handler of every request.
func (m *httpMetrics) count(c *gin.Context) {
	began := time.Now()
	m.underWay.Inc()
	code := "aborted" // unless the handlers return
	defer func() {
		m.underWay.Dec()
		method, route := methodOf(c), routeOf(c)
		m.requests.WithLabelValues(method, route, code).Inc()
		m.seconds.WithLabelValues(method, route).Observe(time.Since(began).Seconds())
	}()
	c.Next()
	code = strconv.Itoa(c.Writer.Status())
}

// routeOf is the template of the matched route. All assets count as one,
// because their names change with every build.
func routeOf(c *gin.Context) string {
	route := c.FullPath()
	switch {
	case route == "":
		return "none"
	case strings.HasPrefix(route, "/assets/"):
		return "/assets/:file"
	}
	return route
}

func methodOf(c *gin.Context) string {
	if slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, c.Request.Method) {
		return c.Request.Method
	}
	return "other"
}
