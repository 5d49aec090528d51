package floors_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// section returns the part of a document under a heading.
func section(t *testing.T, document, heading string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(document)))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(content), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", document, heading)
	}
	text, _, _ = strings.Cut(text, "\n#")
	return text
}

// TestReadmeNamesEveryPackage holds the layout in the README to the floors.
func TestReadmeNamesEveryPackage(t *testing.T) {
	t.Parallel()
	layout := section(t, "README.md", "## Development")
	there := packages(t)
	for name, floor := range floors {
		if _, exists := there[name]; !exists || name == "examples/gen" {
			continue
		}
		line := regexp.MustCompile(fmt.Sprintf("(?m)^\\| %d \\|.*`%s`", floor, regexp.QuoteMeta(name)))
		if !line.MatchString(layout) {
			t.Errorf("the README does not name %s on floor %d", name, floor)
		}
	}
}

const operations = "docs/operations.md"

// TestExplainedLogLines finds lines of the log that are explained and that no
// program writes any more.
func TestExplainedLogLines(t *testing.T) {
	t.Parallel()
	var sources bytes.Buffer
	for _, p := range packages(t) {
		for _, file := range p.GoFiles {
			content, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(content)
		}
	}
	table := section(t, operations, "## What the log says")
	explained := 0
	for row := range strings.Lines(table) {
		if !strings.HasPrefix(row, "| `") {
			continue
		}
		for _, line := range regexp.MustCompile("`[^`]+`").FindAllString(strings.Split(row, "|")[1], -1) {
			explained++
			if line = strings.Trim(line, "`"); !bytes.Contains(sources.Bytes(), []byte(`"`+line+`"`)) {
				t.Errorf("%s explains %q, which nothing logs", operations, line)
			}
		}
	}
	if explained == 0 {
		t.Errorf("%s explains no line of the log", operations)
	}
}
