package browsertest

import (
	"context"
	_ "embed"
	"testing"

	"github.com/chromedp/chromedp"
)

// axe is axe-core 4.14.1 as published (MPL 2.0; see the licences beside it).
//
//go:embed axe/axe.min.js
var axe string

// loaded checks whether the page has axe-core already.
const loaded = `"axe" in window`

// findSerious lists the axe-core violations of impact serious or critical, one
// string each.
const findSerious = `axe.run(document, {resultTypes: ["violations"]}).then((found) => found.violations
	.filter((v) => v.impact === "serious" || v.impact === "critical")
	.map((v) => v.id + ": " + v.help + ": " + v.nodes.slice(0, 5).map((n) => n.html + " " + n.failureSummary).join("; ")))`

// Accessible fails the test for every serious violation that axe-core finds on
// the page in the tab; page names it in messages. Scripts must be enabled.
func Accessible(ctx context.Context, t testing.TB, page string) {
	t.Helper()
	there, err := chromedp.Run(ctx, chromedp.Evaluate[bool](loaded))
	if err == nil && !there {
		_, err = chromedp.Run(ctx, chromedp.Evaluate[any](axe+";null"))
	}
	if err != nil {
		t.Fatalf("browsertest: load axe-core: %v", err)
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](findSerious, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("browsertest: run axe-core: %v", err)
	}
	for _, fault := range found {
		t.Errorf("%s: %s", page, fault)
	}
}
