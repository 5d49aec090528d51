package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// The types below are as much of OpenAPI 3.1 as the page shows.

type openAPI struct {
	Info struct {
		Title, Version, Summary, Description string
	}
	Tags       []tag
	Paths      ordered[pathItem]
	Components components
}

type tag struct{ Name, Description string }

type components struct {
	SecuritySchemes ordered[struct{ Description string }]
	Parameters      ordered[parameter]
	Responses       ordered[response]
	Headers         ordered[header]
	Schemas         ordered[*schema]
	Examples        ordered[example]
}

type pathItem struct {
	Parameters []parameter
	Get, Post  *operation
	Put        *operation
	Delete     *operation
}

type operation struct {
	OperationID, Summary, Description string
	Tags                              []string
	Parameters                        []parameter
	RequestBody                       *struct{ Content ordered[mediaType] }
	Responses                         ordered[response]
}

type parameter struct {
	Ref                   string `json:"$ref"`
	Name, In, Description string
	Required              bool
	Schema                *schema
	Example               any
}

type response struct {
	Ref         string `json:"$ref"`
	Description string
	Headers     ordered[header]
	Content     ordered[mediaType]
}

type header struct {
	Ref         string `json:"$ref"`
	Description string
}

type mediaType struct {
	Schema   *schema
	Example  json.RawMessage
	Examples ordered[example]
}

type example struct {
	Ref     string `json:"$ref"`
	Summary string
	Value   json.RawMessage
}

type schema struct {
	Ref         string `json:"$ref"`
	Type        names
	Format      string
	Description string
	Enum        []any
	Const       any
	Default     any
	Minimum     *json.Number
	Maximum     *json.Number
	MinLength   *int
	MaxLength   *int
	MaxItems    *int
	Required    []string
	Properties  ordered[*schema]
	Items       *schema
	OneOf       []*schema
	AnyOf       []*schema
}

// ownPlace tells whether a named schema has enough to it for a place of its
// own on the page: members, or values that are explained.
func (s *schema) ownPlace() bool { return len(s.Properties) > 0 || len(s.OneOf) > 0 }

// names is a text or a list of texts.
type names []string

func (n *names) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*n = names{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(n))
}

// ordered is a JSON object whose members keep their order.
type ordered[T any] []member[T]

type member[T any] struct {
	Name  string
	Value T
}

func (o *ordered[T]) UnmarshalJSON(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("want an object, have %v (%v)", t, err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		m := member[T]{Name: name.(string)}
		if err := d.Decode(&m.Value); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		*o = append(*o, m)
	}
	return nil
}

// find resolves a reference into a section of the components, such as
// #/components/schemas/User.
func find[T any](section ordered[T], ref string) (value T, err error) {
	name := refName(ref)
	for _, m := range section {
		if m.Name == name {
			return m.Value, nil
		}
	}
	return value, fmt.Errorf("reference %s leads nowhere", ref)
}

func refName(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }
