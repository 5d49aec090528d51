package api

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

//go:embed docs/index.html
var docsTemplate string

//go:embed docs/docs.js
var docsScript []byte

//go:embed docs/docs.css
var docsStyle []byte

//go:embed docs/swagger-ui/swagger-ui-bundle.js.gz
var viewerScript []byte

//go:embed docs/swagger-ui/swagger-ui.css.gz
var viewerStyle []byte

// DocsPolicy is the Content-Security-Policy of the page: nothing from other
// hosts and nothing inline, but for the viewer's icons, which are data URLs in its
// stylesheet. It sends requests to the API when a reader tries an operation.
const DocsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; " +
	"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// ProblemCode is one line in the page's table of problem codes.
type ProblemCode struct {
	Code   string
	Status int
	Title  string
}

// DocsPage renders the HTML page that shows the description. Each problem code
// is the id of its line, so that the type of a problem can link to it.
func DocsPage(problems []ProblemCode) ([]byte, error) {
	t, err := template.New("docs").Parse(docsTemplate)
	if err != nil {
		return nil, fmt.Errorf("parse docs page: %w", err)
	}
	var page bytes.Buffer
	if err := t.Execute(&page, problems); err != nil {
		return nil, fmt.Errorf("render docs page: %w", err)
	}
	return page.Bytes(), nil
}

// DocsAsset is a stylesheet or script of the docs page.
type DocsAsset struct {
	MediaType string
	body      []byte
	gzipped   bool // body is compressed
}

var docsAssets = map[string]DocsAsset{
	"docs.js":              {"text/javascript; charset=utf-8", docsScript, false},
	"docs.css":             {"text/css; charset=utf-8", docsStyle, false},
	"swagger-ui-bundle.js": {"text/javascript; charset=utf-8", viewerScript, true},
	"swagger-ui.css":       {"text/css; charset=utf-8", viewerStyle, true},
}

// FindDocsAsset finds the file of the page named /docs/{name}.
func FindDocsAsset(name string) (DocsAsset, bool) {
	a, ok := docsAssets[name]
	return a, ok
}

// Content is the asset's bytes. They are compressed, and encoding is "gzip", if
// the asset is stored so and the client accepts it; else encoding is "".
func (a DocsAsset) Content(acceptGzip bool) (body []byte, encoding string, err error) {
	switch {
	case !a.gzipped:
		return a.body, "", nil
	case acceptGzip:
		return a.body, "gzip", nil
	}
	r, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		return nil, "", fmt.Errorf("unpack docs asset: %w", err)
	}
	if body, err = io.ReadAll(r); err != nil {
		return nil, "", fmt.Errorf("unpack docs asset: %w", err)
	}
	return body, "", nil
}
