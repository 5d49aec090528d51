package docs_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promise is a line of a table of guarantees.md.
var promise = regexp.MustCompile(`^\| (.+?) \| (.+?) \| (.+?) \|$`)

// TestEveryPromiseIsShown: each promise names a mechanism and a test, and each
// test that is named exists.
func TestEveryPromiseIsShown(t *testing.T) {
	t.Parallel()
	promises := 0
	for line := range lines(t, "guarantees.md") {
		cells := promise.FindStringSubmatch(line)
		if cells == nil || cells[1] == "guarantee" || strings.HasPrefix(cells[1], "---") {
			continue
		}
		promises++
		tests := testName.FindAllStringSubmatch(cells[3], -1)
		if n := strings.Count(cells[3], "`"); len(tests) == 0 || n != 2*len(tests) {
			t.Errorf("the last cell must name tests, as `package.TestName`, and nothing else: %s", line)
		}
		for _, found := range tests {
			if !slices.Contains(testsOf(t, found[1]), found[2]) {
				t.Errorf("there is no %s in %s", found[2], found[1])
			}
		}
	}
	if promises < 20 {
		t.Errorf("only %d promises found", promises)
	}
}
