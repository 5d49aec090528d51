package archtest_test

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

// TestDocumentedLayers compares the package table in docs/architecture.md with
// the layers.
func TestDocumentedLayers(t *testing.T) {
	t.Parallel()
	const document = "docs/architecture.md"
	table := section(t, document, "## Layers and packages")
	there := packages(t)
	for name, layer := range layers {
		if _, exists := there[name]; !exists || name == "examples/gen" {
			continue
		}
		line := regexp.MustCompile(fmt.Sprintf("(?m)^\\| %d \\|.*`%s`", layer, regexp.QuoteMeta(name)))
		if !line.MatchString(table) {
			t.Errorf("%s does not name %s on layer %d", document, name, layer)
		}
	}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 || !strings.Contains(cells[2], "`") {
			continue
		}
		for _, name := range regexp.MustCompile("`[^`]+`").FindAllString(cells[2], -1) {
			if _, known := layers[strings.Trim(name, "`")]; !known {
				t.Errorf("%s names %s, which has no layer", document, name)
			}
		}
	}
}

const operations = "docs/operations.md"

// TestExplainedLogLines finds log messages that are explained but that no program
// writes anymore.
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
				t.Errorf("%s explains %q, which no program logs", operations, line)
			}
		}
	}
	if explained == 0 {
		t.Errorf("%s explains no log message", operations)
	}
}
