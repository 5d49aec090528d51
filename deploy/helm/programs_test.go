package helm_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	corev1 "k8s.io/api/core/v1"
)

// TestLint is `helm lint`.
func TestLint(t *testing.T) {
	t.Parallel()
	for _, m := range lint.AllWithKubeVersion(chartDir, everything(), "hr", nil).Messages {
		if m.Severity > support.InfoSev {
			t.Error(m)
		}
	}
}

// settings returns which programs read each variable, from the table that the tests of
// package config compare with the programs.
func settings(t *testing.T) map[string][]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "docs/configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	read := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| .* \\| ([a-z, ]+) \\|$").FindAllStringSubmatch(string(raw), -1) {
		read[row[1]] = strings.Split(row[2], ", ")
	}
	if len(read) < 40 {
		t.Fatalf("%d variables", len(read))
	}
	return read
}

// pods returns the pods of a full installation by the name of their container.
func pods(t *testing.T) map[string]corev1.PodSpec {
	t.Helper()
	files, err := render(load(t), everything())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]corev1.PodSpec{}
	for _, manifest := range files {
		for _, text := range objects(manifest) {
			object, err := decode(text)
			if err != nil {
				t.Fatal(err)
			}
			if template := podTemplate(object); template != nil {
				all[template.Spec.Containers[0].Name] = template.Spec
			}
		}
	}
	if len(all) != 3 {
		t.Fatalf("%d kinds of pods", len(all))
	}
	return all
}

// TestSettings: every variable that the chart sets is one that the program reads, and so
// is every secret it mounts; numbers are written as they were given.
func TestSettings(t *testing.T) {
	t.Parallel()
	read := settings(t)
	chosen := values()["config"].(map[string]any)
	for name, pod := range pods(t) {
		got := map[string]string{}
		for _, e := range pod.Containers[0].Env {
			if _, twice := got[e.Name]; twice {
				t.Errorf("%s: %s is set twice", name, e.Name)
			}
			got[e.Name] = e.Value
			_, byUser := chosen[e.Name]
			if e.Name != "CREDENTIALS_DIRECTORY" && !byUser && !slices.Contains(read[e.Name], name) {
				t.Errorf("%s does not read %s", name, e.Name)
			}
		}
		if got["ROLLCALL_MAX_ROWS"] != "2000000" || got["ROLLCALL_MAIL_RATE"] != "0.5" {
			t.Errorf("%s: numbers are %q and %q", name, got["ROLLCALL_MAX_ROWS"], got["ROLLCALL_MAIL_RATE"])
		}
		secrets := pod.Volumes[0].Secret
		if mount := pod.Containers[0].VolumeMounts[0]; mount.MountPath != got["CREDENTIALS_DIRECTORY"] || mount.Name != pod.Volumes[0].Name || !mount.ReadOnly {
			t.Errorf("%s looks for its secrets in %q, and gets them in %+v", name, got["CREDENTIALS_DIRECTORY"], mount)
		}
		for _, item := range secrets.Items {
			if !slices.Contains(read[item.Key], name) || item.Path != "rollcall_"+item.Key {
				t.Errorf("%s does not read %s from %s", name, item.Key, item.Path)
			}
		}
		if want := map[string]string{"api": "rollcall-secrets", "worker": "rollcall-secrets", "migrate": "owner"}[name]; secrets.SecretName != want {
			t.Errorf("%s gets the secrets of %q, not of %q", name, secrets.SecretName, want)
		}
	}
}

// TestCommands: the image has the programs that the pods run, and the command exists.
func TestCommands(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), "\nCOPY --from=build /out/ /usr/local/bin/\n") || !strings.Contains(string(raw), "\nUSER 65532:65532\n") {
		t.Fatal("the Dockerfile puts the programs somewhere else, or runs them as another user")
	}
	for name, pod := range pods(t) {
		command := pod.Containers[0].Command
		program := path.Base(command[0])
		if _, err := os.Stat(filepath.Join(root, "cmd", program)); err != nil || path.Dir(command[0]) != "/usr/local/bin" {
			t.Errorf("%s runs %q, which the image does not have", name, command)
		}
		if *pod.SecurityContext.RunAsUser != 65532 {
			t.Errorf("%s runs as %d", name, *pod.SecurityContext.RunAsUser)
		}
		if len(command) == 1 {
			continue
		}
		help := exec.Command("go", append(append([]string{"run", "./cmd/" + program}, command[1:]...), "--help")...)
		help.Dir = root
		if out, err := help.CombinedOutput(); err != nil || !strings.Contains(string(out), "rollcall migrate") {
			t.Errorf("%s: %v\n%s", help, err, out)
		}
	}
}
