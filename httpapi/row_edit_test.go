package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rollcall/roster"
)

// previewedRow is a row as the API sends it.
type previewedRow struct {
	Row      int64
	Values   map[string]string
	Action   string
	Edits    map[string]roster.FieldChange
	Problems []struct{ Field, Reason, Message, Suggestion string }
}

func (r previewedRow) String() string {
	text := fmt.Sprint(r.Row, " ", r.Values["email"], " ", r.Action)
	for _, p := range r.Problems {
		text += " " + p.Field + ":" + p.Reason
	}
	return text
}

// editRow sends a PATCH and returns the row it answers with.
func (h *testEnv) editRow(self string, row int64, cells string) previewedRow {
	h.Helper()
	a := h.do(call{method: "PATCH", path: fmt.Sprintf("%s/rows/%d", self, row), header: http.Header{"Content-Type": {"application/merge-patch+json"}}, body: strings.NewReader(cells)})
	h.want(a, http.StatusOK)
	return as[previewedRow](h, a)
}

func (h *testEnv) rows(self string) (list []string) {
	h.Helper()
	page := as[struct{ Items []previewedRow }](h, h.get(self+"/rows"))
	for _, r := range page.Items {
		list = append(list, r.String())
	}
	return list
}

// TestEditRow edits rows of a dry run whose addresses are tied, undoes one edit, and
// imports what was previewed.
func TestEditRow(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	a := h.upload([]field{file("email,name,role\nann@example.com,Ann,\nbad,Bob,\nann@example.com,Cy,\ndee@example.com,Dee,boss\n"), {name: "dry_run", value: "true"}})
	h.want(a, http.StatusOK)
	i := as[importBody](t, a)
	self := i.Links.Self
	etag := h.get(self).header.Get("ETag")
	for _, step := range []struct {
		row    int64
		cells  string
		answer string
		rows   string
		valid  int64
	}{
		{3, `{"email": " bob@example.com "}`, "3 bob@example.com create", "2 ann@example.com create|3 bob@example.com create|4 ann@example.com fail email:duplicate_email|5 dee@example.com fail role:invalid_role", 2},
		// The first of two rows with one address gets another: the second one is free.
		{2, `{"email": "ann.lee@example.com", "name": "Ann Lee"}`, "2 ann.lee@example.com create", "2 ann.lee@example.com create|3 bob@example.com create|4 ann@example.com create|5 dee@example.com fail role:invalid_role", 3},
		{5, `{"role": "admin", "email": "BOB@example.com"}`, "5 BOB@example.com fail email:duplicate_email", "2 ann.lee@example.com create|3 bob@example.com create|4 ann@example.com create|5 BOB@example.com fail email:duplicate_email", 3},
		{5, `{"email": null}`, "5 dee@example.com create", "2 ann.lee@example.com create|3 bob@example.com create|4 ann@example.com create|5 dee@example.com create", 4},
		// An earlier row takes the address of a later one, as in any file.
		{2, `{"email": "dee@example.com"}`, "2 dee@example.com create", "2 dee@example.com create|3 bob@example.com create|4 ann@example.com create|5 dee@example.com fail email:duplicate_email", 3},
		{2, `{"email": "ann.lee@example.com"}`, "2 ann.lee@example.com create", "2 ann.lee@example.com create|3 bob@example.com create|4 ann@example.com create|5 dee@example.com create", 4},
	} {
		if got := h.editRow(self, step.row, step.cells).String(); got != step.answer {
			t.Errorf("row %d %s: %s, want %s", step.row, step.cells, got, step.answer)
		}
		if got := strings.Join(h.rows(self), "|"); got != step.rows {
			t.Errorf("after row %d %s:\n got %s\nwant %s", step.row, step.cells, got, step.rows)
		}
		now := h.get(self)
		if tag := now.header.Get("ETag"); tag == etag {
			t.Errorf("row %d %s: same ETag", step.row, step.cells)
		} else {
			etag = tag
		}
		if b := as[importBody](t, now); b.Valid != step.valid || b.Failed != 4-step.valid || b.Plan.Create != step.valid {
			t.Errorf("row %d %s: valid %d failed %d plan %+v", step.row, step.cells, b.Valid, b.Failed, b.Plan)
		}
	}
	if r := h.editRow(self, 2, `{"name": "Ann Lee"}`); fmt.Sprint(r.Edits) != "map[email:{ann@example.com ann.lee@example.com} name:{Ann Ann Lee}]" {
		t.Errorf("edits %v", r.Edits)
	}
	if b := as[importBody](t, h.get(self)); b.Plan.AdminsGained != 1 || b.Admins != 1 {
		t.Errorf("administrators %d, planned %+v", b.Admins, b.Plan)
	}
	done := h.do(call{method: "POST", path: self + "/confirm", header: http.Header{"Prefer": {"wait=20"}}})
	h.want(done, http.StatusOK)
	if b := as[importBody](t, done); b.Imported != 4 || b.Failed != 0 {
		t.Errorf("imported %d, failed %d", b.Imported, b.Failed)
	}
	results := string(h.get(self + "/results.csv").body)
	for _, line := range []string{"2,2,ann.lee@example.com,imported", "3,3,bob@example.com,imported", "4,4,ann@example.com,imported", "5,5,dee@example.com,imported"} {
		if !strings.Contains(results, line) {
			t.Errorf("no %q in\n%s", line, results)
		}
	}
	if original := string(h.get(self + "/file").body); !strings.Contains(original, "bad,Bob") {
		t.Errorf("the upload has changed: %s", original)
	}
	h.wantProblem(h.do(call{method: "PATCH", path: self + "/rows/2", header: http.Header{"Content-Type": {"application/json"}}, body: strings.NewReader(`{"name":"X"}`)}), http.StatusConflict, "wrong_state")
}

