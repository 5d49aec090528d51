package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
)

//go:embed page.html
var pageTemplate string

// page is what the template shows.
type page struct {
	Title, Version string
	Lead           template.HTML
	Auth           template.HTML
	Groups         []group
	Schemas        []schemaView
}

type group struct {
	Name       string
	Lead       template.HTML
	Operations []operationView
}

type operationView struct {
	ID, Method, Path, Summary string
	Lead                      template.HTML
	Parameters                []fieldView
	BodyType                  string
	Body                      []fieldView
	Responses                 []responseView
}

type fieldView struct {
	Name, In string
	Type     template.HTML
	Required bool
	Lead     template.HTML
}

type responseView struct {
	Status   string
	Lead     template.HTML
	Headers  []fieldView
	Contents []contentView
}

type contentView struct {
	Media    string
	Type     template.HTML
	Examples []string
}

type schemaView struct {
	Name   string
	Lead   template.HTML
	Fields []fieldView
	Values []valueView
}

type valueView struct {
	ID, Value string
	Lead      template.HTML
}

// problemCodes is the schema whose values are where the types of problems lead.
const problemCodes = "ProblemCode"

// renderPage makes the page of the document.
func renderPage(asJSON []byte) ([]byte, error) {
	var doc openAPI
	if err := json.Unmarshal(asJSON, &doc); err != nil {
		return nil, err
	}
	t, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return nil, err
	}
	p, err := doc.page()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (d *openAPI) page() (p page, err error) {
	p = page{Title: d.Info.Title, Version: d.Info.Version, Lead: prose(d.Info.Description)}
	for _, s := range d.Components.SecuritySchemes {
		p.Auth += prose(s.Value.Description)
	}
	for _, t := range d.Tags {
		g := group{Name: t.Name, Lead: prose(t.Description)}
		if g.Operations, err = d.operations(t.Name); err != nil {
			return p, err
		}
		p.Groups = append(p.Groups, g)
	}
	for _, s := range d.Components.Schemas {
		if !s.Value.ownPlace() {
			continue
		}
		v, err := d.viewSchema(s.Name, s.Value)
		if err != nil {
			return p, fmt.Errorf("schema %s: %w", s.Name, err)
		}
		p.Schemas = append(p.Schemas, v)
	}
	return p, nil
}

// operations are those with the tag, in the order of the document.
func (d *openAPI) operations(tag string) (views []operationView, err error) {
	for _, item := range d.Paths {
		for _, o := range []struct {
			method string
			*operation
		}{{"GET", item.Value.Get}, {"POST", item.Value.Post}, {"PUT", item.Value.Put}, {"DELETE", item.Value.Delete}} {
			if o.operation == nil || !slices.Contains(o.Tags, tag) {
				continue
			}
			v, err := d.operation(o.operation, item.Value.Parameters)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", o.method, item.Name, err)
			}
			v.Method, v.Path = o.method, item.Name
			views = append(views, v)
		}
	}
	return views, nil
}

func (d *openAPI) operation(o *operation, shared []parameter) (v operationView, err error) {
	v = operationView{ID: o.OperationID, Summary: o.Summary, Lead: prose(o.Description)}
	for _, p := range slices.Concat(shared, o.Parameters) {
		if p.Ref != "" {
			if p, err = find(d.Components.Parameters, p.Ref); err != nil {
				return v, err
			}
		}
		f, err := d.field(p.Name, p.Schema, p.Description)
		if err != nil {
			return v, err
		}
		f.In, f.Required = p.In, p.Required
		v.Parameters = append(v.Parameters, f)
	}
	if o.RequestBody != nil {
		for _, m := range o.RequestBody.Content {
			v.BodyType = m.Name
			if v.Body, err = d.fields(m.Value.Schema); err != nil {
				return v, err
			}
		}
	}
	for _, r := range o.Responses {
		view, err := d.response(r.Name, r.Value)
		if err != nil {
			return v, err
		}
		v.Responses = append(v.Responses, view)
	}
	return v, nil
}

// fields are the members of an object.
func (d *openAPI) fields(s *schema) (fields []fieldView, err error) {
	for _, m := range s.Properties {
		f, err := d.field(m.Name, m.Value, m.Value.Description)
		if err != nil {
			return nil, err
		}
		f.Required = slices.Contains(s.Required, m.Name)
		fields = append(fields, f)
	}
	return fields, nil
}

// field describes a named value: in its own words, or else in those of the
// schema it refers to. A schema that is no more than a type is told on the spot.
func (d *openAPI) field(name string, s *schema, description string) (fieldView, error) {
	if s.Ref != "" {
		named, err := find(d.Components.Schemas, s.Ref)
		if err != nil {
			return fieldView{}, err
		}
		if description == "" {
			description = named.Description
		}
		if !named.ownPlace() {
			s = named
		}
	}
	return fieldView{Name: name, Type: typeOf(s), Lead: prose(description)}, nil
}

