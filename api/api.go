// Package api holds the description of the HTTP API, an OpenAPI 3.1 document
// written by hand, and the page that shows it: Swagger UI, with everything it
// needs in this program.
package api

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed openapi.yaml
var document []byte

// Description is the API's description in every form in which it is served.
type Description struct {
	YAML []byte // as written
	JSON []byte // the same, members in the same order
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
	return &Description{YAML: document, JSON: asJSON}, nil
}
