package devstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// OldestPostgres is the oldest major version that Rollcall supports.
const OldestPostgres = 14

// ErrNoPostgres says that no usable PostgreSQL is installed. Its text is for
// the person at the terminal: how to install one, and how to do without.
var ErrNoPostgres = errors.New(`no PostgreSQL 14 or newer was found (both "postgres" and "initdb" are needed).
Install it:
  Debian, Ubuntu   sudo apt-get install postgresql
  Fedora           sudo dnf install postgresql-server
  macOS            brew install postgresql@17
or set DATABASE_URL to a database that is already running`)

// Binaries is one installation of the PostgreSQL server.
type Binaries struct {
	Dir     string // absolute directory that holds postgres and initdb
	Version string // as the server writes it: "15.20", "18beta1"
	Major   int    // 15
}

// String names the installation in messages: "PostgreSQL 15.20 in /usr/lib/postgresql/15/bin".
func (b Binaries) String() string { return "PostgreSQL " + b.Version + " in " + b.Dir }

func (b Binaries) path(program string) string { return filepath.Join(b.Dir, program) }

// FindPostgres returns the newest PostgreSQL server on this machine. It
// searches PATH and where the packages of the common systems put it; between
// equal versions PATH wins. The error is [ErrNoPostgres] if there is none.
func FindPostgres(ctx context.Context) (Binaries, error) {
	found := findInstallations(ctx, installationDirs())
	if len(found) == 0 {
		return Binaries{}, ErrNoPostgres
	}
	return found[0], nil
}

// installationDirs lists the directories that may hold a server, PATH first.
func installationDirs() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
		"/usr/pgsql-*/bin",                  // PostgreSQL's own RPMs
		"/usr/libexec/postgresql*",          // Alpine
		"/usr/lib64/postgresql-*/bin",       // Gentoo
		"/usr/lib/postgresql*/bin",          // SUSE
		"/usr/local/pgsql/bin",              // built from source
		"/opt/homebrew/opt/postgresql*/bin", // Homebrew on Apple silicon
		"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		matches, _ := filepath.Glob(pattern) // fails only on a bad pattern
		dirs = append(dirs, matches...)
	}
	return dirs
}

// findInstallations returns the usable servers among dirs, newest first. It
// skips directories without a working server.
func findInstallations(ctx context.Context, dirs []string) []Binaries {
	var found []Binaries
	seen := make(map[string]bool)
	for _, dir := range dirs {
		if !filepath.IsAbs(dir) {
			continue // like os/exec: never run a program from the current directory
		}
		// Version managers and Homebrew link the same server into several places.
		real, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil || seen[real] {
			continue
		}
		seen[real] = true
		if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		version, major, err := serverVersion(ctx, filepath.Join(dir, "postgres"))
		if err != nil || major < OldestPostgres {
			continue
		}
		found = append(found, Binaries{Dir: dir, Version: version, Major: major})
	}
	slices.SortStableFunc(found, func(a, b Binaries) int {
		return cmp.Or(cmp.Compare(b.Major, a.Major), cmp.Compare(minor(b.Version), minor(a.Version)))
	})
	return found
}

// serverVersion asks the program itself: directory names may be wrong after an
// upgrade.
func serverVersion(ctx context.Context, program string) (version string, major int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return "", 0, fmt.Errorf("run %s --version: %w", program, err)
	}
	// "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"
	_, rest, ok := strings.Cut(string(out), "(PostgreSQL) ")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		return "", 0, fmt.Errorf("%s --version printed %q", program, out)
	}
	major, err = strconv.Atoi(leadingDigits(fields[0]))
	if err != nil {
		return "", 0, fmt.Errorf("%s --version printed %q: %w", program, fields[0], err)
	}
	return fields[0], major, nil
}

// minor returns the 20 of "15.20"; a beta or a release candidate ("18beta1",
// "18rc1") sorts before every release of its major version.
func minor(version string) int {
	_, after, released := strings.Cut(version, ".")
	if !released {
		return -1
	}
	n, err := strconv.Atoi(leadingDigits(after))
	if err != nil {
		return -1
	}
	return n
}

func leadingDigits(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		return s
	}
	return s[:end]
}
