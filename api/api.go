// Package api holds the description of the HTTP API, an OpenAPI 3.1 document
// written by hand, and makes of it what is served: the document as YAML and as
// JSON, and a page to read that needs nothing from elsewhere.
package api

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed openapi.yaml
var document []byte

//go:embed page.css
var stylesheet []byte

// Description is the API's description in every form in which it is served.
type Description struct {
	YAML       []byte // as written
	JSON       []byte // the same, members in the same order
	Page       []byte // HTML
	Stylesheet []byte // CSS of the page, which expects it under /docs/style.css
}

// Load makes the forms of the description, once; they must not be changed. It
// fails only if the document in the program is broken.
func Load() (*Description, error) { return loaded() }

var loaded = sync.OnceValues(load)

func load() (*Description, error) {
	asJSON, err := yaml.YAMLToJSON(document)
	if err != nil {
		return nil, fmt.Errorf("convert API description to JSON: %w", err)
	}
	page, err := renderPage(asJSON)
	if err != nil {
		return nil, fmt.Errorf("render API description: %w", err)
	}
	return &Description{YAML: document, JSON: asJSON, Page: page, Stylesheet: stylesheet}, nil
}
