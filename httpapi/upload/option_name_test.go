package upload_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"rollcall/httpapi/problem"
	"rollcall/httpapi/upload"
)

// TestNamesThatAreNearlyOptions: a name that is clearly a misspelled option is
// rejected with the right one; every other name is accepted.
func TestNamesThatAreNearlyOptions(t *testing.T) {
	t.Parallel()
	for want, names := range map[string]string{
		"dry_run":          "dry dryrun dryRun DRY_RUN Dry-Run dry_runs dryrn is_dry_run dryRunOnly preview simulate validate_only checkOnly",
		"on_duplicate":     "duplicate duplicates on_duplicates onDuplicate on-duplicate on_dupliacte duplicate_mode upsert",
		"send_invitations": "send_invitation sendInvitations send-invitations send_invites invite invitations no_invitations send_invitatoins sendEmails send_mail",
		"encoding":         "encodings Encoding file_encoding charset encodng",
		"delimiter":        "delimeter delimiters delim delimit separator field_separator",
		"header_row":       "headerRow header-row",
		"value_map":        "valueMap value-map value_maps",
		"notify":           "notify Notify notify_emails notifications notification_email",
		"profile":          "profiles Profile",
		"sheet":            "sheets Sheet worksheet sheet_name",
		"mapping":          "mappings column_mapping Mapping columnMapping",
		"webhook_url":      "webhook webhookUrl webhook-url webhooks callback_url callback",
		"":                 "csrf utm_source file2 name email run laundry adry send url submit _charset_ token comment sep map",
	} {
		for name := range strings.FieldsSeq(names) {
			r := httptest.NewRequest("POST", "/", strings.NewReader("--b\r\nContent-Disposition: form-data; name=file; filename=x.csv\r\n\r\n\r\n--b--"))
			r.URL.RawQuery = url.Values{name: {"true"}}.Encode()
			r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
			_, _, _, err := upload.ReadForm(httptest.NewRecorder(), r, limit, rights)
			got := ""
			if err != nil {
				got = problem.From(err).Faults[0].Parameter
			}
			if got != want {
				t.Errorf("%s is taken for %q, want %q", name, got, want)
			}
		}
	}
}