// TestEditRowRefusals: what can't be edited changes nothing, and says why.
func TestEditRowRefusals(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	a := h.upload([]field{file("email,name\nbad,Bob\nann@example.com,Ann\nmore,cells,than,fit\n"), {name: "dry_run", value: "true"}})
	h.want(a, http.StatusOK)
	self := as[importBody](t, a).Links.Self
	patch := func(path, body string) answer {
		return h.do(call{method: "PATCH", path: self + path, header: http.Header{"Content-Type": {"application/json"}}, body: strings.NewReader(body)})
	}
	for _, c := range []struct {
		path, body string
		status     int
		code       string
	}{
		{"/rows/9", `{"name": "X"}`, http.StatusNotFound, "not_found"},
		{"/rows/1", `{"name": "X"}`, http.StatusNotFound, "not_found"},
		{"/rows/x", `{"name": "X"}`, http.StatusNotFound, "not_found"},
		{"/rows/2", `{}`, http.StatusBadRequest, "invalid_parameter"},
		{"/rows/2", `{"role": "user"}`, http.StatusBadRequest, "invalid_parameter"},
		{"/rows/2", `{"nickname": "Bo"}`, http.StatusBadRequest, "invalid_parameter"},
		{"/rows/2", `{"email": 7}`, http.StatusBadRequest, "invalid_parameter"},
		{"/rows/2", `{"name": "` + strings.Repeat("x", 5000) + `"}`, http.StatusBadRequest, "invalid_parameter"},
		{"/rows/2", `{"name": "a\u0000b"}`, http.StatusBadRequest, "invalid_parameter"},
	} {
		h.wantProblem(patch(c.path, c.body), c.status, c.code)
	}
	if got := strings.Join(h.rows(self), "|"); got != "2 bad fail email:invalid_email|3 ann@example.com create|4 more fail :malformed_row" {
		t.Errorf("rows %s", got)
	}
	// A row that can't be split into cells is given as a whole.
	if got := h.editRow(self, 4, `{"email": "cy@example.com"}`).String(); got != "4 cy@example.com fail name:missing_required_field" {
		t.Errorf("row 4: %s", got)
	}
	if got := h.editRow(self, 4, `{"name": "Cy"}`).String(); got != "4 cy@example.com create" {
		t.Errorf("row 4: %s", got)
	}
	if got := h.editRow(self, 4, `{"name": null, "email": null}`).String(); got != "4 more fail :malformed_row" {
		t.Errorf("row 4 as it was: %s", got)
	}
	stranger := h.token("imports")
	h.wantProblem(h.do(call{method: "PATCH", path: self + "/rows/2", token: stranger, header: http.Header{"Content-Type": {"application/json"}}, body: strings.NewReader(`{"name":"X"}`)}), http.StatusNotFound, "not_found")
}

// TestApplySuggestions applies the suggestions for one reason, then all, up to the
// limit of edited rows.
func TestApplySuggestions(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	var content strings.Builder
	content.WriteString("email,name,role\n")
	for n := range 1002 {
		fmt.Fprintf(&content, "<p%d@example.com>,P,\n", n)
	}
	content.WriteString("ann@example.com,Ann,Administrator\n")
	a := h.upload([]field{file(content.String()), {name: "dry_run", value: "true"}})
	h.want(a, http.StatusOK)
	self := as[importBody](t, a).Links.Self
	apply := func(body string) answer {
		return h.do(call{method: "POST", path: self + "/suggestions", header: http.Header{"Content-Type": {"application/json"}}, body: strings.NewReader(body)})
	}
	h.wantProblem(apply(`{"reason": "nonsense"}`), http.StatusBadRequest, "invalid_parameter")
	for _, c := range []struct{ body, want string }{
		{`{"reason": "invalid_role"}`, `{"applied":1,"left":0}`},
		{`{"reason": "invalid_role"}`, `{"applied":0,"left":0}`},
		{``, `{"applied":999,"left":3}`},
	} {
		a := apply(c.body)
		h.want(a, http.StatusOK)
		if string(a.body) != c.want {
			t.Errorf("%s: %s, want %s", c.body, a.body, c.want)
		}
	}
	h.wantProblem(apply(``), http.StatusConflict, "too_many_edits")
	h.wantProblem(h.do(call{method: "PATCH", path: self + "/rows/1003", header: http.Header{"Content-Type": {"application/json"}}, body: strings.NewReader(`{"email":"x@example.com"}`)}), http.StatusConflict, "too_many_edits")
	if b := as[importBody](t, h.get(self)); b.Valid != 1000 || b.Failed != 3 {
		t.Errorf("valid %d, failed %d", b.Valid, b.Failed)
	}
}
