//go:build unix

package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/test/programtest"
)

// TestRosterKill: full rosters of two sources while workers are killed. While one
// is held nothing of it is applied; its approval comes in between kills. Exactly
// those who are missing are disabled, each by the roster of its source, and all
// counts are right. A roster that is canceled half-way and undone leaves everything
// as it was.
func TestRosterKill(t *testing.T) {
	parallel(t)
	people, kills := sized(7_000, 50_000), sized(8, 50)
	h := newTestEnv(t, envOptions{})
	h.startAPI()
	w := &killedWorkers{testEnv: h, workers: []*programtest.Program{h.startWorker(), h.startWorker()}}
	h.exec(`INSERT INTO users (id, email, email_key, name) VALUES (gen_random_uuid(), 'hand@example.com', 'hand@example.com', 'By hand')`)
	hr, payroll := newFullRoster("hr", people), newFullRoster("payroll", people)
	began := time.Now()
	for _, r := range []*fullRoster{hr, payroll} {
		if i := h.until(h.upload(r.first, r.options()...), 3*time.Minute, ended); i.Imported != int64(people) {
			t.Fatalf("%+v", i)
		}
	}
	before := h.roster()

	held, inCheck := h.heldUnderKills(w, hr, kills*3/10)
	w.kill()
	inCheck++
	time.Sleep(time.Duration(sized(500, 3000)) * time.Millisecond)
	if h.roster() != before || h.statusOf(held) != "held" || one[int](h, `SELECT count(*) FROM import_updates`) > 0 {
		t.Fatal("something was applied while held")
	}

	// Its approval, beside the roster of the other source.
	other := h.upload(payroll.second, payroll.options()...)
	inRows := w.killUntil(kills/10, func() bool { return one[bool](h, `SELECT processed > 0 FROM imports WHERE id = $1`, other) })
	w.killAll()
	if a := h.ask("POST", "/api/admin/users/imports/"+held+"/confirm", strings.NewReader(fmt.Sprintf(`{"allow_disable": %d}`, hr.gone)),
		"Content-Type", "application/json"); a.status != http.StatusOK && a.status != http.StatusAccepted {
		t.Fatalf("the approval was answered with %d\n%s", a.status, a.body)
	}
	w.revive()
	inRows++
	inRows += w.killUntil(kills*4/10, func() bool { return h.statusOf(held) == "completed" && h.statusOf(other) == "completed" })
	hr.check(h, held)
	payroll.check(h, other)
	want := slices.Concat(hr.after, payroll.after, []string{"|hand@example.com|By hand|invited"})
	slices.Sort(want)
	if got := strings.Split(h.roster(), "\n"); !slices.Equal(got, want) {
		t.Errorf("%d users, want %d; the first that differs: %s", len(got), len(want), firstDifference(got, want))
	}
	rows := time.Since(began)

	// Canceled half-way: somebody late in the file is locked until it is.
	before = h.roster()
	inUndo := 0
	for inUndo == 0 || inCheck+inRows+inUndo < kills {
		undone := h.cancelHalfWay(w, hr)
		w.revive()
		finished := func() bool {
			return one[bool](h, `SELECT undo_finished_at IS NOT NULL FROM imports WHERE id = $1`, undone)
		}
		inUndo += 1 + w.killUntil(kills-inCheck-inRows-inUndo-1, finished)
		h.eventually(2*time.Minute, "the undo is finished", finished)
		if got := h.roster(); got != before {
			t.Fatalf("after the undo: %s", firstDifference(strings.Split(got, "\n"), strings.Split(before, "\n")))
		}
	}
	h.consistent()
	h.figures("people of each of two sources", people, "kills", inCheck+inRows+inUndo, "of them before it was held", inCheck, "while rows went in", inRows,
		"during the undo", inUndo, "disabled", hr.gone+payroll.gone, "all done after", rows)
}

// heldUnderKills uploads a roster that is over its limit, and kills the workers
// during its check. A check that ends before so many kills is canceled, and begun
// anew with the same file.
func (h *testEnv) heldUnderKills(w *killedWorkers, r *fullRoster, most int) (id string, kills int) {
	h.Helper()
	before := h.roster()
	for {
		id = h.upload(r.second, r.options("max_disable", "0")...)
		kills += w.killUntil(most-kills, func() bool {
			if h.roster() != before {
				h.Fatal("something was applied before the approval")
			}
			return h.statusOf(id) == "held"
		})
		i := h.until(id, 3*time.Minute, func(i imported) bool { return i.Status == "held" || ended(i) })
		if i.Status != "held" || i.Plan.Disable != r.gone || i.Processed != 0 {
			h.Fatalf("%+v, want %d held", i, r.gone)
		}
		if kills >= most {
			return id, kills
		}
		if a := h.ask("POST", "/api/admin/users/imports/"+id+"/cancel", nil); a.status != http.StatusOK && a.status != http.StatusAccepted {
			h.Fatalf("cancel was answered with %d\n%s", a.status, a.body)
		}
	}
}

