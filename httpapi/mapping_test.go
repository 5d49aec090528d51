package httpapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/roster"
)

// TestMappingProposed: a file with other people's headers is answered with the
// mapping that would read it, for programs as for people, and that mapping does.
func TestMappingProposed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
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
		Code: roster.WarnUnknownColumns, Columns: []string{"Dept"}, Mapping: map[roster.Column]string{"department": "Dept"},
		Message: `These columns mean nothing to an import and are ignored: "Dept". Does "Dept" hold the department? Then send mapping {"department": "Dept"}.`,
	}}
	if diff := cmp.Diff(want, as[proposal](t, dry).Warnings); diff != "" {
		t.Fatalf("warnings of the dry run (-want +got):\n%s", diff)
	}
}

// TestTextThatNoDatabaseHolds: bytes that are no text are the caller's fault.
func TestTextThatNoDatabaseHolds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, nil)
	for _, query := range []string{"q=%00", "q=%FF", "department=%00", "department=a%FFb", "email=%00"} {
		h.wantProblem(h.get("/api/admin/users?"+query), 400, "invalid_parameter")
	}
	h.wantProblem(h.upload([]field{file("email,name\n"), {name: "mapping", value: `{"email": "\u0000"}`}}), 400, "invalid_parameter")
}
