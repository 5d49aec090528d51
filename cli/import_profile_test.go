package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"rollcall/roster"
	"rollcall/storage"
)

// TestImportWithProfileAndValueMap takes options from a profile, and a value map from
// a file. A changed profile is another import of the same file.
func TestImportWithProfileAndValueMap(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, nil)
	set := func(mapping string) {
		t.Helper()
		options := map[string]json.RawMessage{"mapping": json.RawMessage(mapping)}
		if _, _, err := h.store.SetImportProfile(t.Context(), "hr", options, nil, storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "test"}}); err != nil {
			t.Fatal(err)
		}
	}
	set(`{"email": "Mail"}`)
	people := h.file("Mail,name,role,Other\na@example.com,Ann,Staff,b@example.com\n")
	values := filepath.Join(t.TempDir(), "values.json")
	if err := os.WriteFile(values, []byte("\ufeff{\"role\": {\"Staff\": \"user\"}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := imported(t, h.mustRun("import", people, "--json", "--profile", "hr", "--value-map", values))
	if first.Imported != 1 {
		t.Errorf("%+v", first)
	}
	if again := imported(t, h.mustRun("import", people, "--json", "--profile", "hr", "--value-map", `{ "role": {"Staff":"user"} }`)); again.ID != first.ID {
		t.Error("the same options made another import")
	}
	set(`{"email": "Other"}`)
	if other := imported(t, h.mustRun("import", people, "--json", "--profile", "hr", "--value-map", values)); other.ID == first.ID || other.Imported != 1 {
		t.Errorf("with the changed profile: %+v", other)
	}
}
