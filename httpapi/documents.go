package httpapi

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
)

// cached lets anybody keep what is the same for everybody.
const cached = "public, max-age=300"

// openAPIJSON is GET /openapi.json.
func (a *API) openAPIJSON(c *gin.Context, _ caller) error {
	return document(c, "application/json", a.described.JSON)
}

// openAPIYAML is GET /openapi.yaml.
func (a *API) openAPIYAML(c *gin.Context, _ caller) error {
	return document(c, "application/yaml", a.described.YAML)
}

// docs is GET /docs.
func (a *API) docs(c *gin.Context, _ caller) error {
	c.Header("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	return document(c, "text/html; charset=utf-8", a.described.Page)
}

// docsStyle is GET /docs/style.css.
func (a *API) docsStyle(c *gin.Context, _ caller) error {
	return document(c, "text/css; charset=utf-8", a.described.Stylesheet)
}

func document(c *gin.Context, mediaType string, body []byte) error {
	c.Header("Cache-Control", cached)
	c.Header("Content-Length", strconv.Itoa(len(body)))
	c.Data(http.StatusOK, mediaType, body)
	return nil
}
