package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	_ "github.com/lib/pq"

	"rollcall/test/browsertest"
)

// rowsVariable says how many rows TestLargeFileInPanel imports instead of the
// few it does to be quick.
const rowsVariable = "ROLLCALL_PANEL_ROWS"

// slowly makes every batch wait at a gate, and then take at least a quarter of
// a second, in its transaction: more batches than a page may show updates,
// however fast the machine. A check has fewer and larger ones.
const slowly = `
	CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_advisory_xact_lock_shared(1), pg_sleep(CASE OLD.status WHEN 'checking' THEN 0.75 ELSE 0.25 END);
		RETURN NEW;
	END $$;
	CREATE TRIGGER slowly BEFORE UPDATE ON imports FOR EACH ROW
		WHEN (NEW.checked <> OLD.checked OR NEW.processed <> OLD.processed) EXECUTE FUNCTION slowly()`

// record makes the page record when its numbers change.
const record = `window.seen = [];
	for (const counted of document.querySelectorAll("[data-live=counted]")) {
		new MutationObserver(() => seen.push(performance.now())).observe(counted, {childList: true, characterData: true, subtree: true});
	}
	null`

// TestLargeFileInPanel previews and imports many rows on the page and watches
// the page: its numbers change, at most twice a second, and it does not grow.
// After a reload, and after signing out and in, it continues where it was.
func TestLargeFileInPanel(t *testing.T) {
	t.Parallel()
	rows := 80_000
	if n, err := strconv.Atoi(os.Getenv(rowsVariable)); err == nil {
		rows = n
	}
	d := startDev(t, filepath.Join(devDir(t), "data"), "")
	p, gate := panel{browsertest.NewTab(t, d.url, true), d}, newGate(d)
	p.Open("/admin/users/import")
	p.signIn("admin@example.com", d.told(`Sign-in +\S+ +(\S+)`), "#file")
	p.Choose("#file", "large.csv", manyPeople(rows))
	gate.shut()
	p.Press("form[data-upload] .primary", ".state-checking")
	p.watch("preview", gate)
	p.settled(".state-ready")
	p.Press("input[name=send_invitations][value=false]", "button[form=confirm]")
	gate.shut()
	p.Press("button[form=confirm]", ".state-importing")
	p.Do(chromedp.Reload())
	p.watch("import", gate)
	p.settled(".state-completed")
	at, err := chromedp.Run(p.Ctx, chromedp.Location())
	if err != nil {
		t.Fatal(err)
	}
	p.signOut()
	p.Open(strings.TrimPrefix(at, d.url))
	p.signIn("admin@example.com", d.told(`Sign-in +\S+ +(\S+)`), ".state-completed")
	p.Reads(".state h2", fmt.Sprintf("%d,%03d users imported", rows/1000, rows%1000))
}

func manyPeople(rows int) string {
	var file strings.Builder
	file.WriteString("email,name,role,department\n")
	for n := range rows {
		fmt.Fprintf(&file, "person.%d@example.com,Person Number %d,,Department %d\n", n, n, n%40)
	}
	return file.String()
}

// gate is where batches wait while it is shut.
type gate struct {
	*testing.T
	conn *sql.Conn
}

func newGate(d *dev) gate {
	d.Helper()
	db, err := sql.Open("postgres", d.told(`PostgreSQL +(\S+)`))
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { db.Close() })
	conn, err := db.Conn(d.Context())
	if err != nil {
		d.Fatal(err)
	}
	g := gate{d.T, conn}
	g.exec(slowly)
	return g
}

func (g gate) shut() { g.Helper(); g.exec(`SELECT pg_advisory_lock(1)`) }
func (g gate) open() { g.Helper(); g.exec(`SELECT pg_advisory_unlock(1)`) }

func (g gate) exec(query string) {
	g.Helper()
	if _, err := g.conn.ExecContext(g.Context(), query); err != nil {
		g.Fatal(err)
	}
}

// watch opens the gate and checks what the page does until the work is done.
func (p panel) watch(what string, g gate) {
	p.Helper()
	f := p.follow(g)
	p.Logf("%s: %s", what, f)
	if f.changes < 2 || f.looks < 3 || f.first.heap == 0 || f.first.nodes == 0 || f.last.heap == 0 || f.last.nodes == 0 {
		p.Fatalf("%s: too little was measured to judge: %s", what, f)
	}
	if most := 2*f.between.Seconds() + 2; float64(f.changes) > most {
		p.Errorf("%s: the numbers moved %d times in %s, more than twice a second", what, f.changes, f.between)
	}
	if grown := f.last.heap - f.first.heap; grown > 1<<20 {
		p.Errorf("%s: the page grew by %d bytes", what, grown)
	}
	if grown := f.last.nodes - f.first.nodes; grown > 50 {
		p.Errorf("%s: the page grew by %d nodes", what, grown)
	}
}

// settled waits as long as many rows take.
func (p panel) settled(selector string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, 3*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.WaitVisible(chromedp.CSS(selector))); err != nil {
		p.Fatalf("waiting for %s: %v", selector, err)
	}
}

// followed is what a page that follows an import did.
type followed struct {
	changes     int           // of its numbers
	between     time.Duration // the first change and the last
	looks       int           // times its weight was measured
	first, last weight
}

// weight is what a page uses.
type weight struct {
	heap  int64 // bytes of its scripts, after garbage was collected
	nodes int64
}

func (f followed) String() string {
	return fmt.Sprintf("%d changes in %s, heap from %d to %d kB, nodes from %d to %d, looked at %d times",
		f.changes, f.between.Round(time.Millisecond), f.first.heap>>10, f.last.heap>>10, f.first.nodes, f.last.nodes, f.looks)
}

// follow opens the gate and watches the page until just before the work is
// done, when the page reloads itself.
func (p panel) follow(g gate) (f followed) {
	p.Helper()
	p.Do(chromedp.Evaluate[chromedp.Void](record))
	var err error
	if f.first, err = p.weigh(); err != nil {
		p.Fatal(err)
	}
	g.open()
	for {
		at, err := chromedp.Run(p.Ctx, chromedp.Evaluate[[]float64]("window.seen ?? null")) // milliseconds
		if err != nil || at == nil {                                                        // the page was replaced
			return f
		}
		now, err := p.weigh()
		if err != nil {
			return f
		}
		if still, err := chromedp.Run(p.Ctx, chromedp.Evaluate[bool]("!!window.seen")); err != nil || !still {
			return f
		}
		f.last, f.looks, f.changes = now, f.looks+1, len(at)
		if len(at) > 0 {
			f.between = time.Duration((at[len(at)-1] - at[0]) * float64(time.Millisecond))
		}
		time.Sleep(250 * time.Millisecond)
	}
}

func (p panel) weigh() (w weight, err error) {
	var answer struct {
		Metrics []struct {
			Name  string  `json:"name"`
			Value float64 `json:"value"`
		} `json:"metrics"`
	}
	err = chromedp.Do(p.Ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if err := t.Call(ctx, "HeapProfiler.collectGarbage", nil, nil); err != nil {
			return err
		}
		if err := t.Call(ctx, "Performance.enable", nil, nil); err != nil {
			return err
		}
		return t.Call(ctx, "Performance.getMetrics", nil, &answer)
	}))
	for _, m := range answer.Metrics {
		switch m.Name {
		case "JSHeapUsedSize":
			w.heap = int64(m.Value)
		case "Nodes":
			w.nodes = int64(m.Value)
		}
	}
	return w, err
}