func (d *openAPI) response(status string, r response) (v responseView, err error) {
	if r.Ref != "" {
		if r, err = find(d.Components.Responses, r.Ref); err != nil {
			return v, err
		}
	}
	v = responseView{Status: status, Lead: prose(r.Description)}
	for _, m := range r.Headers {
		h := m.Value
		if h.Ref != "" {
			if h, err = find(d.Components.Headers, h.Ref); err != nil {
				return v, err
			}
		}
		v.Headers = append(v.Headers, fieldView{Name: m.Name, Lead: prose(h.Description)})
	}
	for _, m := range r.Content {
		c := contentView{Media: m.Name, Type: typeOf(m.Value.Schema)}
		if c.Examples, err = d.examples(m.Value); err != nil {
			return v, err
		}
		v.Contents = append(v.Contents, c)
	}
	return v, nil
}

func (d *openAPI) examples(m mediaType) (texts []string, err error) {
	raws := []json.RawMessage{}
	if m.Example != nil {
		raws = append(raws, m.Example)
	}
	for _, e := range m.Examples {
		if e.Value.Ref != "" {
			if e.Value, err = find(d.Components.Examples, e.Value.Ref); err != nil {
				return nil, err
			}
		}
		raws = append(raws, e.Value.Value)
	}
	for _, raw := range raws {
		var text string
		if json.Unmarshal(raw, &text) == nil { // not JSON itself: CSV, say
			texts = append(texts, text)
			continue
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, raw, "", "  "); err != nil {
			return nil, err
		}
		texts = append(texts, indented.String())
	}
	return texts, nil
}

func (d *openAPI) viewSchema(name string, s *schema) (v schemaView, err error) {
	v = schemaView{Name: name, Lead: prose(s.Description)}
	if v.Fields, err = d.fields(s); err != nil {
		return v, err
	}
	for _, each := range s.OneOf {
		value := valueView{Value: fmt.Sprint(each.Const), Lead: prose(each.Description)}
		if name == problemCodes {
			value.ID = value.Value
		}
		v.Values = append(v.Values, value)
	}
	return v, nil
}

// typeOf says in a few words what a value is, with links to named schemas.
func typeOf(s *schema) template.HTML {
	switch {
	case s == nil:
		return ""
	case s.Ref != "":
		name := template.HTMLEscapeString(refName(s.Ref))
		return template.HTML(`<a href="#schema-` + name + `">` + name + `</a>`)
	case s.Items != nil:
		return "list of " + typeOf(s.Items)
	case len(s.OneOf) > 0:
		return "one of the values below"
	case len(s.AnyOf) > 0:
		words := make([]string, len(s.AnyOf))
		for i, each := range s.AnyOf {
			words[i] = string(typeOf(each))
		}
		return template.HTML(strings.Join(words, " or "))
	}
	text := strings.Join(s.Type, " or ")
	if s.Format != "" {
		text += ", " + s.Format
	}
	if len(s.Enum) > 0 {
		values := make([]string, len(s.Enum))
		for i, e := range s.Enum {
			values[i] = fmt.Sprint(e)
		}
		text = strings.Join(values, " or ")
	}
	if s.Minimum != nil && s.Maximum != nil {
		text += fmt.Sprintf(", %s to %s", *s.Minimum, *s.Maximum)
	}
	if s.MaxLength != nil {
		text += fmt.Sprintf(", at most %d characters", *s.MaxLength)
	}
	if s.Default != nil {
		text += fmt.Sprintf(", %v by default", s.Default)
	}
	return template.HTML(template.HTMLEscapeString(text))
}

// prose turns the little of CommonMark that the document uses into HTML:
// paragraphs, indented code and `code`. Everything is escaped first.
func prose(text string) template.HTML {
	var out strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		if strings.TrimSpace(paragraph) == "" {
			continue
		}
		if code, indented := strings.CutPrefix(paragraph, "    "); indented {
			code = strings.ReplaceAll(code, "\n    ", "\n")
			out.WriteString("<pre><code>" + template.HTMLEscapeString(code) + "</code></pre>")
			continue
		}
		out.WriteString("<p>")
		for i, piece := range strings.Split(template.HTMLEscapeString(strings.TrimSpace(paragraph)), "`") {
			if i%2 == 1 {
				piece = "<code>" + piece + "</code>"
			}
			out.WriteString(piece)
		}
		out.WriteString("</p>")
	}
	return template.HTML(out.String())
}
