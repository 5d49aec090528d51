package disttest_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestPackages builds the release files of this machine's platform twice, from two
// directories and under different conditions, and looks at what is in them. `make
// dist-check` does it for every platform, and compiles the programs twice too.
func TestPackages(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs GNU tar and dpkg")
	}
	tool(t, "dpkg-deb")
	tools := t.TempDir()
	cmd := exec.Command("make", "-C", root, "dist-tools", "TOOLS="+tools)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	run(t, cmd)

	first := dist(t, root, tools, "TZ=Asia/Tokyo")
	copied := filepath.Join(t.TempDir(), "another")
	for _, part := range []string{"deploy/package", "deploy/systemd"} {
		if err := os.CopyFS(filepath.Join(copied, part), os.DirFS(filepath.Join(root, part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"README.md", "CHANGELOG.md", "SECURITY.md", "deploy/prometheus-alerts.yaml", "deploy/grafana-dashboard.json"} {
		if err := os.WriteFile(filepath.Join(copied, name), []byte(read(t, root, name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	second := dist(t, copied, tools, "TZ=America/Lima", "LC_ALL=C.UTF-8")
	sums := read(t, first, "SHA256SUMS")
	if other := read(t, second, "SHA256SUMS"); other != sums {
		t.Errorf("two builds are not the same:\n%s\n%s", sums, other)
	}

	names := checkSums(t, first, sums)
	prefix := "rollcall_9.8.7-2-g1234567_linux_" + runtime.GOARCH
	deb := "rollcall_9.8.7+2.g1234567_" + runtime.GOARCH + ".deb"
	want := []string{deb, prefix + ".api.cdx.json", prefix + ".rollcall.cdx.json", prefix + ".tar.gz", prefix + ".worker.cdx.json"}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Fatalf("the files are %q, want %q", names, want)
	}
	checkComponents(t, filepath.Join(first, prefix+".rollcall.cdx.json"))
	t.Run("archive", func(t *testing.T) { checkArchive(t, filepath.Join(first, prefix+".tar.gz"), prefix) })
	t.Run("deb", func(t *testing.T) { checkDeb(t, filepath.Join(first, deb)) })
	t.Run("install", func(t *testing.T) { checkInstall(t, filepath.Join(first, deb)) })
}

// dist runs dist.sh of a directory and returns where the files are.
func dist(t *testing.T, dir, tools string, environ ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "dist")
	cmd := exec.Command(filepath.Join(dir, "deploy/package/dist.sh"), out, "linux/"+runtime.GOARCH)
	cmd.Env = append(append(os.Environ(), environ...), "VERSION="+version, "SOURCE_DATE_EPOCH=1700000000", "PROGRAMS="+programs, "TOOLS="+tools)
	run(t, cmd)
	return out
}

// checkSums compares SHA256SUMS with the files and returns their names.
func checkSums(t *testing.T, dir, sums string) (names []string) {
	t.Helper()
	for line := range strings.Lines(sums) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(read(t, dir, name)))); got != sum {
			t.Errorf("%s has the checksum %s, not %s", name, got, sum)
		}
		names = append(names, name)
	}
	return names
}

func checkComponents(t *testing.T, path string) {
	t.Helper()
	var bom struct {
		Format   string `json:"bomFormat"`
		Metadata struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ PURL string }
	}
	if err := json.Unmarshal([]byte(read(t, path)), &bom); err != nil {
		t.Fatal(err)
	}
	if bom.Format != "CycloneDX" || bom.Metadata.Component.Name != "rollcall" || bom.Metadata.Component.Version != version || len(bom.Components) < 20 {
		t.Errorf("%s: %s %v with %d components", path, bom.Format, bom.Metadata.Component, len(bom.Components))
	}
}

func checkArchive(t *testing.T, archive, prefix string) {
	dir := t.TempDir()
	run(t, exec.Command("tar", "--directory", dir, "--extract", "--file", archive))
	if out := run(t, exec.Command(filepath.Join(dir, prefix, "rollcall"), "--version")); !strings.HasPrefix(out, "rollcall "+version+" go") {
		t.Errorf("the version is %q", out)
	}
	for _, name := range []string{"api", "worker", "README.md", "man/rollcall-import.1.gz", "systemd/rollcall-api.service"} {
		if _, err := os.Stat(filepath.Join(dir, prefix, name)); err != nil {
			t.Error(err)
		}
	}
}

