package httpapi

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/jobs/queue"
	"rollcall/migrations"
)

// health is the response of /healthz and /readyz. The checks are ok,
// unavailable or outdated, and absent if they were not made.
type health struct {
	Status   string `json:"status"` // ok, degraded or unavailable
	Version  string `json:"version,omitempty"`
	Postgres string `json:"postgres,omitempty"`
	Schema   string `json:"schema,omitempty"`
	Redis    string `json:"redis,omitempty"`
	Reason   string `json:"reason,omitempty"` // why Redis is unavailable, for a person
}

// healthy is GET /healthz: this process responds.
func (a *API) healthy(c *gin.Context, _ caller) error {
	return a.json(c, http.StatusOK, health{Status: "ok", Version: a.Version})
}

const (
	probing = 2 * time.Second // timeout of a check
	fresh   = time.Second     // how long a result is reused, because the route is public
)

// readiness keeps the last result of the checks.
type readiness struct {
	mu   sync.Mutex
	at   time.Time
	last health
}

// readyToServe is GET /readyz: PostgreSQL responds and has the schema. Without
// a Redis that can be written to, everything works, only later.
func (a *API) readyToServe(c *gin.Context, _ caller) error {
	h := a.probe(c.Request.Context())
	status := http.StatusOK
	if h.Status == "unavailable" {
		status = http.StatusServiceUnavailable
		c.Header("Retry-After", "5")
	}
	return a.json(c, status, h)
}

func (a *API) probe(ctx context.Context) health {
	a.ready.mu.Lock()
	defer a.ready.mu.Unlock()
	if time.Since(a.ready.at) < fresh {
		return a.ready.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probing)
	defer cancel()
	h := health{Status: "ok", Postgres: "ok", Schema: "ok", Redis: "ok"}
	redis := make(chan error, 1)
	go func() { redis <- a.RedisCheck(ctx) }()
	schema := a.SchemaCheck(ctx)
	if err := <-redis; err != nil {
		h.Status, h.Redis, h.Reason = "degraded", "unavailable", queue.Reason(err)
	}
	switch {
	case errors.Is(schema, migrations.ErrNotCurrent):
		h.Status, h.Schema = "unavailable", "outdated"
	case schema != nil:
		h.Status, h.Postgres, h.Schema = "unavailable", "unavailable", ""
	}
	a.ready.at, a.ready.last = time.Now(), h
	return h
}
