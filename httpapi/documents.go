package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"rollcall/api"
	"rollcall/httpapi/problem"
	"rollcall/storage"
)

// cached allows caching of responses that are the same for every client.
const cached = "public, max-age=300"

// renderDocs renders the docs page with the table of problem codes.
func renderDocs() ([]byte, error) {
	var codes []api.ProblemCode
	for _, code := range problem.Codes() {
		p := problem.New(code, "")
		codes = append(codes, api.ProblemCode{Code: string(code), Status: p.Status, Title: p.Title})
	}
	return api.DocsPage(codes)
}

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
	c.Header("Content-Security-Policy", api.DocsPolicy)
	return document(c, "text/html; charset=utf-8", a.docsPage)
}

// docsAsset is GET /docs/{file}.
func (a *API) docsAsset(c *gin.Context, _ caller) error {
	asset, ok := api.FindDocsAsset(c.Param("file"))
	if !ok {
		return storage.ErrNotFound
	}
	body, encoding, err := asset.Content(strings.Contains(c.GetHeader("Accept-Encoding"), "gzip"))
	if err != nil {
		return fmt.Errorf("serve docs: %w", err)
	}
	if encoding != "" {
		c.Header("Content-Encoding", encoding)
	}
	c.Header("Vary", "Accept-Encoding")
	return document(c, asset.MediaType, body)
}

func document(c *gin.Context, mediaType string, body []byte) error {
	c.Header("Cache-Control", cached)
	c.Header("Content-Length", strconv.Itoa(len(body)))
	c.Data(http.StatusOK, mediaType, body)
	return nil
}
