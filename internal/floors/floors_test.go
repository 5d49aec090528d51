// Package floors_test keeps the floors of the house: an import goes down only.
package floors_test

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

// floors gives each package its floor; a new package needs an entry.
var floors = map[string]int{
	"roster": 0, "tabular": 0, "migrations": 0, "api": 0, "internal/child": 0, "tracing": 0, "egress": 0,
	"intake": 1, "storage": 1, "mail": 1, "auth": 1, "client": 1, "webhook": 1, "wire": 0,
	"report": 2, "jobs": 2, "access": 2, "privacy": 2, "httpapi/header": 2, "web/foreign": 2,
	"httpapi": 3, "httpapi/problem": 3, "httpapi/upload": 3, "httpapi/query": 3, "web": 3,
	"config": 4, "app": 4, "devstack": 4,
	"cli/terminal": 0,
	"cli":          5,
	"cmd/api":      6, "cmd/worker": 6, "cmd/rollcall": 6,
	"examples/gen": 6, "internal/sbom": 6, "bench": 6,
}

// sideways lists the imports allowed within one floor.
var sideways = map[[2]string]string{
	{"wire", "roster"}:                    "wire writes the nouns as JSON",
	{"httpapi", "httpapi/problem"}:        "problem only presents errors",
	{"httpapi", "httpapi/upload"}:         "upload takes the file out of a request",
	{"httpapi", "httpapi/query"}:          "lists read their queries in one way",
	{"httpapi/query", "httpapi/problem"}:  "what can be wrong with a request is said in one place",
	{"httpapi/upload", "httpapi/problem"}: "what can be wrong with a request is said in one place",
	{"web", "httpapi/problem"}:            "one table from error to status for pages and API",
	{"web", "httpapi/upload"}:             "pages and API take files in one way",
	{"app", "config"}:                     "app wires what the environment says",
}

// forTests are the packages that only tests, and the programs that run tests,
// may import.
var forTests = []string{"internal/browsertest", "internal/dnstest", "internal/otlptest", "internal/pgtest", "internal/programtest", "internal/proxytest", "internal/redistest", "internal/smtptest", "internal/testrun"}

// pure lists what a package that does no I/O of its own must not import.
var pure = map[string][]string{
	"roster":  {"os", "os/exec", "net", "net/http", "database/sql", "log", "log/slog", "context"},
	"tabular": {"os", "os/exec", "net", "net/http", "database/sql", "log", "log/slog", "context"},
	"intake":  {"os", "os/exec", "net", "net/http", "database/sql", "log", "log/slog", "context"},
	"storage": {"net/http"},
	"jobs":    {"net/http"},
}

// maxLines is how long a file may be; one that grows longer is two things.
const maxLines = 450

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath, Dir                    string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports                            []string
}

func (p listed) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// packages lists ours with what they import on any system they are built for.
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

func TestFloors(t *testing.T) {
	t.Parallel()
	for name, p := range packages(t) {
		if slices.Contains(forTests, name) || len(p.GoFiles) == 0 { // nothing but tests
			continue
		}
		floor, known := floors[name]
		if !known {
			t.Errorf("%s has no floor: give it one here and in the README", name)
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
			if problem := judge(name, floor, below); problem != "" {
				t.Error(problem)
			}
		}
	}
}

// judge returns what is wrong with one import between packages of ours.
func judge(importer string, floor int, imported string) string {
	if slices.Contains(forTests, imported) {
		return importer + " imports " + imported + ", which is for tests only"
	}
	below, known := floors[imported]
	_, allowed := sideways[[2]string{importer, imported}]
	if known && (below < floor || allowed) {
		return ""
	}
	return importer + " imports " + imported + ", which is not below it"
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
