package app

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
)

// traffic counts requests. Its labels are the program's own words, never the
// client's: templates of routes, known methods, codes of answers.
type traffic struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	underWay prometheus.Gauge
}

func newTraffic(reg prometheus.Registerer) *traffic {
	t := &traffic{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_http_requests_total", Help: "Requests answered, by method, route and status code; code aborted: broken off.",
		}, []string{"method", "route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rollcall_http_request_seconds", Help: "Time from the head of a request to the end of its answer, by method and route; waits, streams and uploads included.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method", "route"}),
		underWay: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rollcall_http_requests_under_way", Help: "Requests not yet answered, streams among them.",
		}),
	}
	reg.MustRegister(t.requests, t.seconds, t.underWay)
	return t
}

// count is the outermost handler of every request.
func (t *traffic) count(c *gin.Context) {
	began := time.Now()
	t.underWay.Inc()
	code := "aborted" // unless the handlers return
	defer func() {
		t.underWay.Dec()
		method, route := methodOf(c), routeOf(c)
		t.requests.WithLabelValues(method, route, code).Inc()
		t.seconds.WithLabelValues(method, route).Observe(time.Since(began).Seconds())
	}()
	c.Next()
	code = strconv.Itoa(c.Writer.Status())
}

// routeOf is the template of the route that answered; assets, whose names
// change with every build, are one.
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
