//go:build unix

package devstack_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/devstack"
)

// install makes a directory with programs that answer --version as a server
// does. No answer: no postgres.
func install(t *testing.T, answer string, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, program := range programs {
		script := fmt.Sprintf("#!/bin/sh\necho '%s'\n", answer)
		if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindInstallations(t *testing.T) {
	t.Parallel()
	both := []string{"postgres", "initdb"}
	debian15 := install(t, "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)", both...)
	older15 := install(t, "postgres (PostgreSQL) 15.9", both...)
	seventeen := install(t, "postgres (PostgreSQL) 17.2 (Homebrew)", both...)
	beta18 := install(t, "postgres (PostgreSQL) 18beta1", both...)
	release18 := install(t, "postgres (PostgreSQL) 18.0", both...)
	twin15 := install(t, "postgres (PostgreSQL) 15.20", both...)
	linked17 := t.TempDir()
	for _, program := range both {
		if err := os.Symlink(filepath.Join(seventeen, program), filepath.Join(linked17, program)); err != nil {
			t.Fatal(err)
		}
	}
	tooOld := install(t, "postgres (PostgreSQL) 13.18", both...)
	noInitdb := install(t, "postgres (PostgreSQL) 19.1", "postgres")
	noServer := install(t, "initdb (PostgreSQL) 19.1", "initdb")
	other := install(t, "I am no database", both...)

	for name, c := range map[string]struct{ dirs, want []string }{
		"nothing":                      {nil, nil},
		"empty directory":              {[]string{t.TempDir()}, nil},
		"missing directory":            {[]string{"/nonexistent"}, nil},
		"relative directory":           {[]string{".", ""}, nil},
		"not usable":                   {[]string{tooOld, noInitdb, noServer, other}, nil},
		"newest major first":           {[]string{debian15, seventeen}, []string{"17.2", "15.20"}},
		"minor counts as a number":     {[]string{older15, debian15}, []string{"15.20", "15.9"}},
		"release before its beta":      {[]string{beta18, release18}, []string{"18.0", "18beta1"}},
		"a beta beats an older major":  {[]string{seventeen, beta18}, []string{"18beta1", "17.2"}},
		"links count once":             {[]string{seventeen, linked17}, []string{"17.2"}},
		"the unusable are passed over": {[]string{other, tooOld, debian15}, []string{"15.20"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, b := range devstack.FindInstallations(t.Context(), c.dirs) {
				got = append(got, b.Version)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("versions (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("the first of equals wins", func(t *testing.T) {
		t.Parallel()
		got := devstack.FindInstallations(t.Context(), []string{twin15, debian15})
		want := []devstack.Binaries{{Dir: twin15, Version: "15.20", Major: 15}, {Dir: debian15, Version: "15.20", Major: 15}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("installations (-want +got):\n%s", diff)
		}
	})
}

func TestFindPostgresPrefersTheNewestInPath(t *testing.T) {
	dir := install(t, "postgres (PostgreSQL) 999.1", "postgres", "initdb")
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	got, err := devstack.FindPostgres(t.Context())
	if err != nil || got.Dir != dir || got.Major != 999 {
		t.Errorf("FindPostgres = %v, %v; want the one in %s", got, err, dir)
	}
}

func TestNoPostgresSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"apt-get install", "dnf install", "brew install", "DATABASE_URL"} {
		if !strings.Contains(devstack.ErrNoPostgres.Error(), want) {
			t.Errorf("the message does not mention %q", want)
		}
	}
}
