//go:build unix

package chaos_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/test/programtest"
)

// TestSameAddresses: several imports of the same addresses, each in a different
// order, run at once. Everyone becomes a user once, in one of them.
func TestSameAddresses(t *testing.T) {
	parallel(t)
	const imports = 8
	people := sized(500, 10_000)
	h := newTestEnv(t, envOptions{})
	h.startAPI()
	l := load{people: make([]string, people)}
	for i := range l.people {
		l.people[i] = fmt.Sprintf("same-%d@example.com", i)
	}
	for range imports {
		order := slices.Clone(l.people)
		rand.Shuffle(people, func(i, j int) { order[i], order[j] = order[j], order[i] })
		var b strings.Builder
		b.WriteString("email,name\n")
		for _, address := range order {
			fmt.Fprintf(&b, "%s,Somebody\n", address)
		}
		l.files = append(l.files, b.String())
	}
	slices.Sort(l.people)
	l.mailed = l.people
	began := time.Now()
	ids := l.upload(h)
	// Each runs two: all the imports run side by side.
	workers := []*programtest.Program{h.startWorker(), h.startWorker(), h.startWorker(), h.startWorker()}
	var imported int64
	var each []int64
	for _, id := range ids {
		i := h.until(id, 3*time.Minute, ended)
		if i.Status != "completed" || i.Processed != int64(people) || i.Imported+i.Failed != int64(people) {
			t.Errorf("%+v", i)
		}
		imported += i.Imported
		each = append(each, i.Imported)
		h.refusedAsDuplicates(id)
	}
	rows := time.Since(began)
	got := h.outcome(l, ids)
	if imported != int64(people) || !slices.Equal(h.people(), l.people) {
		t.Errorf("%d imported, users %s; want %d", imported, got.Users, people)
	}
	h.consistent()
	d := h.delivered(l, 0)
	for _, w := range workers {
		if log := w.Output(); strings.Contains(log, "deadlock") || strings.Contains(log, "task failed") {
			t.Errorf("a conflict surfaced:\n%s", log)
		}
	}
	h.figures("imports at once", imports, "addresses in each", people, "users", len(h.people()), "imported by each", each,
		"deadlocks that PostgreSQL resolved", one[int](h, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`),
		"all rows in after", rows, "mails", d.Mails, "duplicates", d.Duplicates)
}

// refusedAsDuplicates fails the test if an import failed a row for any reason
// but a duplicate address.
func (h *testEnv) refusedAsDuplicates(id string) {
	h.Helper()
	var page struct {
		Items []struct{ Reason string }
	}
	a := h.ask("GET", "/api/admin/users/imports/"+id+"/errors?limit=500", nil)
	if err := json.Unmarshal(a.body, &page); err != nil {
		h.Fatalf("%d %s", a.status, a.body)
	}
	for _, e := range page.Items {
		if e.Reason != "duplicate_email" {
			h.Errorf("a row was refused as %s", e.Reason)
		}
	}
}
