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
	"rollcall/apitypes"
	"rollcall/httpapi"
	"rollcall/httpapi/problem"
	"rollcall/report"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/webhook"
)

// contract is the API description, made strict: an undocumented member is an
// error here, although clients must ignore it.
type contract struct {
	doc   *openapi3.T
	event *openapi3.Schema // the body of a webhook delivery
}

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
	event := doc.Webhooks["importEnded"].Post.RequestBody.Value.Content["application/json"].Schema
	c := &contract{doc, event.Value}
	c.tighten(event, map[*openapi3.Schema]bool{})
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
	if len(s.Properties) > 0 && s.AdditionalProperties.Schema == nil {
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

// operation finds the operation of a request; nil if it is not documented.
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

// check compares a response with the description.
func (c *contract) check(h *testEnv, req *http.Request, a answer) {
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

// checkProblem checks every response of 400 and above against the schema of a
// problem. The readiness response is the exception.
func (c *contract) checkProblem(h *testEnv, a answer) {
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

// TestEveryValueIsExplained: the description of a schema whose values are not
// self-explanatory lists each of them.
func TestEveryValueIsExplained(t *testing.T) {
	t.Parallel()
	for name, s := range described(t).doc.Components.Schemas {
		for _, value := range enum(s) {
			if name != "Role" && name != "OnDuplicate" && !strings.Contains(s.Value.Description, "- `"+value+"`: ") {
				t.Errorf("%s does not explain %s", name, value)
			}
		}
	}
}

// TestDescriptionIsValid also checks every example against its schema.
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
			continue // covered by GET
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

// pathParameter matches gin's form of the path parameters that the description
// has in braces.
var pathParameter = regexp.MustCompile(`:(\w+)`)

// values returns the values that a schema lists, sorted.
func (c *contract) values(schema string) []string {
	return enum(c.doc.Components.Schemas[schema])
}

// enum is the values of a schema, sorted.
func enum(s *openapi3.SchemaRef) (values []string) {
	for _, each := range s.Value.Enum {
		values = append(values, each.(string))
	}
	slices.Sort(values)
	return values
}

func TestDescribedCodesAreTheProgramsOwn(t *testing.T) {
	t.Parallel()
	d := described(t)
	var rows, files []string
	for _, e := range roster.ErrorCatalog() {
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
		"ImportStatus":     texts(roster.Queued, roster.Checking, roster.Ready, roster.Held, roster.Importing, roster.Completed, roster.Canceled, roster.Failed),
		"DeliveryStatus":   texts(storage.DeliveryPending, storage.DeliveryDelivered, storage.DeliveryFailed),
		"DeliveryOutcome":  texts(webhook.OK, webhook.Gone, webhook.Refused, webhook.Redirected, webhook.TimedOut, webhook.Barred, webhook.NoName, webhook.BadTLS, webhook.NoAnswer, webhook.Unsent),
		"EventType":        apitypes.EventTypes(),
		"ChangeType":       texts(roster.ChangeTypes()...),
		"UserStatus":       texts(roster.Invited, roster.Active, roster.Disabled),
		"InvitationStatus": texts(roster.InvitationHeld, roster.InvitationPending, roster.InvitationSent, roster.InvitationFailed, roster.InvitationBounced, roster.InvitationAccepted, roster.InvitationExpired, roster.InvitationRevoked),
	} {
		slices.Sort(want)
		if got := d.values(schema); !slices.Equal(got, want) {
			t.Errorf("%s describes %v, want %v", schema, got, want)
		}
	}
	verdicts := enum(d.doc.Components.Schemas["Row"].Value.Properties["verdict"])
	if want := texts(report.Fail, report.Import, report.Update); !slices.Equal(verdicts, want) {
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
