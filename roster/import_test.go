package roster_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/google/uuid"

	"rollcall/roster"
)

// declared lists the values of the constants of a type in a file.
func declared(t *testing.T, file, typeName string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == typeName {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	if len(values) == 0 {
		t.Fatalf("%s declares no %s", file, typeName)
	}
	return values
}

func TestCatalogueIsComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	scoped := map[[2]string]bool{}
	for _, e := range roster.ErrorCatalog() {
		seen[string(e.Code)]++
		if scoped[[2]string{string(e.Code), e.Scope}] {
			t.Errorf("%s appears twice in scope %s", e.Code, e.Scope)
		}
		scoped[[2]string{string(e.Code), e.Scope}] = true
		if e.Cause == "" || e.Fix == "" {
			t.Errorf("%s has no cause or no fix", e.Code)
		}
		switch {
		case e.Scope == "row" && e.Code.RowFix() == e.Fix, e.Scope == "file" && e.Code.FileFix() == e.Fix:
		default:
			t.Errorf("%s in scope %q: RowFix %q, FileFix %q", e.Code, e.Scope, e.Code.RowFix(), e.Code.FileFix())
		}
	}
	codes := declared(t, "code.go", "Code")
	for _, code := range codes {
		if seen[code] == 0 {
			t.Errorf("%s is not in the catalogue", code)
		}
	}
	if len(seen) != len(codes) {
		t.Errorf("%d codes in the catalogue, %d declared", len(seen), len(codes))
	}
	if roster.EmptyFile.RowFix() != "" || roster.InvalidRole.FileFix() != "" || seen["encoding_error"] != 2 {
		t.Error("a code has advice in the wrong scope")
	}
}

// TestFixesOfTheContract pins the fixes that the contract promises verbatim.
func TestFixesOfTheContract(t *testing.T) {
	t.Parallel()
	for code, want := range map[roster.Code]string{
		"missing_required_field": "Fill in the required value",
		"invalid_email":          "Check for typos, missing @, or extra spaces",
		"invalid_role":           "Correct the role or leave it blank",
		"duplicate_email":        "Remove the row or update the existing user instead",
		"encoding_error":         "Re-save the CSV as UTF-8",
		"malformed_row":          "Correct the row's quoting or cells",
		"value_too_long":         "Shorten it",
	} {
		if got := code.RowFix(); got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	ended := map[roster.Status]bool{roster.Completed: true, roster.Canceled: true, roster.Failed: true}
	working := map[roster.Status]bool{roster.Queued: true, roster.Checking: true, roster.Importing: true}
	for _, s := range declared(t, "import.go", "Status") {
		status, ok := roster.ParseStatus(s)
		if !ok || string(status) != s {
			t.Errorf("ParseStatus(%q) = %q, %v", s, status, ok)
		}
		if status.Ended() != ended[status] || status.Working() != working[status] {
			t.Errorf("%s: ended %v, working %v", s, status.Ended(), status.Working())
		}
	}
	if _, ok := roster.ParseStatus("done"); ok {
		t.Error("ParseStatus accepts an unknown state")
	}
	for _, s := range declared(t, "user.go", "UserStatus") {
		if status, ok := roster.ParseUserStatus(s); !ok || string(status) != s {
			t.Errorf("ParseUserStatus(%q) = %q, %v", s, status, ok)
		}
	}
	if _, ok := roster.ParseUserStatus(""); ok {
		t.Error("ParseUserStatus accepts nothing")
	}
}

func TestParseOnDuplicate(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]roster.OnDuplicate{"": roster.SkipDuplicates, "skip": roster.SkipDuplicates, "update": roster.UpdateDuplicates, "Update": "", "merge": ""} {
		if got, ok := roster.ParseOnDuplicate(in); got != want || ok != (want != "") {
			t.Errorf("ParseOnDuplicate(%q) = %q, %v", in, got, ok)
		}
	}
}

func TestUnprocessed(t *testing.T) {
	t.Parallel()
	total := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		counts roster.Counts
		want   int64
	}{
		"unknown total":  {roster.Counts{Checked: 9}, 0},
		"canceled early": {roster.Counts{Total: total(10), Failed: 2}, 8},
		"canceled late":  {roster.Counts{Total: total(10), Imported: 4, Updated: 1, Failed: 2}, 3},
		"completed":      {roster.Counts{Total: total(10), Imported: 7, Updated: 1, Failed: 2}, 0},
	} {
		if got := c.counts.Unprocessed(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestActorKey(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("0193a8e4-0000-7000-8000-000000000001")
	token := roster.Actor{Kind: roster.ActorToken, ID: id, Label: "hr"}
	if got := token.Key(); got != "token:0193a8e4-0000-7000-8000-000000000001" {
		t.Error(got)
	}
	renamed := token
	renamed.Label = "HR sync"
	if token.Key() != renamed.Key() || token.Key() == (roster.Actor{Kind: roster.ActorUser, ID: id}).Key() {
		t.Error("the key must follow kind and id, and nothing else")
	}
}
