package api_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/app/api"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

// openStore opens a database of the test's own.
func openStore(t *testing.T) *storage.Store {
	t.Helper()
	store, err := storage.Open(pgtest.New(t), storage.Options{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

var fqName = regexp.MustCompile(`fqName: "([^"]+)"`)

// registered names every metric of the programs, whether it has counted
// anything yet or not.
func registered(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	ofAPI, ofWorker := api.Registries(openStore(t), slog.New(slog.DiscardHandler))
	for _, registry := range []*prometheus.Registry{ofAPI, ofWorker} {
		descs := make(chan *prometheus.Desc)
		go func() { registry.Describe(descs); close(descs) }()
		for d := range descs {
			names[fqName.FindStringSubmatch(d.String())[1]] = true
		}
	}
	return names
}

// series are the parts that a histogram is scraped in.
var series = regexp.MustCompile(`_(bucket|sum|count)$`)

// metric matches the metrics in an expression: ours and those of the Go
// runtime.
var metric = regexp.MustCompile(`\b(?:rollcall|go|process)_[a-z0-9_]+\b`)

// quoted matches the values of labels, which are not metrics.
var quoted = regexp.MustCompile(`"[^"]*"`)

// metricsIn returns the metrics in an expression, and checks that its brackets
// are balanced.
func metricsIn(t *testing.T, where, expression string) []string {
	t.Helper()
	bare := quoted.ReplaceAllString(expression, "")
	for _, pair := range []string{"()", "{}", "[]"} {
		if strings.Count(bare, pair[:1]) != strings.Count(bare, pair[1:]) {
			t.Errorf("%s: %s leaves %s open", where, expression, pair)
		}
	}
	names := metric.FindAllString(bare, -1)
	if len(names) == 0 {
		t.Errorf("%s: %s asks for no metric", where, expression)
	}
	return names
}

type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func readDeploy(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	if err := yaml.UnmarshalWithOptions(readDeploy(t, "prometheus-alerts.yaml"), &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// panels returns the expressions of the dashboard by the title of their panel.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	var board struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(readDeploy(t, "grafana-dashboard.json"), &board); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], target.Expr)
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
	}
	return all
}

// TestMetricsAreShownAndExplained: the dashboard, the alerts and the operator
// documentation mention only existing metrics, and all of ours.
func TestMetricsAreShownAndExplained(t *testing.T) {
	t.Parallel()
	there := registered(t)
	watched := map[string]bool{}
	look := func(where, expression string) {
		for _, name := range metricsIn(t, where, expression) {
			base := name
			if !there[name] {
				base = series.ReplaceAllString(name, "")
			}
			if !there[base] {
				t.Errorf("%s: no program has the metric %s", where, name)
			}
			watched[base] = true
		}
	}
	for title, expressions := range panels(t) {
		for _, e := range expressions {
			look("panel "+title, e)
		}
	}
	for _, a := range alerts(t) {
		look("alert "+a.Alert, a.Expr)
	}
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, match := range regexp.MustCompile("`((?:rollcall|go_sql|go|process)_[a-z_]+)[`{]").FindAllStringSubmatch(string(document), -1) {
		explained[match[1]] = true
		if !there[match[1]] {
			t.Errorf("docs/operations.md explains %s, which no program has", match[1])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if !strings.HasPrefix(name, "rollcall_") {
			continue
		}
		if !watched[name] {
			t.Errorf("neither the dashboard nor an alert looks at %s", name)
		}
		if !explained[name] {
			t.Errorf("docs/operations.md does not explain %s", name)
		}
	}
}

// TestAlertsSayWhatToDo: each alert is complete, and the operator documentation
// says what to do about it.
func TestAlertsSayWhatToDo(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| `(Rollcall[A-Za-z]+)` \\| [^|]+ \\| [^|]+ \\|$").FindAllStringSubmatch(string(document), -1) {
		explained[match[1]] = true
	}
	for _, a := range alerts(t) {
		if !explained[a.Alert] {
			t.Errorf("docs/operations.md does not say what to do about %s", a.Alert)
		}
		delete(explained, a.Alert)
		if a.Annotations["summary"] == "" || !slices.Contains([]string{"critical", "warning"}, a.Labels["severity"]) {
			t.Errorf("%s: %+v", a.Alert, a)
		}
		if _, err := time.ParseDuration(a.For); a.For != "" && err != nil {
			t.Errorf("%s: for: %v", a.Alert, err)
		}
	}
	for name := range explained {
		t.Errorf("docs/operations.md explains %s, which is no alert", name)
	}
}

// TestTrafficIsCountedByRoute: whatever clients request, there are no more
// series than routes.
func TestTrafficIsCountedByRoute(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	server := httptest.NewServer(api.Counting(registry, func(r gin.IRouter) {
		r.GET("/things/:id", func(c *gin.Context) { c.String(http.StatusOK, "here") })
		r.GET("/assets/0123abcd.css", func(c *gin.Context) { c.Status(http.StatusOK) })
		r.POST("/broken", func(*gin.Context) { panic(http.ErrAbortHandler) })
	}))
	defer server.Close()
	client := server.Client()
	ask := func(method, path string) {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
		}
	}
	for n := range 20 {
		ask("GET", fmt.Sprintf("/things/person%d@example.com?token=%d", n, n))
		ask("GET", fmt.Sprintf("/nowhere/%d", n))
		ask(fmt.Sprintf("METHOD%d", n), "/things/1")
	}
	ask("GET", "/assets/0123abcd.css")
	ask("POST", "/broken")
	server.Close() // when all handlers have returned
	got := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() != "rollcall_http_requests_total" {
				continue
			}
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetValue())
			}
			got[strings.Join(labels, " ")] = m.Counter.GetValue()
		}
	}
	want := map[string]float64{
		"200 GET /things/:id": 20, "404 GET none": 20, "405 other none": 20,
		"200 GET /assets/:file": 1, "aborted POST /broken": 1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// TestScrapeWithoutDatabase: a process reports its own metrics even if the
// database does not respond.
func TestScrapeWithoutDatabase(t *testing.T) {
	t.Parallel()
	store := openStore(t)
	registry, _ := api.Registries(store, slog.New(slog.DiscardHandler))
	value := func() (up float64, families int) {
		gathered, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range gathered {
			if f.GetName() == "rollcall_database_up" {
				up = f.Metric[0].Gauge.GetValue()
			}
		}
		return up, len(gathered)
	}
	up, whole := value()
	if up != 1 {
		t.Error("the database answers, and the scrape says it does not")
	}
	store.Close()
	time.Sleep(1100 * time.Millisecond) // a reading is reused for a second
	if up, left := value(); up != 0 || left != whole-11 {
		t.Errorf("without the database: up %v, %d of %d metrics", up, left, whole)
	}
}

// TestScrapeWithoutCounts: if the states cannot be counted, a scrape still has
// the ages, and the last counts.
func TestScrapeWithoutCounts(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	store, err := storage.Open(url, storage.Options{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	apiRegistry, workerRegistry := api.Registries(store, slog.New(slog.DiscardHandler))
	names := func(r prometheus.Gatherer) map[string]bool {
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		for _, f := range families {
			there[f.GetName()] = true
		}
		return there
	}
	if got := names(apiRegistry); !got["rollcall_imports"] || !got["rollcall_invitations"] {
		t.Fatalf("not counted: %v", got)
	}
	pgtest.AsOwner(t, url, `ALTER TABLE imports DROP COLUMN invites_held CASCADE`)
	time.Sleep(1100 * time.Millisecond) // a count is reused for a second
	if got := names(apiRegistry); !got["rollcall_imports"] || !got["rollcall_oldest_queued_import_age_seconds"] {
		t.Errorf("after a count: %v", got)
	}
	if got := names(workerRegistry); got["rollcall_imports"] || !got["rollcall_oldest_queued_import_age_seconds"] || !got["rollcall_database_up"] {
		t.Errorf("never counted: %v", got)
	}
}
