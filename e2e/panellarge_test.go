package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"rollcall/internal/browsertest"
)

// rowsVariable says how many rows TestLargeFileInPanel imports instead of the
// few it does to be quick.
const rowsVariable = "ROLLCALL_PANEL_ROWS"

// record makes the page note when its numbers change.
const record = `window.seen = [];
	for (const counted of document.querySelectorAll("[data-live=counted]")) {
		new MutationObserver(() => seen.push(performance.now())).observe(counted, {childList: true, characterData: true, subtree: true});
	}
	null`

// TestLargeFileInPanel previews and imports many rows by the page and watches
// the page do it: its numbers move, at most twice a second, and it does not
// grow. Loaded again, and after signing out and in, it goes on where it was.
func TestLargeFileInPanel(t *testing.T) {
	t.Parallel()
	rows := 50_000
	if n, err := strconv.Atoi(os.Getenv(rowsVariable)); err == nil {
		rows = n
	}
	d := startDev(t, filepath.Join(devDir(t), "data"), "")
	p := panel{browsertest.NewTab(t, d.url, true), d}
	p.Open("/admin/users/import")
	p.signIn("admin@example.com", d.told(`Sign-in +\S+ +(\S+)`), "#file")
	var file strings.Builder
	file.WriteString("email,name,role,department\n")
	for n := range rows {
		fmt.Fprintf(&file, "person.%d@example.com,Person Number %d,,Department %d\n", n, n, n%40)
	}
	p.Choose("#file", "large.csv", file.String())
	p.Press("form[data-upload] .primary", ".state")
	p.settled(".state-ready")
	p.Press("input[name=send_invitations][value=false]", "button[form=confirm]")
	p.Do(chromedp.Click(chromedp.CSS("button[form=confirm]")))
	p.settled(".state-importing, .state-completed")
	_ = chromedp.Do(p.Ctx, chromedp.Reload()) // may meet the page's own, at the end of the import

	followed := p.follow()
	t.Logf("%d rows: %s", rows, followed)
	if followed.changes == 0 && followed.lasted > 2*time.Second { // else it was over before anybody could look
		t.Error("the numbers of the page did not move")
	}
	if most := 2*followed.lasted.Seconds() + 2; float64(followed.changes) > most {
		t.Errorf("the numbers moved %d times in %s, more than twice a second", followed.changes, followed.lasted)
	}
	if grown := followed.heapAfter - followed.heapBefore; grown > 1<<20 {
		t.Errorf("the page grew by %d bytes", grown)
	}
	if grown := followed.nodesAfter - followed.nodesBefore; grown > 50 {
		t.Errorf("the page grew by %d nodes", grown)
	}
	at, err := chromedp.Run(p.Ctx, chromedp.Location())
	if err != nil {
		t.Fatal(err)
	}
	p.signOut()
	p.Open(strings.TrimPrefix(at, d.url))
	p.signIn("admin@example.com", d.told(`Sign-in +\S+ +(\S+)`), ".state")
	p.settled(".state-completed")
	p.Awaits(".state h2", fmt.Sprintf("%d,%03d users imported, 0 rows failed", rows/1000, rows%1000))
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

// followed is what a page did that followed an import.
type followed struct {
	changes                 int           // of its numbers
	lasted                  time.Duration // from the first look to the last
	heapBefore, heapAfter   int64         // bytes, after garbage was collected
	nodesBefore, nodesAfter int64
}

func (f followed) String() string {
	return fmt.Sprintf("%d changes in %s, heap from %d to %d kB, nodes from %d to %d",
		f.changes, f.lasted.Round(time.Millisecond), f.heapBefore>>10, f.heapAfter>>10, f.nodesBefore, f.nodesAfter)
}

// follow watches the page of a running import until just before it ends: then
// the page is loaded again.
func (p panel) follow() (f followed) {
	p.Helper()
	p.Do(chromedp.Evaluate[chromedp.Void](record))
	f.heapBefore, f.nodesBefore = p.size()
	began := time.Now()
	for {
		seen, err := chromedp.Run(p.Ctx, chromedp.Evaluate[int]("window.seen ? seen.length : -1"))
		if err != nil || seen < 0 { // another page has come
			return f
		}
		heap, nodes := p.size()
		if still, err := chromedp.Run(p.Ctx, chromedp.Evaluate[bool]("!!window.seen")); err != nil || !still {
			return f
		}
		f.changes, f.lasted, f.heapAfter, f.nodesAfter = seen, time.Since(began), heap, nodes
		time.Sleep(250 * time.Millisecond)
	}
}

// size is what the page takes: bytes of its scripts' heap, and nodes.
func (p panel) size() (heap, nodes int64) {
	p.Helper()
	var answer struct {
		Metrics []struct {
			Name  string
			Value float64
		}
	}
	p.Do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
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
			heap = int64(m.Value)
		case "Nodes":
			nodes = int64(m.Value)
		}
	}
	return heap, nodes
}
