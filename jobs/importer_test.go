package jobs_test

import (
	"fmt"
	"rollcall/jobs/importer"
	"strings"
	"testing"

	"rollcall/roster"
)

// people is a file of n good rows.
func people(n int) string {
	var b strings.Builder
	b.WriteString("email,name,role,department\n")
	for i := range n {
		fmt.Fprintf(&b, "person%d@example.com,Person %d,user,Sales\n", i, i)
	}
	return b.String()
}

func TestRunImportsEverybody(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	i := h.upload(people(12_345), roster.Options{SendInvitations: true})
	i = h.run(h.importer(importer.Config{}), i.ID)
	if i.Status != roster.Completed || i.Total == nil || *i.Total != 12_345 || i.Imported != 12_345 || i.Invitations.Pending != 12_345 {
		t.Fatalf("%+v", i)
	}
}