// cancelHalfWay starts a roster that changes everyone, cancels it half-way and asks
// for its undo. No worker is left.
func (h *testEnv) cancelHalfWay(w *killedWorkers, r *fullRoster) (id string) {
	h.Helper()
	tx, err := h.db.Begin()
	if err != nil {
		h.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec(`SELECT FROM users u JOIN external_ids k ON k.user_id = u.id WHERE k.source = $1 AND k.external_id = $2 FOR UPDATE OF u`, r.source, r.last); err != nil {
		h.Fatal(err)
	}
	id = h.upload(r.third, r.options()...)
	h.eventually(2*time.Minute, "some rows are in", func() bool { return one[bool](h, `SELECT processed > 0 FROM imports WHERE id = $1`, id) })
	w.killAll()
	if err := tx.Rollback(); err != nil {
		h.Fatal(err)
	}
	if a := h.ask("POST", "/api/admin/users/imports/"+id+"/cancel", nil); a.status != http.StatusAccepted {
		h.Fatalf("cancel was answered with %d\n%s", a.status, a.body)
	}
	i := h.read(id)
	if i.Status != "canceled" || i.Updated == 0 || i.Updated+i.Unchanged+i.Failed >= *i.Total {
		h.Fatalf("not half-way: %+v", i)
	}
	if a := h.ask("POST", "/api/admin/users/imports/"+id+"/undo", nil, "Prefer", "respond-async"); a.status != http.StatusOK && a.status != http.StatusAccepted {
		h.Fatalf("undo was answered with %d\n%s", a.status, a.body)
	}
	return id
}

// roster is everyone as key, address, name and status, sorted.
func (h *testEnv) roster() string {
	h.Helper()
	return one[string](h, `
		SELECT string_agg(line, E'\n' ORDER BY line COLLATE "C") FROM (
		SELECT concat_ws('|', COALESCE(k.source || ':' || k.external_id, ''), u.email, u.name, u.status) AS line
		  FROM users u LEFT JOIN external_ids k ON k.user_id = u.id) AS everyone`)
}

// statusOf reads the status past the API, which answers only so often.
func (h *testEnv) statusOf(id string) string {
	h.Helper()
	return one[string](h, `SELECT status FROM imports WHERE id = $1`, id)
}

func firstDifference(got, want []string) string {
	for k := range min(len(got), len(want)) {
		if got[k] != want[k] {
			return fmt.Sprintf("%q, want %q", got[k], want[k])
		}
	}
	return fmt.Sprintf("%d and %d lines", len(got), len(want))
}

// fullRoster are the files of one source, and what becomes of its people.
type fullRoster struct {
	source                                     string
	first, second, third                       string
	last                                       string   // the key of somebody late in the files
	after                                      []string // everyone after the second file, as [testEnv.roster] tells
	gone, created, updated, unchanged, refused int64
}

const rosterHeader = "external_id,email,name\n"

// newFullRoster makes files of people with keys. In the second, one in ten is gone,
// and a few are new, renamed, refused for a blank name, or have swapped addresses.
// The third renames everyone.
func newFullRoster(source string, people int) *fullRoster {
	r := &fullRoster{source: source}
	var first, second, third strings.Builder
	for _, b := range []*strings.Builder{&first, &second, &third} {
		b.WriteString(rosterHeader)
	}
	for k := range people {
		key, address, name := fmt.Sprintf("%05d", k), fmt.Sprintf("%s-%d@example.com", source, k), fmt.Sprintf("Person %d", k)
		fmt.Fprintf(&first, "%s,%s,%s\n", key, address, name)
		status := "invited"
		moved, listed := address, name
		switch {
		case k%10 == 3:
			r.gone++
			status = "disabled"
		case k%100 == 5:
			r.refused++
			listed = ""
		case k%100 == 7:
			r.updated++
			name, listed = name+" Renamed", name+" Renamed"
		case k%200 == 20 && k+1 < people: // a swap
			r.updated++
			moved = fmt.Sprintf("%s-%d@example.com", source, k+1)
		case k%200 == 21:
			r.updated++
			moved = fmt.Sprintf("%s-%d@example.com", source, k-1)
		case k%200 == 40 && k+2 < people, k%200 == 41 && k+1 < people: // a chain
			r.updated++
			moved = fmt.Sprintf("%s-%d@example.com", source, k+1)
		case k%200 == 42:
			r.updated++
			moved = fmt.Sprintf("%s-new-%d@example.com", source, k)
		default:
			r.unchanged++
		}
		r.after = append(r.after, fmt.Sprintf("%s:%s|%s|%s|%s", source, key, moved, name, status))
		if status != "disabled" {
			fmt.Fprintf(&second, "%s,%s,%s\n", key, moved, listed)
			fmt.Fprintf(&third, "%s,%s,Somebody else\n", key, moved)
			r.last = key
		}
		if k%100 == 99 {
			r.created++
			fmt.Fprintf(&second, "n%s,%s-joined-%d@example.com,Joined\n", key, source, k)
			fmt.Fprintf(&third, "n%s,%s-joined-%d@example.com,Joined too\n", key, source, k)
			r.after = append(r.after, fmt.Sprintf("%s:n%s|%s-joined-%d@example.com|Joined|invited", source, key, source, k))
		}
	}
	r.first, r.second, r.third = first.String(), second.String(), third.String()
	return r
}

func (r *fullRoster) options(more ...string) []string {
	return append(more, "source", r.source, "on_duplicate", "update", "missing", "disable", "send_invitations", "false")
}

// check fails the test unless an import of the second file ended with exactly its
// counts.
func (r *fullRoster) check(h *testEnv, id string) {
	h.Helper()
	i := h.until(id, 4*time.Minute, ended)
	if i.Status != "completed" || i.Imported != r.created || i.Updated != r.updated || i.Unchanged != r.unchanged || i.Failed != r.refused || i.Disabled != r.gone ||
		*i.Total != r.created+r.updated+r.unchanged+r.refused {
		h.Errorf("%s ended as %+v, want %d created, %d updated, %d unchanged, %d refused, %d disabled", r.source, i, r.created, r.updated, r.unchanged, r.refused, r.gone)
	}
}

// killedWorkers are workers that are killed together again and again. That nobody
// has a claim then is known, so it need not be waited for: other experiments do.
type killedWorkers struct {
	*testEnv
	workers []*programtest.Program
	stuck   int // kills since the last that left some progress behind
	at      int64
}

// killUntil kills the workers while they have an import in hand, at most so often,
// until done reports true. It returns how often.
func (w *killedWorkers) killUntil(most int, done func() bool) (kills int) {
	w.Helper()
	for kills < most {
		for !done() && one[int](w.testEnv, `SELECT count(*) FROM imports WHERE lease_until > clock_timestamp() OR undo_requested_at IS NOT NULL AND undo_finished_at IS NULL`) == 0 {
			time.Sleep(5 * time.Millisecond)
		}
		if done() {
			return kills
		}
		// Longer each time that an import has committed nothing: the row at which so
		// many workers end is refused, rightly.
		crashes := one[int](w.testEnv, `SELECT COALESCE(max(failed_claims), 0) FROM imports WHERE finished_at IS NULL`)
		time.Sleep(time.Duration(rand.Int64N(int64(150*time.Millisecond)) << min(max(w.stuck, 2*crashes), 8)))
		w.kill()
		kills++
	}
	return kills
}

func (w *killedWorkers) kill() {
	w.Helper()
	w.killAll()
	w.revive()
}

func (w *killedWorkers) killAll() {
	w.Helper()
	for _, p := range w.workers {
		p.Kill()
	}
	// A batch that was being committed may be in all the same.
	at := one[int64](w.testEnv, `SELECT COALESCE(sum(checked + processed + disabled + missing_cursor + undo_restored + undo_removed), 0) + count(*) FILTER (WHERE stage <> 'rows') FROM imports`)
	if w.stuck++; at != w.at {
		w.stuck, w.at = 0, at
	}
	w.exec(`UPDATE imports SET lease_until = CASE WHEN lease_until IS NOT NULL THEN clock_timestamp() END, enqueued_at = enqueued_at - interval '1 minute' WHERE finished_at IS NULL`)
}

func (w *killedWorkers) revive() {
	w.Helper()
	for k := range w.workers {
		w.workers[k] = w.startWorker()
	}
}
