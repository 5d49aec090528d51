package httpapi_test

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"rollcall/httpapi/problem"
)

// TestEveryCallAndEveryProblemHasAnExample: and each example of a problem is
// what the program would send. [TestDescriptionIsValid] checks examples against
// their schemas.
func TestEveryCallAndEveryProblemHasAnExample(t *testing.T) {
	t.Parallel()
	d := described(t)
	shown := map[problem.Code]bool{}
	for path, item := range d.doc.Paths.Map() {
		for method, o := range item.Operations() {
			at := method + " " + path
			if o.RequestBody != nil {
				for media, m := range o.RequestBody.Value.Content {
					if len(examplesOf(m)) == 0 && media != "multipart/form-data" { // its parts have examples
						t.Errorf("%s: no example of what to send", at)
					}
				}
			}
			for status, r := range o.Responses.Map() {
				for media, m := range r.Value.Content {
					examples := examplesOf(m)
					if len(examples) == 0 && (strings.HasSuffix(media, "json") && !strings.HasPrefix(path, "/openapi") || media == "text/csv" || media == "text/event-stream") {
						t.Errorf("%s: no example of %s as %s", at, status, media)
					}
					if media != problem.MediaType {
						continue
					}
					for name, v := range examples {
						shown[checkExample(t, at+" "+name, status, v)] = true
					}
				}
			}
		}
	}
	for _, code := range problem.Codes() {
		// Any path may respond with these two.
		if !shown[code] && code != problem.MethodNotAllowed {
			t.Errorf("no example of the problem %s", code)
		}
	}
}

// examplesOf are the examples of a body by name.
func examplesOf(m *openapi3.MediaType) map[string]any {
	all := map[string]any{}
	if m.Example != nil {
		all[""] = m.Example
	}
	for name, e := range m.Examples {
		all[name] = e.Value.Value
	}
	return all
}

// checkExample compares the example of a problem with the table of problems.
func checkExample(t *testing.T, at, status string, v any) problem.Code {
	t.Helper()
	e, _ := v.(map[string]any)
	code, _ := e["code"].(string)
	kind := problem.New(problem.Code(code), "")
	if string(kind.Code) != code {
		t.Errorf("%s: there is no problem %q", at, code)
		return ""
	}
	if got, _ := e["status"].(float64); int(got) != kind.Status || strconv.Itoa(kind.Status) != status {
		t.Errorf("%s: status %v under %s, want %d", at, e["status"], status, kind.Status)
	}
	if e["title"] != kind.Title || e["type"] != "https://rollcall.example.com/docs#"+code {
		t.Errorf("%s: %v, %v, want %q", at, e["title"], e["type"], kind.Title)
	}
	for _, member := range slices.Collect(maps.Keys(e)) {
		if e[member] == "" {
			t.Errorf("%s: %s is empty", at, member)
		}
	}
	return kind.Code
}
