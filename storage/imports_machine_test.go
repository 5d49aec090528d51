package storage_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

// modelledImport is what the test believes of one import.
type modelledImport struct {
	id      uuid.UUID
	names   []string // whom the rows name, from row 2 on
	status  roster.Status
	dry     bool
	at      int64 // row where the next batch starts; 0: at the top
	fence   int64
	held    bool // somebody's lease is not over
	counts  roster.Counts
	refused map[int64]bool // rows
	undone  bool
}

// last is the row after the file's last one.
func (i *modelledImport) last() int64 { return int64(len(i.names)) + 2 }

// works is an office of workers, some of them asleep, and the model of it.
type works struct {
	*testEnv
	round   int
	imports []*modelledImport
	claims  []*storage.Claim          // ever made; most are lost
	users   map[string]*modelledNewer // by name
}

// modelledNewer is what the test believes of a user.
type modelledNewer struct {
	from   uuid.UUID // the import that created the user
	edited bool
}

// TestImportsAreTheModel drives imports of the same few people through anything
// that workers, administrators and bad luck can do to them, in any order, and
// compares them with a model: above all, nothing is written under a claim that
// is lost, nothing twice, and every count is what it counts.
func TestImportsAreTheModel(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		pgtest.AsOwner(t, h.url, `TRUNCATE users, imports, import_errors CASCADE`)
		w := &works{testEnv: h, round: round, users: map[string]*modelledNewer{}}
		w.receiveOne(rt) // without an import there is little else to choose
		rt.Repeat(map[string]func(*rapid.T){
			"receive":   w.receiveOne,
			"claim":     w.claimOne,
			"commit":    w.commitOne,
			"commit 2":  w.commitOne, // the most frequent of all
			"expire":    w.expireOne,
			"hand back": w.handBackOne,
			"abandon":   w.abandonOne,
			"cancel":    w.cancelOne,
			"confirm":   w.confirmOne,
			"undo":      w.undoOne,
			"edit":      w.editOne,
			"":          w.compare,
		})
	})
}

func (w *works) any(t *rapid.T) *modelledImport {
	if len(w.imports) == 0 {
		t.Skip("no import yet")
	}
	return rapid.SampledFrom(w.imports).Draw(t, "import")
}

// claimed is a claim made at some time, and its import.
func (w *works) claimed(t *rapid.T) (*storage.Claim, *modelledImport) {
	if len(w.claims) == 0 {
		t.Skip("no claim yet")
	}
	c := rapid.SampledFrom(w.claims).Draw(t, "claim")
	return c, w.imports[slices.IndexFunc(w.imports, func(i *modelledImport) bool { return i.id == c.Import.ID })]
}

func (w *works) receiveOne(t *rapid.T) {
	if len(w.imports) == 3 {
		t.Skip("enough")
	}
	names := rapid.Permutation([]string{"ada", "bea", "cleo", "dora", "eve"}).Draw(t, "names")
	i := &modelledImport{names: names[:rapid.IntRange(1, 5).Draw(t, "rows")], status: roster.Queued,
		dry: rapid.Bool().Draw(t, "dry"), refused: map[int64]bool{}}
	received, err := w.ReceiveImport(w.ctx, upload([]byte("email,name\n"), "", roster.Options{DryRun: i.dry, SendInvitations: rapid.Bool().Draw(t, "send")}))
	expect(t, "receive", err, nil)
	i.id = received.Import.ID
	w.imports = append(w.imports, i)
}

func (w *works) claimOne(t *rapid.T) {
	i := w.any(t)
	c, err := w.ClaimImport(w.ctx, i.id, time.Hour)
	if i.held || !i.status.Working() {
		expect(t, "claim", err, storage.ErrNotClaimable)
		return
	}
	expect(t, "claim", err, nil)
	i.held = true
	i.fence++
	if i.status == roster.Queued {
		i.status = roster.Checking
	}
	if c.Fence != i.fence || c.At.Row != i.at || c.Import.Status != i.status {
		t.Fatalf("claimed %s at %d under %d, want %+v", c.Import.Status, c.At.Row, c.Fence, i)
	}
	w.claims = append(w.claims, c)
}

