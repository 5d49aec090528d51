package disttest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/config"
)

var services = []string{"rollcall-api.service", "rollcall-worker.service", "rollcall-migrate.service"}

func unit(t *testing.T, name string) string { return read(t, root, "deploy/systemd", name) }

// TestUnitsAreValid has systemd read the units, with the programs where they were built.
func TestUnitsAreValid(t *testing.T) {
	t.Parallel()
	tool(t, "systemd-analyze")
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	for _, name := range services {
		text := unit(t, name)
		for installed, built := range map[string]string{"/usr/lib/rollcall/": programs + "/", "/usr/bin/": programs + "/"} {
			text = strings.Replace(text, "ExecStart="+installed, "ExecStart="+built, 1)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if out := run(t, exec.Command("systemd-analyze", args...)); out != "" {
		t.Error(out)
	}
}

// TestUnitsAreHardened: systemd rates what a service could do to the machine from 0
// (nothing) to 10. 1.2 is what the network and the root directory alone give.
func TestUnitsAreHardened(t *testing.T) {
	t.Parallel()
	tool(t, "systemd-analyze")
	for _, name := range services {
		path := filepath.Join(root, "deploy/systemd", name)
		run(t, exec.Command("systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=13", path))
	}
	// The same in every unit.
	_, want, _ := strings.Cut(unit(t, services[0]), "\nUser=")
	want, _, _ = strings.Cut(want, "[Install]")
	for _, name := range services {
		if !strings.Contains(want, "LoadCredential=rollcall:/etc/rollcall/credentials\n") || !strings.Contains(unit(t, name), "\nUser="+want) {
			t.Errorf("%s is not restricted as %s is", name, services[0])
		}
	}
}

// TestUnitsStopAfterTheDrain: systemd waits for longer than a drain takes.
func TestUnitsStopAfterTheDrain(t *testing.T) {
	t.Parallel()
	for _, name := range services[:2] {
		for _, setting := range []string{"TimeoutStopSec=40", "KillMode=mixed", "Restart=always", "StartLimitIntervalSec=0"} {
			if !strings.Contains(unit(t, name), "\n"+setting+"\n") {
				t.Errorf("%s has no %s", name, setting)
			}
		}
	}
}

// TestChartKnowsTheSecrets: what the Helm chart mounts as secrets is secret, and its schema
// refuses it as an ordinary setting. The tests in deploy/helm say who reads what.
func TestChartKnowsTheSecrets(t *testing.T) {
	t.Parallel()
	chart := filepath.Join(root, "deploy/helm/rollcall")
	_, list, _ := strings.Cut(read(t, chart, "templates/_helpers.tpl"), `{{- define "rollcall.secrets" -}}`)
	list, _, _ = strings.Cut(list, "{{- define ")
	names := slices.Compact(slices.Sorted(slices.Values(regexp.MustCompile(`\b[A-Z][A-Z_]{7,}\b`).FindAllString(list, -1))))
	if len(names) < 9 {
		t.Fatalf("the secrets are %q", names)
	}
	refused := read(t, chart, "values.schema.json")
	for _, name := range names {
		if !slices.ContainsFunc(config.Describe(), func(v config.Variable) bool { return v.Name == name && v.Secret }) {
			t.Errorf("%s is not a secret", name)
		}
		if !regexp.MustCompile(`"pattern": "\^\([A-Z_|]*\b` + name + `\b[A-Z_|]*\)\$"`).MatchString(refused) {
			t.Errorf("%s is accepted as an ordinary setting", name)
		}
	}
}

// TestSettingsOfTheUnits: the example names variables that the programs read, and of
// secrets only where they belong.
func TestSettingsOfTheUnits(t *testing.T) {
	t.Parallel()
	example := unit(t, "rollcall.env")
	for _, v := range config.Describe() {
		switch {
		case v.Secret && regexp.MustCompile(`(?m)^#?`+v.Name+`=`).MatchString(example):
			t.Errorf("%s is a secret and not for this file", v.Name)
		case len(v.RequiredBy) > 0 && !strings.Contains(example, "\n#   "+v.Name+" "):
			t.Errorf("%s is required, and not named among the credentials", v.Name)
		}
	}
	settings := regexp.MustCompile(`(?m)^#?(\w+)=|^#   (\w+) `).FindAllStringSubmatch(example, -1)
	if len(settings) < 8 {
		t.Fatalf("%d settings", len(settings))
	}
	for _, s := range settings {
		name := s[1] + s[2]
		if !slices.ContainsFunc(config.Describe(), func(v config.Variable) bool { return v.Name == name && (v.Secret == (s[2] != "")) }) {
			t.Errorf("%s is not a setting, or not of this kind", name)
		}
	}
}
