// Package docs_test compares the documents with the code they describe.
package docs_test

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// unwritten are the chapters of the standard that security.md does not have yet.
var unwritten []string

// requirement is a line of one of the tables of security.md.
type requirement struct {
	id, level, short, how, evidence string
}

func (r requirement) chapter() string { c, _, _ := strings.Cut(r.id, "."); return c }

// applies reports whether the requirement applies to Rollcall.
func (r requirement) applies() bool { return !strings.HasPrefix(r.how, "Does not apply") }

// met reports whether the line claims that the requirement is met.
func (r requirement) met() bool { return r.applies() && !strings.HasPrefix(r.how, "Not met") }

var (
	requirementRow = regexp.MustCompile(`^\| (\d+\.\d+\.\d+) \((\d)\) \| (.+?) \| (.+?) \| (.*?) ?\|$`)
	testName       = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz|Benchmark)[A-Za-z0-9_]*)`")
	link           = regexp.MustCompile(`\]\(([^)]+)\)`)
)

// TestEveryRequirementIsAnswered compares security.md with the list of the standard.
func TestEveryRequirementIsAnswered(t *testing.T) {
	t.Parallel()
	answered := map[string]requirement{}
	for _, r := range requirements(t) {
		if _, twice := answered[r.id]; twice {
			t.Errorf("%s is answered twice", r.id)
		}
		answered[r.id] = r
	}
	for line := range lines(t, filepath.Join("testdata", "asvs-5.0.0.txt")) {
		id, level, listed := strings.Cut(line, " ")
		if strings.HasPrefix(line, "#") || !listed {
			continue
		}
		r, there := answered[id]
		delete(answered, id)
		switch waiting := slices.Contains(unwritten, requirement{id: id}.chapter()); {
		case there && waiting:
			t.Errorf("%s is answered: remove its chapter from the unwritten ones", id)
		case !there && !waiting:
			t.Errorf("%s is not answered", id)
		case there && r.level != level:
			t.Errorf("%s is of level %s, not %s", id, level, r.level)
		}
	}
	for id := range answered {
		t.Errorf("%s is not a requirement of level 1 or 2", id)
	}
}

// TestEveryAnswerHasItsEvidence looks for a test, or for a link where the
// requirement asks for documentation.
func TestEveryAnswerHasItsEvidence(t *testing.T) {
	t.Parallel()
	for _, r := range requirements(t) {
		tests := testName.FindAllStringSubmatch(r.evidence, -1)
		if r.met() && len(tests) == 0 && !link.MatchString(r.evidence) {
			t.Errorf("%s names neither a test nor a link", r.id)
		}
		// Anything else in backquotes would go unchecked.
		if n := strings.Count(r.evidence, "`"); n != 2*len(tests) {
			t.Errorf("%s: only tests may be in backquotes, as `package.TestName`: %s", r.id, r.evidence)
		}
	}
	for line := range lines(t, "security.md") {
		for _, found := range testName.FindAllStringSubmatch(line, -1) {
			if !slices.Contains(testsOf(t, found[1]), found[2]) {
				t.Errorf("there is no %s in %s", found[2], found[1])
			}
		}
	}
}

// TestWhatIsNotMetIsSaidUpFront compares the list at the top with the tables.
func TestWhatIsNotMetIsSaidUpFront(t *testing.T) {
	t.Parallel()
	_, top, found := strings.Cut(read(t, "security.md"), "\n## What is not met\n")
	if !found {
		t.Fatal("security.md has no section on what is not met")
	}
	top, _, _ = strings.Cut(top, "\n## ")
	for _, r := range requirements(t) {
		if said := strings.Contains(top, "**"+r.id+"**"); said != (r.applies() && !r.met()) {
			t.Errorf("%s: met %v, applies %v, named as not met %v", r.id, r.met(), r.applies(), said)
		}
	}
}

func requirements(t *testing.T) []requirement {
	t.Helper()
	var all []requirement
	for line := range lines(t, "security.md") {
		if m := requirementRow.FindStringSubmatch(line); m != nil {
			all = append(all, requirement{m[1], m[2], m[3], m[4], m[5]})
		} else if regexp.MustCompile(`^\| \d`).MatchString(line) {
			t.Errorf("not a line of a table of requirements: %s", line)
		}
	}
	if len(all) == 0 {
		t.Fatal("security.md has no requirements")
	}
	return all
}

// anchors are the headings of a document, as links name them.
func anchors(t *testing.T, path string) []string {
	t.Helper()
	var all []string
	for line := range lines(t, path) {
		if heading, found := strings.CutPrefix(line, "#"); found {
			heading = strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
			heading = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(heading, "")
			all = append(all, strings.ReplaceAll(heading, " ", "-"))
		}
	}
	return all
}

var testsIn sync.Map // directory → names of its tests

func testsOf(t *testing.T, directory string) []string {
	t.Helper()
	if known, ok := testsIn.Load(directory); ok {
		return known.([]string)
	}
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(directory), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w*)\(`).FindAllStringSubmatch(read(t, file), -1) {
			names = append(names, m[1])
		}
	}
	testsIn.Store(directory, names)
	return names
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func lines(t *testing.T, path string) func(yield func(string) bool) {
	t.Helper()
	content := read(t, path)
	return func(yield func(string) bool) {
		for s := bufio.NewScanner(strings.NewReader(content)); s.Scan(); {
			if !yield(s.Text()) {
				return
			}
		}
	}
}
