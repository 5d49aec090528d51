package archtest_test

import (
	"slices"
	"strings"
	"testing"
)

// TestServersStartNoProcess checks that no package of the api or the worker can start a
// process, so no input can become a command.
func TestServersStartNoProcess(t *testing.T) {
	t.Parallel()
	there := packages(t)
	var starting []string
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, path := range there[name].Imports {
			if path == "os/exec" {
				starting = append(starting, name)
			}
			if ours, ok := strings.CutPrefix(path, module+"/"); ok {
				visit(ours)
			}
		}
	}
	visit("cmd/api")
	visit("cmd/worker")
	if len(starting) > 0 || len(seen) < 10 || !slices.Contains(there["internal/subprocess"].Imports, "os/exec") {
		t.Errorf("of %d packages these start processes: %v", len(seen), starting)
	}
}
