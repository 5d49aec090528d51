package web_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestTemplateNames: of two templates with one name the second silently replaces
// the first, on every page.
func TestTemplateNames(t *testing.T) {
	t.Parallel()
	define := regexp.MustCompile(`\{\{-? ?(?:define|block) "([^"]+)"`)
	in := func(pattern string) map[string]string {
		defined := map[string]string{}
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range define.FindAllSubmatch(text, -1) {
				name := string(match[1])
				if other, twice := defined[name]; twice && name != "content" { // each page has one
					t.Errorf("%s and %s both define %q", other, file, name)
				}
				defined[name] = file
			}
		}
		return defined
	}
	parts := in("templates/parts/*.html")
	for name, page := range in("templates/*.html") {
		if part, twice := parts[name]; twice {
			t.Errorf("%s and %s both define %q", part, page, name)
		}
	}
}
