// Package archtest_test checks the architecture: imports go down the layers only.
package archtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "rollcall"

// layers gives each package its layer; a new package needs an entry.
var layers = map[string]int{
	"roster": 0, "tabular": 0, "tabular/workbook": 0, "migrations": 0, "api": 0, "internal/batch": 0, "internal/backoff": 0, "internal/humanize": 0, "internal/i18n": 0, "internal/ratelimit": 0, "internal/subprocess": 0, "internal/tracing": 0, "internal/egress": 0,
	"userfile": 1, "storage": 1, "mail": 1, "auth": 1, "client": 1, "webhook": 1, "internal/broadcast": 1, "apitypes": 0,
	"report": 2, "jobs": 2, "jobs/invitations": 2, "jobs/importer": 2, "jobs/queue": 2, "jobs/webhooks": 2, "mail/settings": 2, "mail/bounce": 2, "mail/bounce/events": 2, "jobs/bounces": 2, "access": 2, "privacy": 2, "httpapi/header": 2, "web/sanitize": 2, "web/postform": 2, "web/respond": 2,
	"httpapi": 3, "httpapi/problem": 3, "httpapi/upload": 3, "httpapi/query": 3, "web": 3, "web/login": 3,
	"config": 4, "app": 4, "app/api": 4, "app/worker": 4, "internal/devstack": 4,
	"cli/termtext": 0,
	"cli":          5,
	"cmd/api":      6, "cmd/worker": 6, "cmd/rollcall": 6,
	"examples/gen": 6, "test/bench": 6,
}

// sideways lists the imports allowed within one layer.
var sideways = map[[2]string]string{
	{"apitypes", "roster"}:                "apitypes writes the nouns as JSON",
	{"jobs", "jobs/bounces"}:              "jobs runs its parts",
	{"jobs/bounces", "mail/bounce"}:       "reports of returned mail are recorded",
	{"jobs/invitations", "mail/bounce"}:   "invitations are marked, so that returned ones are recognized",
	{"mail/bounce/events", "mail/bounce"}: "events of providers are reports like returned mail",
	{"jobs", "jobs/importer"}:             "jobs runs its parts",
	{"jobs", "jobs/invitations"}:          "jobs runs its parts",
	{"jobs", "jobs/queue"}:                "jobs runs its parts",
	{"jobs", "jobs/webhooks"}:             "jobs runs its parts",
	{"jobs/queue", "jobs/invitations"}:    "a task names a bounded number of invitations",
	{"jobs/invitations", "mail/settings"}: "invitations go out by the settings",
	{"jobs", "mail/settings"}:             "notices go out by the settings",
	{"httpapi", "httpapi/problem"}:        "problem only presents errors",
	{"httpapi", "httpapi/upload"}:         "upload takes the file out of a request",
	{"httpapi", "httpapi/query"}:          "lists read their queries in one way",
	{"httpapi/query", "httpapi/problem"}:  "what can be wrong with a request is said in one place",
	{"httpapi/upload", "httpapi/problem"}: "what can be wrong with a request is said in one place",
	{"web", "httpapi/problem"}:            "one table from error to status for pages and API",
	{"web", "httpapi/upload"}:             "pages and API take files in one way",
	{"web", "web/login"}:                  "web frames the pages of the sign-in",
	{"app", "config"}:                     "app wires what the environment says",
	{"app/api", "config"}:                 "app wires what the environment says",
	{"app/worker", "config"}:              "app wires what the environment says",
	{"app/api", "app"}:                    "what both programs share",
	{"app/worker", "app"}:                 "what both programs share",
}

// forTests are the packages that only tests, and the programs that run tests,
// may import.
var forTests = []string{"test/browsertest", "test/dnstest", "test/nettest", "test/otlptest", "test/pgbouncertest", "test/pgtest", "test/postfixtest", "test/programtest", "test/proxytest", "test/redistest", "test/smtptest", "internal/testrun"}

