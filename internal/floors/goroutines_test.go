package floors_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// unwatched are packages that start goroutines and whose own tests do not look
// for leaked ones, and why.
var unwatched = map[string]string{
	"bench":                "a program that ends with its measurements",
	"httpapi/upload":       "tested through httpapi, which looks",
	"internal/dnstest":     "for tests, which look",
	"internal/programtest": "for tests, which look",
	"internal/proxytest":   "for tests, which look",
	"internal/smtptest":    "for tests, which look",
	"internal/testrun":     "a program that ends with the command it runs",
}

var startsGoroutine = regexp.MustCompile(`\bgo func\(|\bgo \w+(\.\w+)*\(|\.Go\(|AfterFunc\(`)

// TestGoroutinesAreWatched: where goroutines are started, tests look whether
// any is left.
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
			t.Errorf("%s starts goroutines and no test looks for leaked ones: goleak.VerifyTestMain", name)
		case excused && (looks || !starts):
			t.Errorf("%s needs no excuse", name)
		}
	}
}
