//go:build unix

package chaos_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/test/programtest"
)

// withFaults builds the worker with fault injection on first use; see
// jobs/importer/fault_injection.go.
var withFaults = sync.OnceValues(func() (string, error) {
	dir := binaries + "/faults"
	return dir, programtest.Build(dir, []string{"-tags", "faults"}, "worker")
})

// TestRowsAtFault: a row makes the code panic, others kill the process, in
// either pass. Everything else is imported, and those rows are reported.
func TestRowsAtFault(t *testing.T) {
	parallel(t)
	dir, err := withFaults()
	if err != nil {
		t.Fatal(err)
	}
	const rows = 1_000
	// Rows that are valid without the fault; the header is row 1.
	plan := map[int64]string{402: "checking 402 panic", 702: "importing 702 exit"}
	if full {
		plan = map[int64]string{102: "importing 102 exit", 402: "checking 402 exit", 702: "importing 702 panic", 902: "checking 902 panic"}
	}
	faults := strings.Join(slices.Sorted(maps.Values(plan)), ",")
	h := newTestEnv(t, envOptions{Env: []string{"ROLLCALL_FAULTS=" + faults}})
	l := newLoad("fault", 1, rows)
	h.startAPI()
	id := h.upload(l.files[0])
	other := newLoad("other", 1, 90) // has no such rows: blank lines count too
	otherID := h.upload(strings.Replace(other.files[0], "\n", "\n\n\n\n\n", 1))

	began := time.Now()
	deaths := h.supervise(dir, id, otherID)
	took := time.Since(began)
	h.lapse(l)
	i := h.until(id, time.Minute, mailed)
	var at []int64
	for row, reason := range h.refusals(id) {
		if reason == "internal_error" {
			at = append(at, row)
		}
	}
	slices.Sort(at)
	want := slices.Sorted(maps.Keys(plan))
	if !slices.Equal(at, want) {
		t.Errorf("refused as internal_error: rows %v, want %v", at, want)
	}
	for row := range plan {
		gone := fmt.Sprintf("fault-0-%d@example.com", row-2)
		l.people = slices.DeleteFunc(l.people, func(address string) bool { return address == gone })
	}
	exits := strings.Count(faults, "exit")
	if deaths > 9*exits { // see jobs.TestRowsAtFaultCostFewCrashes
		t.Errorf("%d deaths of the worker for %d rows that end it", deaths, exits)
	}
	if i.Status != "completed" || i.Imported != int64(len(l.people)) || i.Imported+i.Failed != rows {
		t.Errorf("%+v, want %d imported", i, len(l.people))
	}
	l = load{people: slices.Sorted(slices.Values(slices.Concat(l.people, other.people)))}
	l.mailed = l.people
	if !slices.Equal(h.people(), l.people) {
		t.Error("the users are not those of the other rows")
	}
	h.consistent()
	h.until(otherID, time.Minute, mailed)
	d := h.delivered(l, deaths*mailConcurrency)
	h.figures("rows", rows, "rows at fault", faults, "deaths of the worker", deaths, "refused as internal_error", at,
		"all other rows in after", took, "mails", d.Mails, "duplicates", d.Duplicates)
}

// supervise starts a worker and restarts it whenever it dies, until the imports
// have ended; it returns how often it died. The lease of a dead worker is
// expired at once, and its task counts as lost, because there is no other
// worker that could hold one. After a panic the worker releases its claim, so
// there is nothing to wait for.
func (h *testEnv) supervise(dir string, ids ...string) (deaths int) {
	h.Helper()
	for deadline := time.Now().Add(4 * time.Minute); ; deaths++ {
		worker := programtest.Start(h.T, filepath.Join(dir, "worker"), h.env)
		for {
			select {
			case <-worker.Done():
				if code := worker.ProcessState.ExitCode(); code != 3 {
					h.Fatalf("the worker ended with %d\n%s", code, worker.Output())
				}
			case <-time.After(100 * time.Millisecond):
				if one[int](h, `SELECT count(*) FROM imports WHERE finished_at IS NULL`) == 0 {
					return deaths
				}
				h.exec(`UPDATE imports SET enqueued_at = enqueued_at - interval '1 minute' WHERE finished_at IS NULL AND lease_until < clock_timestamp()`)
				if time.Now().After(deadline) {
					h.Fatalf("the imports did not end: %s %s", h.read(ids[0]).Status, worker.Output())
				}
				continue
			}
			break
		}
		h.exec(`UPDATE imports SET lease_until = CASE WHEN lease_until IS NOT NULL THEN clock_timestamp() END, enqueued_at = enqueued_at - interval '1 minute' WHERE finished_at IS NULL`)
	}
}

// refusals are the failed rows of an import, with the reason.
func (h *testEnv) refusals(id string) map[int64]string {
	h.Helper()
	all := map[int64]string{}
	for after := ""; ; {
		var page struct {
			Items []struct {
				Row    int64
				Reason string
			}
			Next *string
		}
		a := h.ask("GET", "/api/admin/users/imports/"+id+"/errors?limit=500&after="+after, nil)
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != 200 {
			h.Fatalf("%d %s", a.status, a.body)
		}
		for _, e := range page.Items {
			all[e.Row] = e.Reason
		}
		if page.Next == nil {
			return all
		}
		after = *page.Next
	}
}
