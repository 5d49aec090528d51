package apitypes_test

import (
	"strings"
	"testing"

	"rollcall/apitypes"
	"rollcall/roster"
)

// TestEventHoldsNothingOfTheFile: an event leaves the system, so it contains
// codes and counts, and no text that may quote the file.
func TestEventHoldsNothingOfTheFile(t *testing.T) {
	t.Parallel()
	body, err := apitypes.EventBody(&roster.Import{
		Status: roster.Failed, Filename: "secret.csv",
		Options:  roster.Options{Mapping: map[string]string{"email": "secret"}},
		Warnings: []roster.Warning{{Code: roster.WarnLikelyEncoding, Message: "secret", Columns: []string{"secret"}, Rows: 7, Encoding: "macintosh", Mapping: map[roster.Column]roster.Headers{"name": "secret"}}},
		Workbook: &roster.Workbook{Sheet: "secret", Sheets: []roster.Sheet{{Name: "secret"}}},
		Failure:  &roster.Failure{Code: roster.MissingColumn, Message: "secret", Fix: "Rename it.", Mapping: map[roster.Column]roster.Headers{"name": "secret"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(body), "secret") {
		t.Errorf("%s", body)
	}
	for _, kept := range []string{`"type":"import.failed"`, `"missing_column"`, `"Rename it."`, `"likely_encoding"`, `"rows":7`, `"macintosh"`} {
		if !strings.Contains(string(body), kept) {
			t.Errorf("%s is not in %s", kept, body)
		}
	}
}