// listed is a line of dpkg-deb --contents: mode, owner, and path.
var listed = regexp.MustCompile(`(?m)^(\S+) (\S+) +\d+ 2023-11-14 22:13 \.(\S+)$`)

func checkDeb(t *testing.T, deb string) {
	cmd := exec.Command("dpkg-deb", "--contents", deb)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	contents := run(t, cmd)
	got := map[string]string{}
	for _, line := range listed.FindAllStringSubmatch(contents, -1) {
		got[line[3]] = line[1]
		if line[2] != "root/root" {
			t.Errorf("%s belongs to %s", line[3], line[2])
		}
	}
	if n := strings.Count(contents, "\n"); n != len(got) {
		t.Errorf("%d of %d files have another time:\n%s", n-len(got), n, contents)
	}
	for path, mode := range map[string]string{
		"/usr/bin/rollcall": "-rwxr-xr-x", "/usr/lib/rollcall/api": "-rwxr-xr-x", "/usr/lib/rollcall/worker": "-rwxr-xr-x",
		"/etc/rollcall/": "drwxr-xr-x", "/etc/rollcall/credentials/": "drwx------", "/etc/rollcall/rollcall.env": "-rw-r-----",
		"/usr/lib/sysusers.d/rollcall.conf": "-rw-r--r--", "/usr/lib/systemd/system/rollcall-api.service": "-rw-r--r--",
		"/usr/lib/systemd/system/rollcall-worker.service": "-rw-r--r--", "/usr/lib/systemd/system/rollcall-migrate.service": "-rw-r--r--",
		"/usr/share/man/man1/": "drwxr-xr-x", "/usr/share/man/man1/rollcall-import.1.gz": "-rw-r--r--",
		"/usr/share/doc/rollcall/README.Debian": "-rw-r--r--", "/usr/share/doc/rollcall/prometheus-alerts.yaml": "-rw-r--r--",
	} {
		if got[path] != mode {
			t.Errorf("%s has the mode %q, not %s", path, got[path], mode)
		}
	}
	for path, mode := range got {
		if mode[8] == 'w' || mode[5] == 'w' || strings.ContainsAny(mode, "st") {
			t.Errorf("%s has the mode %s", path, mode)
		}
	}
	dir := t.TempDir()
	run(t, exec.Command("dpkg-deb", "--extract", deb, dir))
	if out := run(t, exec.Command(filepath.Join(dir, "usr/bin/rollcall"), "--version")); !strings.HasPrefix(out, "rollcall "+version+" go") {
		t.Errorf("the version is %q", out)
	}
	if conffiles := run(t, exec.Command("dpkg-deb", "--info", deb, "conffiles")); strings.TrimSpace(conffiles) != "/etc/rollcall/rollcall.env" {
		t.Errorf("an upgrade keeps %q", conffiles)
	}
}

// checkInstall installs, removes and purges the package below a directory, with the
// maintainer scripts.
func checkInstall(t *testing.T, deb string) {
	tool(t, "systemd-sysusers")
	if os.Geteuid() != 0 {
		t.Log("only root may install: unpacked only")
		return
	}
	dir := t.TempDir()
	for _, name := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"var/lib/dpkg/status", "var/lib/dpkg/available", "etc/passwd", "etc/group"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dpkg := func(args ...string) {
		t.Helper()
		run(t, exec.Command("dpkg", append([]string{"--root=" + dir, "--force-script-chrootless", "--force-depends", "--log=" + os.DevNull}, args...)...))
	}
	dpkg("--install", deb)
	if users := read(t, dir, "etc/passwd"); !regexp.MustCompile(`(?m)^rollcall:x:\d+:\d+:Rollcall:/:\S+/nologin$`).MatchString(users) {
		t.Errorf("the users are %q", users)
	}
	if enabled, _ := filepath.Glob(filepath.Join(dir, "etc/systemd/system/*")); len(enabled) > 0 {
		t.Errorf("enabled without being asked: %q", enabled)
	}
	secret := filepath.Join(dir, "etc/rollcall/credentials/DATABASE_URL")
	if err := os.WriteFile(secret, []byte("postgres://"), 0o600); err != nil {
		t.Fatal(err)
	}
	dpkg("--remove", "rollcall")
	if _, err := os.Stat(secret); err != nil {
		t.Errorf("removed with the package: %v", err)
	}
	dpkg("--purge", "rollcall")
	if _, err := os.Stat(filepath.Join(dir, "etc/rollcall")); !os.IsNotExist(err) {
		t.Errorf("after a purge: %v", err)
	}
}
