package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestWhereThingsAre checks that every file in the table of CONTRIBUTING.md
// exists.
func TestWhereThingsAre(t *testing.T) {
	t.Parallel()
	_, table, found := strings.Cut(read(t, "../CONTRIBUTING.md"), "\n## Where things are\n")
	if !found {
		t.Fatal("CONTRIBUTING.md does not say where things are")
	}
	questions := regexp.MustCompile("(?m)^\\| .+\\? \\| `([^`]+)` \\|$").FindAllStringSubmatch(table, -1)
	if rows := strings.Count(table, "\n| "); len(questions) < 30 || rows != len(questions)+1 {
		t.Errorf("%d questions in %d rows, want at least 30, and each with one file", len(questions), rows-1)
	}
	for _, q := range questions {
		if info, err := os.Stat(filepath.Join("..", filepath.FromSlash(q[1]))); err != nil || info.IsDir() {
			t.Errorf("%s is not a file: %v", q[1], err)
		}
	}
}

// TestIndexOfDecisions checks that the index names every decision under the title
// it has, and nothing else.
func TestIndexOfDecisions(t *testing.T) {
	t.Parallel()
	index := read(t, "adr/README.md")
	records, err := filepath.Glob("adr/[0-9]*.md")
	if err != nil || len(records) == 0 {
		t.Fatalf("no decisions: %v", err)
	}
	for _, path := range records {
		number, title, found := strings.Cut(strings.TrimPrefix(firstLine(read(t, path)), "# "), ". ")
		if !found {
			t.Errorf("%s does not start with its number and title", path)
			continue
		}
		if line := "| " + number + " | [" + title + "](" + filepath.Base(path) + ") |"; !strings.Contains(index, line) {
			t.Errorf("adr/README.md has no line %s", line)
		}
	}
	if links := link.FindAllString(index, -1); len(links) != len(records) {
		t.Errorf("adr/README.md links to %d decisions of %d", len(links), len(records))
	}
}

// TestReadmeIsShort keeps the README to what a newcomer reads first.
func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	if n := strings.Count(read(t, "../README.md"), "\n"); n > 150 {
		t.Errorf("README.md has %d lines; at most 150", n)
	}
}

// TestLinks follows every relative link of the documents.
func TestLinks(t *testing.T) {
	t.Parallel()
	var documents []string
	for _, pattern := range []string{"*.md", "adr/*.md", "../*.md", "../examples/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no documents: %s: %v", pattern, err)
		}
		documents = slices.Concat(documents, found)
	}
	for _, document := range documents {
		for _, found := range link.FindAllStringSubmatch(read(t, document), -1) {
			path, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			target := document
			if path != "" {
				target = filepath.Join(filepath.Dir(document), filepath.FromSlash(path))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", document, found[1], err)
			} else if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
				t.Errorf("%s links to %s, which has no such heading", document, found[1])
			}
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