// pure lists what a package that does no I/O of its own must not import.
var pure = map[string][]string{
	"roster":           {"os", "os/exec", "net", "net/http", "database/sql", "log", "log/slog", "context"},
	"tabular":          {"os", "os/exec", "net", "net/http", "database/sql", "log", "log/slog", "context"},
	"tabular/workbook": {"os", "os/exec", "net", "net/http", "database/sql", "log", "log/slog", "context"},
	"userfile":         {"os", "os/exec", "net", "net/http", "database/sql", "log", "log/slog", "context"},
	"storage":          {"net/http"},
	"jobs":             {"net/http"},

	"jobs/bounces":     {"net/http"},
	"jobs/invitations": {"net/http"},
	"mail/bounce":      {"net/http", "database/sql", "log/slog"},
	"mail/settings":    {"net/http"},
}

// maxLines is how long a file may be. Split one that grows longer.
const maxLines = 450

// listed is the part of `go list -json` output used here.
type listed struct {
	ImportPath, Dir                    string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports                            []string
}

func (p listed) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// packages lists our packages with their imports on any system they are built
// for.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	all, err := listOnce()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// listOnce asks the go command once for all tests.
var listOnce = sync.OnceValues(list)

func list() (map[string]listed, error) {
	all := map[string]listed{}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		command := exec.Command("go", "list", "-e", "-buildvcs=false", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles,Imports", "./...")
		command.Dir = filepath.Join("..", "..")
		command.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
		command.Stderr = os.Stderr
		out, err := command.Output()
		if err != nil {
			return nil, fmt.Errorf("go list for %s: %w", goos, err)
		}
		for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
			var p listed
			if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("read go list for %s: %w", goos, err)
			}
			before := all[p.name()]
			p.GoFiles = union(before.GoFiles, p.GoFiles)
			p.TestGoFiles = union(before.TestGoFiles, p.TestGoFiles)
			p.XTestGoFiles = union(before.XTestGoFiles, p.XTestGoFiles)
			p.Imports = union(before.Imports, p.Imports)
			all[p.name()] = p
		}
	}
	if len(all) == 0 {
		return nil, errors.New("go list names no packages")
	}
	return all, nil
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func TestLayers(t *testing.T) {
	t.Parallel()
	for name, p := range packages(t) {
		if slices.Contains(forTests, name) || len(p.GoFiles) == 0 { // only tests
			continue
		}
		layer, known := layers[name]
		if !known {
			t.Errorf("%s has no layer: give it one here and in docs/architecture.md", name)
			continue
		}
		for _, path := range p.Imports {
			if slices.Contains(pure[name], path) {
				t.Errorf("%s imports %s", name, path)
			}
			below, ours := strings.CutPrefix(path, module+"/")
			if !ours {
				continue
			}
			if problem := judge(name, layer, below); problem != "" {
				t.Error(problem)
			}
		}
	}
}

// judge returns what is wrong with one import between packages of ours.
func judge(importer string, layer int, imported string) string {
	if slices.Contains(forTests, imported) {
		return importer + " imports " + imported + ", which is for tests only"
	}
	below, known := layers[imported]
	_, allowed := sideways[[2]string{importer, imported}]
	if known && (below < layer || allowed) {
		return ""
	}
	return importer + " imports " + imported + ", which is not below it"
}

// TestWorkerLinksNoHTTPFramework: the worker must not link the code that serves
// HTTP.
func TestWorkerLinksNoHTTPFramework(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]bool{"./cmd/worker": false, "./cmd/api": true} {
		list := exec.Command("go", "list", "-buildvcs=false", "-deps", command)
		list.Dir = filepath.Join("..", "..")
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(out, []byte("github.com/gin-gonic/gin")) != want {
			t.Errorf("%s links gin: %t, want %t", command, !want, want)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	for name, p := range packages(t) {
		for _, file := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			content, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(content, []byte("\n")); n > maxLines {
				t.Errorf("%s/%s has %d lines; at most %d", name, file, n, maxLines)
			}
		}
	}
}