// commitOne commits the next batch of a claim, whether it is still good or not,
// and then once more, as a worker does that never heard the answer.
func (w *works) commitOne(t *rapid.T) {
	c, i := w.claimed(t)
	from := max(c.At.Row, 2)
	to := rapid.Int64Range(from, i.last()).Draw(t, "to")
	if to == from && to != i.last() {
		to++
	}
	commit := w.check
	switch c.Import.Status {
	case roster.Checking:
	case roster.Importing:
		commit = w.apply
	default:
		return // its holder knows that the work is done
	}
	good := c.Fence == i.fence && c.Import.Status == i.status && c.At.Row == i.at
	before, copied := *c, *c.Import
	before.Import = &copied
	want := storage.ErrClaimLost
	if good {
		want = nil
	}
	commit(t, c, i, from, to, want)
	if good {
		unheard := *i
		commit(t, &before, &unheard, from, to, storage.ErrClaimLost)
	}
}

// check commits a batch of the check pass, and moves the model if it is good.
func (w *works) check(t *rapid.T, c *storage.Claim, i *modelledImport, from, to int64, want error) {
	b := storage.Checked{To: at(to), Rows: to - from, Last: to == i.last()}
	var keys []string
	for row := from; row < to; row++ {
		keys = append(keys, w.key(i, row))
	}
	taken, err := w.TakenKeys(w.ctx, keys)
	expect(t, "look up", err, nil)
	for row := from; row < to; row++ {
		if taken[w.key(i, row)] != (w.users[i.names[row-2]] != nil) {
			t.Fatalf("%s is taken: %v", w.key(i, row), taken[w.key(i, row)])
		}
		if taken[w.key(i, row)] {
			b.RowErrors = append(b.RowErrors, roster.RowError{Row: row, Line: row, Problems: []roster.Problem{roster.AlreadyExists("x")}})
		} else {
			b.Valid++
		}
	}
	err = w.SaveChecked(w.ctx, c, b)
	expect(t, "check", err, want)
	if err != nil {
		return
	}
	i.at, i.held = to, true
	i.counts.Checked += b.Rows
	i.counts.Valid += b.Valid
	i.counts.Failed += int64(len(b.RowErrors))
	for _, r := range b.RowErrors {
		i.refused[r.Row] = true
	}
	if !b.Last {
		return
	}
	total := i.counts.Checked
	i.at, i.counts.Total, i.status = 0, &total, roster.Importing
	if i.dry {
		i.status, i.held = roster.Ready, false
	}
}

// apply commits a batch of the import pass, and moves the model if it is good.
func (w *works) apply(t *rapid.T, c *storage.Claim, i *modelledImport, from, to int64, want error) {
	b := storage.Batch{To: at(to), Rows: to - from, Last: to == i.last()}
	for row := from; row < to; row++ {
		if !i.refused[row] {
			b.Newcomers = append(b.Newcomers, newcomer(row, w.name(i, row)))
		}
	}
	a, err := w.ApplyBatch(w.ctx, c, b)
	expect(t, "apply", err, want)
	if err != nil {
		return
	}
	var imported, failed int64
	for row := from; row < to; row++ {
		name := i.names[row-2]
		switch {
		case i.refused[row]:
		case w.users[name] != nil:
			i.refused[row] = true
			failed++
		default:
			w.users[name] = &modelledNewer{from: i.id}
			imported++
		}
	}
	if a.Imported != imported || a.Failed != failed {
		t.Fatalf("applied %+v, want %d imported and %d failed", a, imported, failed)
	}
	i.at, i.held = to, !b.Last
	i.counts.Processed += b.Rows
	i.counts.Imported += imported
	i.counts.Failed += failed
	if b.Last {
		i.status = roster.Completed
	}
}

func (w *works) name(i *modelledImport, row int64) string {
	return fmt.Sprintf("%s%d", i.names[row-2], w.round)
}

func (w *works) key(i *modelledImport, row int64) string { return w.name(i, row) + "@example.com" }

func (w *works) expireOne(t *rapid.T) {
	i := w.any(t)
	w.exec(`UPDATE imports SET lease_until = now() - interval '1 second' WHERE id = $1 AND lease_until IS NOT NULL`, i.id)
	i.held = false
}

