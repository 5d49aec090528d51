package archtest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// unwatched are packages that start goroutines but whose own tests do not look for
// leaked ones, and why.
var unwatched = map[string]string{
	"test/bench":       "a program that ends with its measurements",
	"httpapi/upload":   "tested through httpapi, which checks",
	"test/dnstest":     "for tests, which check",
	"jobs/bounces":     "tested through jobs, which checks",
	"jobs/importer":    "tested through jobs, which checks",
	"jobs/webhooks":    "tested through jobs, which checks",
	"test/programtest": "for tests, which check",
	"test/proxytest":   "for tests, which check",
	"test/smtptest":    "for tests, which check",
	"internal/testrun": "a program that ends with the command it runs",
}

var startsGoroutine = regexp.MustCompile(`\bgo func\(|\bgo \w+(\.\w+)*\(|\.Go\(|AfterFunc\(`)

// TestGoroutinesAreWatched checks that packages that start goroutines have tests that
// look for leaked ones.
func TestGoroutinesAreWatched(t *testing.T) {
	t.Parallel()
	matches := func(p listed, files []string, pattern *regexp.Regexp) bool {
		return slices.ContainsFunc(files, func(file string) bool {
			content, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			return pattern.Match(content)
		})
	}
	goleak := regexp.MustCompile(`goleak\.VerifyTestMain`)
	for name, p := range packages(t) {
		starts, looks := matches(p, p.GoFiles, startsGoroutine), matches(p, slices.Concat(p.TestGoFiles, p.XTestGoFiles), goleak)
		switch _, excused := unwatched[name]; {
		case starts && !looks && !excused:
			t.Errorf("%s starts goroutines but has no goleak.VerifyTestMain", name)
		case excused && (looks || !starts):
			t.Errorf("%s does not need an exception", name)
		}
	}
}
