package config_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/config"
)

var update = flag.Bool("update", false, "rewrite the table in docs/configuration.md")

// TestDocumentedVariables compares the table in docs/configuration.md with the
// tags of Config.
func TestDocumentedVariables(t *testing.T) {
	t.Parallel()
	const path = "../docs/configuration.md"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(raw), "<!-- config:begin")
	opening, rest, closes := strings.Cut(rest, "-->\n")
	table, after, ends := strings.Cut(rest, "<!-- config:end -->")
	if !begins || !closes || !ends {
		t.Fatal("docs/configuration.md has no markers around its table")
	}
	want := config.Markdown()
	if *update && table != want {
		fresh := before + "<!-- config:begin" + opening + "-->\n" + want + "<!-- config:end -->" + after
		if err := os.WriteFile(path, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("the table is out of date; go test ./config -run TestDocumentedVariables -update (-want +documented):\n%s", diff)
	}
}
