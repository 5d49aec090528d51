package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestManualPages(t *testing.T) {
	t.Parallel()
	s := shell{T: t}
	dir := t.TempDir()
	s.mustRun("man", dir)
	for _, command := range []string{"rollcall", "rollcall-import", "rollcall-token-create", "rollcall-dev"} {
		page, err := os.ReadFile(filepath.Join(dir, command+".1"))
		if err != nil {
			t.Fatal(err)
		}
		contains(t, string(page), `.TH "`+strings.ToUpper(command), ".SH SYNOPSIS", ".SH OPTIONS")
	}
	page, _ := os.ReadFile(filepath.Join(dir, "rollcall-import.1"))
	contains(t, string(page), `\fB--on-duplicate\fP`, "Exit code: 0 all rows were imported", ".SH EXAMPLE")
	r := s.run("man", filepath.Join(dir, "nowhere"))
	if r.code != 1 {
		t.Errorf("exit code %d for a directory that is not there", r.code)
	}
}

// TestShellCompletion requests completions as the shells' scripts do.
func TestShellCompletion(t *testing.T) {
	t.Parallel()
	s := shell{T: t}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		contains(t, s.mustRun("completion", shell).stdout, "rollcall", "__complete")
	}
	for typed, offered := range map[string][]string{
		"import --on-duplicate ":       {"skip\nupdate\n"},
		"import --delimiter ":          {"tab\n"},
		"import --encoding windows":    {"windows-1252\n"},
		"import --no":                  {"--no-invitations"},
		"tok":                          {"token"},
		"token ":                       {"create", "list", "revoke"},
		"import --errors ":             {":0\n"}, // files, as the shell has them
		"import --mapping email=E --w": {"--wait"},
	} {
		r := s.mustRun(append([]string{"__complete"}, strings.Split(typed, " ")...)...)
		contains(t, r.stdout, offered...)
	}
}
