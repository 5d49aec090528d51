// Package helm_test renders the chart as helm does, decodes every object strictly as the
// API server would, and holds every pod against the restricted Pod Security profile.
package helm_test

import (
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

const (
	chartDir = "rollcall"
	root     = "../.."
)

// values are what every installation gives, in the form of values.yaml.
func values() map[string]any {
	return map[string]any{
		"existingSecret": "rollcall-secrets", "publicURL": "https://rollcall.example.com",
		"config":  map[string]any{"ROLLCALL_MAIL_FROM": "hr@example.com", "ROLLCALL_MAX_ROWS": 2000000, "ROLLCALL_MAIL_RATE": 0.5, "ROLLCALL_REQUIRE_TLS": "yes"},
		"ingress": map[string]any{"host": "rollcall.example.com"},
	}
}

// everything sets what is empty by default.
func everything() map[string]any {
	v := values()
	list := func(entries ...any) []any { return entries }
	set(v, "image.digest", "sha256:"+strings.Repeat("a", 64))
	set(v, "imagePullSecrets", list(map[string]any{"name": "pull"}))
	set(v, "serviceAccountName", "rollcall")
	set(v, "migration.existingSecret", "owner")
	set(v, "migration.appRole", "rc_app")
	set(v, "extraVolumes", list(map[string]any{"name": "ca", "configMap": map[string]any{"name": "ca"}}))
	set(v, "extraVolumeMounts", list(map[string]any{"name": "ca", "mountPath": "/etc/ca", "readOnly": true}))
	set(v, "ingress.className", "nginx")
	set(v, "ingress.tlsSecret", "tls")
	set(v, "ingress.annotations", map[string]any{"nginx.ingress.kubernetes.io/proxy-body-size": "257m"})
	set(v, "networkPolicy.apiFrom", list(map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"name": "ingress"}}}))
	set(v, "networkPolicy.egress", list(map[string]any{"to": list(map[string]any{"ipBlock": map[string]any{"cidr": "10.0.0.0/8"}})}))
	set(v, "serviceMonitor.labels", map[string]any{"release": "prometheus"})
	set(v, "prometheusRule.labels", map[string]any{"release": "prometheus"})
	set(v, "worker.autoscaling.queueAge.matchLabels", map[string]any{"namespace": "people"})
	for _, part := range []string{"api", "worker"} {
		set(v, part+".podAnnotations", map[string]any{"team": "people"})
		set(v, part+".nodeSelector", map[string]any{"kubernetes.io/arch": "arm64"})
		set(v, part+".tolerations", list(map[string]any{"key": "spot", "operator": "Exists"}))
		set(v, part+".affinity", map[string]any{"podAntiAffinity": map[string]any{}})
	}
	return v
}

// set sets a value by its dotted path.
func set(v map[string]any, dotted string, value any) {
	keys := strings.Split(dotted, ".")
	for _, key := range keys[:len(keys)-1] {
		inner, ok := v[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			v[key] = inner
		}
		v = inner
	}
	v[keys[len(keys)-1]] = value
}

// switches returns the dotted paths of all booleans among the chart's values.
func switches(prefix string, v map[string]any) (paths []string) {
	for _, key := range slices.Sorted(maps.Keys(v)) {
		switch value := v[key].(type) {
		case bool:
			paths = append(paths, prefix+key)
		case map[string]any:
			paths = append(paths, switches(prefix+key+".", value)...)
		}
	}
	return paths
}

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render returns the manifests of the chart, by file.
func render(c *chart.Chart, given map[string]any) (map[string]string, error) {
	release := chartutil.ReleaseOptions{Name: "people", Namespace: "hr", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, given, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(files, func(name, text string) bool {
		return path.Ext(name) != ".yaml" || strings.TrimSpace(text) == ""
	})
	return files, nil
}

// named is the start of an object.
var named = regexp.MustCompile(`(?m)^kind: \w+\nmetadata:\n  name: \S+$`)

// TestEveryCombination renders the chart with every combination of its switches and with
// every value set, and with only those that must be; and checks every object.
func TestEveryCombination(t *testing.T) {
	t.Parallel()
	c := load(t)
	paths := switches("", c.Values)
	if len(paths) < 8 || len(paths) > 12 {
		t.Fatalf("%d switches: %q", len(paths), paths)
	}
	checked := map[string]bool{} // by manifest: most are the same in many combinations
	kinds := map[string]bool{}
	check := func(given map[string]any, combination int) {
		for i, dotted := range paths {
			set(given, dotted, combination&(1<<i) != 0)
		}
		files, err := render(c, given)
		if err != nil {
			t.Fatalf("%b: %v", combination, err)
		}
		names := map[string]bool{}
		for file, text := range files {
			if !checked[text] {
				checked[text] = true
				if err := checkObjects(text, kinds); err != nil {
					t.Fatalf("%s: %v\n%s", file, err, text)
				}
			}
			for _, o := range named.FindAllString(text, -1) {
				if names[o] {
					t.Fatalf("%b: twice: %s", combination, o)
				}
				names[o] = true
			}
		}
	}
	all := 1 << len(paths)
	for combination := range all {
		check(everything(), combination)
	}
	check(values(), 0)
	check(values(), all-1)
	want := []string{"Deployment", "HorizontalPodAutoscaler", "Ingress", "Job", "NetworkPolicy", "PodDisruptionBudget", "PrometheusRule", "Service", "ServiceMonitor"}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, want) {
		t.Errorf("the kinds are %q, want %q", got, want)
	}
	t.Logf("%d combinations, %d different manifests", all, len(checked))
}

// TestRefusedValues: the schema names what is missing, unknown or a secret.
func TestRefusedValues(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, tt := range []struct {
		path  string
		value any
	}{
		{"existingSecret", ""}, {"publicURL", "rollcall.example.com"}, {"publicURL", "https://example.com/path"}, {"replicas", 3},
		{"api.replicas", 0}, {"api.replica", 3}, {"worker.autoscaling.cpuUtilization", 200}, {"image.digest", "sha256:1"},
		{"config.DATABASE_URL", "postgres://"}, {"config.ROLLCALL_SECRET", "x"}, {"config.ROLLCALL_METRICS_LISTEN", ""}, {"config.rollcall_brand", "x"},
		{"image.pullPolicy", "Sometimes"},
	} {
		given := values()
		set(given, tt.path, tt.value)
		if _, err := render(c, given); err == nil {
			t.Errorf("%s: %v is accepted", tt.path, tt.value)
		}
	}
	given := values()
	set(given, "ingress", map[string]any{"enabled": true})
	if _, err := render(c, given); err == nil {
		t.Error("an Ingress without a host is accepted")
	}
	if _, err := render(c, values()); err != nil {
		t.Error(err)
	}
}

// TestAlertsHaveOneSource: the rules in the cluster are deploy/prometheus-alerts.yaml.
func TestAlertsHaveOneSource(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../prometheus-alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	given := values()
	set(given, "prometheusRule.enabled", true)
	files, err := render(load(t), given)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for line := range strings.Lines(string(raw)) {
		fmt.Fprintf(&want, "  %s", line)
	}
	if want.Len() < 1000 || !strings.Contains(files["rollcall/templates/monitoring.yaml"], "\nspec:\n"+want.String()) {
		t.Error("the rules are not those of deploy/prometheus-alerts.yaml")
	}
}
