package browsertest_test

import (
	"runtime"
	"testing"

	"github.com/chromedp/chromedp"

	"rollcall/test/browsertest"
)

func TestNew(t *testing.T) {
	ctx := browsertest.New(t)
	got, err := chromedp.Run(ctx, chromedp.Evaluate[int]("6 * 7"))
	if err != nil || got != 42 {
		t.Errorf("the browser reckons %d (%v)", got, err)
	}
}

// judged is a test of which only the result counts.
type judged struct {
	testing.TB
	verdict string
}

func (j *judged) Helper() {}

func (j *judged) Skip(...any) { j.end("skipped") }

func (j *judged) Fatal(...any) { j.end("failed") }

func (j *judged) end(verdict string) {
	j.verdict = verdict
	runtime.Goexit()
}

func TestWithoutABrowser(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("ROLLCALL_CHROMIUM", "")
	for required, want := range map[string]string{"": "skipped", "1": "failed"} {
		t.Setenv("ROLLCALL_REQUIRE_ALL", required)
		j := &judged{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			browsertest.New(j)
		}()
		if <-done; j.verdict != want {
			t.Errorf("with ROLLCALL_REQUIRE_ALL=%q the test is %q, want %q", required, j.verdict, want)
		}
	}
}

func (j *judged) Errorf(string, ...any) { j.verdict = "faulted" }

// TestScriptErrors: an exception in a page's script fails the test.
func TestScriptErrors(t *testing.T) {
	for script, want := range map[string]string{"1": "", "null.x": "faulted"} {
		j := &judged{TB: t}
		t.Run(script, func(t *testing.T) {
			j.TB = t
			tab := browsertest.NewTab(j, "data:text/html,", true)
			tab.Open("<p>t</p><script>" + script + "</script>")
		})
		if j.verdict != want {
			t.Errorf("the script %s: %q, want %q", script, j.verdict, want)
		}
	}
}

func TestAccessible(t *testing.T) {
	ctx := browsertest.New(t)
	const head = `data:text/html,<!doctype html><html lang="en"><title>t</title><main><h1>t</h1>`
	for page, want := range map[string]string{"<label>Name <input></label>": "", "<input>": "faulted"} {
		if err := chromedp.Do(ctx, chromedp.Navigate(head+page)); err != nil {
			t.Fatal(err)
		}
		j := &judged{TB: t}
		browsertest.Accessible(ctx, j, page)
		if j.verdict != want {
			t.Errorf("%s is %q, want %q", page, j.verdict, want)
		}
	}
}

func TestAccessibleInTheDark(t *testing.T) {
	ctx := browsertest.New(t)
	const head = `data:text/html,<!doctype html><html lang="en"><title>t</title><style>@media (prefers-color-scheme: dark) {main {color: silver}}</style><main><h1>t</h1>`
	if err := chromedp.Do(ctx, chromedp.Navigate(head+"<p>Light on white")); err != nil {
		t.Fatal(err)
	}
	for _, page := range []struct{ scheme, want string }{{"light", ""}, {"dark", "faulted"}} {
		if err := chromedp.Do(ctx, browsertest.Scheme(page.scheme)); err != nil {
			t.Fatal(err)
		}
		j := &judged{TB: t}
		browsertest.Accessible(ctx, j, page.scheme)
		if j.verdict != page.want {
			t.Errorf("%s is %q, want %q", page.scheme, j.verdict, page.want)
		}
	}
}
