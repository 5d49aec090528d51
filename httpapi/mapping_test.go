package httpapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/roster"
)

// TestMappingProposed: for a file with unknown headers, programs and people get
// a suggested mapping, and that mapping works.
func TestMappingProposed(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	const people = "E-Mail Address,Name,Dept\na@example.com,Ann,Sales\n"
	type proposal struct {
		Mapping  map[string]string
		Warnings []roster.Warning
	}
	refused := h.upload([]field{file(people)})
	h.wantProblem(refused, 422, "missing_column")
	if diff := cmp.Diff(map[string]string{"email": "E-Mail Address"}, as[proposal](t, refused).Mapping); diff != "" {
		t.Fatalf("mapping of the problem (-want +got):\n%s", diff)
	}
	dry := h.upload([]field{file(people), {name: "dry_run", value: "true"}, {name: "mapping", value: `{"email": "E-Mail Address"}`}})
	h.want(dry, 200)
	want := []roster.Warning{{
		Code: roster.WarnUnknownColumns, Columns: []string{"Dept"}, Mapping: map[roster.Column]roster.Headers{"department": "Dept"},
		Message: `These columns are not used: "Dept". Does "Dept" hold the department? Then send mapping {"department": "Dept"}.`,
	}}
	if diff := cmp.Diff(want, as[proposal](t, dry).Warnings); diff != "" {
		t.Fatalf("warnings of the dry run (-want +got):\n%s", diff)
	}
}

// TestTextThatNoDatabaseHolds: bytes that are not text are an error of the
// caller.
func TestTextThatNoDatabaseHolds(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	for _, query := range []string{"q=%00", "q=%FF", "department=%00", "department=a%FFb", "email=%00"} {
		h.wantProblem(h.get("/api/admin/users?"+query), 400, "invalid_parameter")
	}
	h.wantProblem(h.upload([]field{file("email,name\n"), {name: "mapping", value: `{"email": "\u0000"}`}}), 400, "invalid_parameter")
}