// mine is what to expect of an end of a claim.
func mine(c *storage.Claim, i *modelledImport) error {
	if c.Fence == i.fence && (i.status == roster.Checking || i.status == roster.Importing) {
		return nil
	}
	return storage.ErrClaimLost
}

func (w *works) handBackOne(t *rapid.T) {
	c, i := w.claimed(t)
	_, err := w.ReleaseClaim(w.ctx, c)
	expect(t, "hand back", err, mine(c, i))
	if err == nil {
		i.held = false
	}
}

func (w *works) abandonOne(t *rapid.T) {
	c, i := w.claimed(t)
	err := w.FailClaim(w.ctx, c, time.Hour, 100)
	expect(t, "abandon", err, mine(c, i))
	if err == nil {
		i.held = true // nobody may have it before the wait is over
	}
}

func (w *works) cancelOne(t *rapid.T) {
	i := w.any(t)
	err := w.CancelImport(w.ctx, i.id, by)
	if i.status.Ended() {
		expect(t, "cancel", err, storage.ErrWrongState)
		return
	}
	expect(t, "cancel", err, nil)
	i.status, i.held = roster.Canceled, false
}

func (w *works) confirmOne(t *rapid.T) {
	i := w.any(t)
	_, err := w.ConfirmImport(w.ctx, i.id, storage.Approval{}, by)
	if i.status != roster.Ready {
		expect(t, "confirm", err, storage.ErrWrongState)
		return
	}
	expect(t, "confirm", err, nil)
	i.status, i.dry = roster.Importing, false
}

// undoOne undoes an import whole.
func (w *works) undoOne(t *rapid.T) {
	i := w.any(t)
	_, err := w.RequestUndo(w.ctx, i.id, by)
	if i.status != roster.Completed && i.status != roster.Canceled {
		expect(t, "undo", err, storage.ErrWrongState)
		return
	}
	expect(t, "undo", err, nil)
	u, err := w.UndoStep(w.ctx, i.id)
	expect(t, "undo", err, nil)
	if u.FinishedAt == nil {
		t.Fatal("a step that met nobody more did not finish")
	}
	i.undone = true
	maps.DeleteFunc(w.users, func(_ string, u *modelledNewer) bool { return u.from == i.id && !u.edited })
}

func (w *works) editOne(t *rapid.T) {
	if len(w.users) == 0 {
		t.Skip("no user yet")
	}
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(w.users))).Draw(t, "user")
	if w.imports[slices.IndexFunc(w.imports, func(i *modelledImport) bool { return i.id == w.users[name].from })].undone {
		return // what an undo has passed stays passed
	}
	w.exec(`UPDATE users SET edits = edits + 1 WHERE name = $1`, fmt.Sprintf("%s%d", name, w.round))
	w.users[name].edited = true
}

// compare is run after each step.
func (w *works) compare(t *rapid.T) {
	for _, i := range w.imports {
		is, err := w.Import(w.ctx, i.id)
		expect(t, "read", err, nil)
		if is.Status != i.status {
			t.Fatalf("import is %s, want %s", is.Status, i.status)
		}
		if diff := cmp.Diff(i.counts, is.Counts); diff != "" {
			t.Fatalf("counts of a %s import (-model +database):\n%s", i.status, diff)
		}
		rows, err := w.FailedRows(w.ctx, i.id, 0, 10)
		expect(t, "list refused rows", err, nil)
		if !slices.Equal(rows, slices.Sorted(maps.Keys(i.refused))) {
			t.Fatalf("rows %v are refused, want %v", rows, i.refused)
		}
		drift, err := w.InvitationCountsDrift(w.ctx, i.id)
		if expect(t, "compare", err, nil); drift != "" {
			t.Fatalf("the counters drift: %s", drift)
		}
	}
	users, err := w.Users(w.ctx, storage.UserFilter{Limit: 10})
	expect(t, "list users", err, nil)
	there := map[string]uuid.UUID{}
	for _, u := range users {
		there[u.Name] = *u.ImportID
	}
	want := map[string]uuid.UUID{}
	for name, u := range w.users {
		want[fmt.Sprintf("%s%d", name, w.round)] = u.from
	}
	if !maps.Equal(there, want) {
		t.Fatalf("users %v, want %v", there, want)
	}
}
