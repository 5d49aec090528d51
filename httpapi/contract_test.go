package httpapi_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"rollcall/api"
	"rollcall/httpapi"
	"rollcall/httpapi/problem"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/webhook"
	"rollcall/wire"
)

// contract is the API's description, made strict: a member that it does not
// name is a mistake here, though clients are told to pass over it.
type contract struct{ doc *openapi3.T }

// loadContract reads the description once for all tests.
var loadContract = sync.OnceValues(func() (*contract, error) {
	d, err := api.Load()
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(d.YAML)
	if err != nil {
		return nil, err
	}
	c := &contract{doc}
	for _, s := range doc.Components.Schemas {
		c.tighten(s, map[*openapi3.Schema]bool{})
	}
	for _, item := range doc.Paths.Map() {
		for _, o := range item.Operations() {
			for _, r := range o.Responses.Map() {
				for media, m := range r.Value.Content {
					if strings.HasPrefix(o.OperationID, "getOpenAPI") || !strings.HasSuffix(media, "json") {
						continue
					}
					c.tighten(m.Schema, map[*openapi3.Schema]bool{})
				}
			}
		}
	}
	return c, nil
})

func described(t testing.TB) *contract {
	t.Helper()
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *contract) tighten(ref *openapi3.SchemaRef, seen map[*openapi3.Schema]bool) {
	if ref == nil || ref.Value == nil || seen[ref.Value] {
		return
	}
	s := ref.Value
	seen[s] = true
	if len(s.Properties) > 0 {
		s.AdditionalProperties = openapi3.BoolSchema{Has: new(bool)}
	}
	for _, p := range s.Properties {
		c.tighten(p, seen)
	}
	c.tighten(s.Items, seen)
	for _, each := range slices.Concat(s.OneOf, s.AnyOf, s.AllOf) {
		c.tighten(each, seen)
	}
}

// operation finds what a request is for; nil if it is described nowhere.
func (c *contract) operation(method, path string) (template string, o *openapi3.Operation, params map[string]string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, t := range slices.Sorted(slices.Values(c.doc.Paths.InMatchingOrder())) {
		found, ok := match(t, path)
		if op := c.doc.Paths.Value(t).GetOperation(method); ok && op != nil && (o == nil || len(found) < len(params)) {
			template, o, params = t, op, found
		}
	}
	return template, o, params
}

func match(template, path string) (params map[string]string, ok bool) {
	a, b := strings.Split(template, "/"), strings.Split(path, "/")
	if len(a) != len(b) {
		return nil, false
	}
	params = map[string]string{}
	for i := range a {
		if name, is := strings.CutPrefix(a[i], "{"); is {
			params[strings.TrimSuffix(name, "}")] = b[i]
		} else if a[i] != b[i] {
			return nil, false
		}
	}
	return params, true
}

// check holds an answer against the description.
func (c *contract) check(h *house, req *http.Request, a answer) {
	h.Helper()
	if id := a.header.Get("X-Request-Id"); len(id) != 36 || id[14] != '7' {
		h.Errorf("X-Request-Id %q is not a UUIDv7", id)
	}
	if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Content-Security-Policy") == "" {
		h.Errorf("%s %s: security headers are missing in %v", req.Method, req.URL.Path, a.header)
	}
	if a.status >= 400 && req.Method != http.MethodHead {
		c.checkProblem(h, a)
	}
	template, o, params := c.operation(req.Method, req.URL.Path)
	if o == nil || req.Method == http.MethodHead {
		return
	}
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: req, PathParams: params,
			Route: &routers.Route{Spec: c.doc, Path: template, PathItem: c.doc.Paths.Value(template), Method: req.Method, Operation: o},
		},
		Status: a.status, Header: a.header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: !strings.HasSuffix(media, "json")},
	}
	in.SetBodyBytes(a.body)
	if err := openapi3filter.ValidateResponse(h.Context(), in); err != nil {
		h.Errorf("%s %s: %v", req.Method, template, err)
		return
	}
	if r := o.Responses.Status(a.status).Value; len(r.Content) > 0 && r.Content.Get(media) == nil {
		h.Errorf("%s %s: status %d has no %s", req.Method, template, a.status, media)
	}
}

// checkProblem holds every answer of 400 and above against the schema of a
// problem, wherever it comes from. Not being ready is no problem of that kind.
func (c *contract) checkProblem(h *house, a answer) {
	h.Helper()
	media := a.header.Get("Content-Type")
	if media == "application/json" && a.status == http.StatusServiceUnavailable || a.status == http.StatusRequestedRangeNotSatisfiable {
		return
	}
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil || media != problem.MediaType {
		h.Errorf("status %d is no problem: %s %s (%v)", a.status, media, a.body, err)
		return
	}
	if err := c.doc.Components.Schemas["Problem"].Value.VisitJSON(v, openapi3.EnableJSONSchema2020(), openapi3.VisitAsResponse()); err != nil {
		h.Errorf("%s: %v", a.body, err)
	}
	if a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "" {
		h.Errorf("503 without Retry-After: %s", a.body)
	}
}

// TestDescriptionIsValid also holds every example against its schema.
func TestDescriptionIsValid(t *testing.T) {
	t.Parallel()
	d, err := api.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"YAML": d.YAML, "JSON": d.JSON} {
		doc, err := openapi3.NewLoader().LoadFromData(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryRouteIsDescribedAndEveryDescriptionHasARoute(t *testing.T) {
	t.Parallel()
	d := described(t)
	a, err := httpapi.New(httpapi.Deps{PublicURL: "http://localhost", MaxUploadBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	engine := httpapi.NewEngine()
	a.Register(engine)
	registered := map[string]bool{}
	for _, r := range engine.Routes() {
		path := pathParameter.ReplaceAllString(r.Path, "{$1}")
		if r.Method == http.MethodHead {
			continue // GET stands for it
		}
		registered[r.Method+" "+path] = true
		if item := d.doc.Paths.Value(path); item == nil || item.GetOperation(r.Method) == nil {
			t.Errorf("%s %s is not described", r.Method, path)
		}
		if !a.Owns(r.Path) {
			t.Errorf("the API does not own its own %s", r.Path)
		}
	}
	for path, item := range d.doc.Paths.Map() {
		for method := range item.Operations() {
			if !registered[method+" "+path] {
				t.Errorf("%s %s is described but not there", method, path)
			}
		}
	}
	for _, path := range []string{"/", "/admin/users", "/apis", "/docsx", "/invite/token"} {
		if a.Owns(path) {
			t.Errorf("the API owns %s", path)
		}
	}
}

// pathParameter is how gin writes what the description has in braces.
var pathParameter = regexp.MustCompile(`:(\w+)`)

// consts are the values of a schema that lists them.
func (c *contract) consts(schema string) (values []string) {
	for _, each := range c.doc.Components.Schemas[schema].Value.OneOf {
		values = append(values, each.Value.Const.(string))
	}
	slices.Sort(values)
	return values
}

func TestDescribedCodesAreTheProgramsOwn(t *testing.T) {
	t.Parallel()
	d := described(t)
	var rows, files []string
	for _, e := range roster.Catalogue() {
		if e.Scope == "row" {
			rows = append(rows, string(e.Code))
		} else {
			files = append(files, string(e.Code))
		}
	}
	for schema, want := range map[string][]string{
		"ProblemCode":      texts(problem.Codes()...),
		"RowCode":          rows,
		"FileCode":         files,
		"ImportStatus":     texts(roster.Queued, roster.Checking, roster.Ready, roster.Importing, roster.Completed, roster.Canceled, roster.Failed),
		"DeliveryStatus":   texts(storage.DeliveryPending, storage.DeliveryDelivered, storage.DeliveryFailed),
		"DeliveryOutcome":  texts(webhook.OK, webhook.Gone, webhook.Refused, webhook.Redirected, webhook.TimedOut, webhook.Barred, webhook.NoName, webhook.BadTLS, webhook.NoAnswer, webhook.Unsent),
		"EventType":        texts(wire.EventType(roster.Completed), wire.EventType(roster.Canceled), wire.EventType(roster.Failed)),
		"UserStatus":       texts(roster.Invited, roster.Active, roster.Disabled),
		"InvitationStatus": texts(roster.InvitationHeld, roster.InvitationPending, roster.InvitationSent, roster.InvitationFailed, roster.InvitationAccepted, roster.InvitationExpired, roster.InvitationRevoked),
	} {
		slices.Sort(want)
		if got := d.consts(schema); !slices.Equal(got, want) {
			t.Errorf("%s describes %v, want %v", schema, got, want)
		}
	}
	var verdicts []string
	for _, each := range d.doc.Components.Schemas["Row"].Value.Properties["verdict"].Value.OneOf {
		verdicts = append(verdicts, each.Value.Const.(string))
	}
	if want := texts(report.Import, report.Update, report.Fail); !slices.Equal(verdicts, want) {
		t.Errorf("verdicts %v, want %v", verdicts, want)
	}
}

func texts[T ~string](values ...T) []string {
	s := make([]string, len(values))
	for i, v := range values {
		s[i] = string(v)
	}
	return s
}
