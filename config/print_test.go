package config_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/config"
)

// However a Config is printed, no secret is seen, nor is any password within a
// URL.
func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2-hunter2-hunter2-hunter2-"
	var cfg config.Config
	v := reflect.ValueOf(&cfg).Elem()
	for i := range v.NumField() {
		switch v.Field(i).Interface().(type) {
		case config.Secret:
			v.Field(i).SetString(hidden)
		case config.Secrets:
			v.Field(i).Set(reflect.ValueOf(config.Secrets{hidden, hidden}))
		}
	}
	cfg.Listen = ":8080"

	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{cfg, &cfg, cfg.Secret, cfg.SecretPrevious, struct{ C config.Config }{cfg}, []any{cfg.DatabaseURL}} {
			fmt.Fprintf(&shown, verb+"\n", value)
		}
	}
	for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&shown, nil)), slog.New(slog.NewJSONHandler(&shown, nil))} {
		logger.Info("started", "config", cfg, "pointer", &cfg, "secret", cfg.Secret, "previous", cfg.SecretPrevious, "any", slog.AnyValue([]any{cfg.Secret}))
	}
	if err := json.NewEncoder(&shown).Encode(cfg); err != nil {
		t.Fatal(err)
	}
	for _, trace := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2")} {
		if strings.Contains(shown.String(), trace) {
			t.Errorf("a secret is shown:\n%s", shown.String())
		}
	}
	if want := "DATABASE_URL=(set) "; !strings.HasPrefix(cfg.String(), want) || !strings.Contains(cfg.String(), "ROLLCALL_LISTEN=:8080") ||
		!strings.Contains(cfg.String(), "ROLLCALL_SECRET_PREVIOUS=(2 set)") {
		t.Errorf("String() = %s", cfg)
	}
	if cfg.Secret.Reveal() != hidden || config.Secret("").String() != "(not set)" {
		t.Error("a secret cannot be told from none")
	}
}

// Whatever could hold a password is a Secret: its name says so.
func TestSecretsHaveTheirType(t *testing.T) {
	t.Parallel()
	sensitive := regexp.MustCompile(`SECRET|TOKEN|PASSWORD|^(DATABASE|DATABASE_LISTEN|REDIS|SMTP)_URL$`)
	for _, v := range config.Describe() {
		if v.Secret != sensitive.MatchString(strings.TrimSuffix(v.Name, "TOKEN_URL")) { // the address that hands tokens out is no secret
			t.Errorf("%s: Secret = %v", v.Name, v.Secret)
		}
	}
}

// The variables people rely on, with their defaults.
func TestDescribe(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"DATABASE_URL": "", "REDIS_URL": "", "ROLLCALL_SECRET": "", "ROLLCALL_SECRET_PREVIOUS": "",
		"ROLLCALL_LISTEN":         ":8080 (dev: 127.0.0.1:8080)",
		"ROLLCALL_METRICS_LISTEN": "127.0.0.1:9090 (worker: 127.0.0.1:9091)",
		"ROLLCALL_PUBLIC_URL":     "http://localhost:8080",
		"ROLLCALL_BRAND":          "SecureAI",
		"ADMIN_API_TOKEN":         "", "SMTP_URL": "",
		"ROLLCALL_MAIL_FROM":            "no-reply@localhost",
		"ROLLCALL_MAIL_RATE":            "0",
		"ROLLCALL_MAIL_CONCURRENCY":     "4",
		"ROLLCALL_INVITATION_TTL":       "72h",
		"ROLLCALL_INVITATION_REMINDERS": "",
		"ROLLCALL_MAX_UPLOAD_BYTES":     "268435456",
		"ROLLCALL_MAX_ROWS":             "1000000",
		"ROLLCALL_IMPORT_WAIT":          "10s",
		"ROLLCALL_RETENTION":            "720h",
		"ROLLCALL_DATA_DIR":             ".rollcall (as root: /var/lib/rollcall)",
		"ROLLCALL_DEV_ADMIN_EMAIL":      "admin@example.com",
		"ROLLCALL_DEV_ADMIN_PASSWORD":   "generated once, kept in the data directory",
		"ROLLCALL_URL":                  "http://localhost:8080",
		"ROLLCALL_LOG":                  "text on a terminal, else json",
		"ROLLCALL_LOG_LEVEL":            "info",
	}
	described := map[string]bool{}
	for _, v := range config.Describe() {
		described[v.Name] = true
		if fallback, ok := want[v.Name]; ok && v.Default != fallback {
			t.Errorf("default of %s is %q, want %q", v.Name, v.Default, fallback)
		}
		if v.Meaning == "" || len(v.ReadBy) == 0 {
			t.Errorf("%s: nothing says what it means or who reads it", v.Name)
		}
		for _, command := range v.RequiredBy {
			if !slices.Contains(v.ReadBy, command) {
				t.Errorf("%s is required by %s, which does not read it", v.Name, command)
			}
		}
		if !strings.Contains(config.Markdown(), "| `"+v.Name+"` | ") {
			t.Errorf("%s is missing from the table", v.Name)
		}
	}
	for name := range want {
		if !described[name] {
			t.Errorf("%s is not described", name)
		}
	}
}

// Every tag of Config is one the package knows, so that a mistyped one does
// not silently do nothing, and every number and duration is bounded.
func TestConfigTags(t *testing.T) {
	t.Parallel()
	known := []string{"env", "envDefault", "default_dev", "default_worker", "doc_default", "read", "required", "min", "max", "check", "empty", "about"}
	programs := []string{"api", "worker", "migrate", "token", "user", "import", "bounce", "dev"}
	key := regexp.MustCompile(`([^ ":]+):"`)
	quoted := regexp.MustCompile(`:"[^"]*"`)
	for f := range reflect.TypeFor[config.Config]().Fields() {
		for _, match := range key.FindAllStringSubmatch(quoted.ReplaceAllString(string(f.Tag), `:" `), -1) {
			if !slices.Contains(known, match[1]) {
				t.Errorf("%s: unknown tag %s", f.Name, match[1])
			}
		}
		for _, program := range strings.Fields(f.Tag.Get("read") + " " + f.Tag.Get("required")) {
			if !slices.Contains(programs, program) {
				t.Errorf("%s: unknown program %s", f.Name, program)
			}
		}
		kind := f.Type.Kind()
		number := (kind == reflect.Int || kind == reflect.Int64 || kind == reflect.Float64) && f.Type != reflect.TypeFor[slog.Level]()
		if bounded := f.Tag.Get("min") != "" && f.Tag.Get("max") != ""; bounded != number {
			t.Errorf("%s: bounded is %v for a %s", f.Name, bounded, f.Type)
		}
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		format     string
		isTerminal bool
		level      slog.Level
		want       string
	}{
		{"", true, slog.LevelInfo, `level=INFO msg=started row=1`},
		{"", false, slog.LevelInfo, `"level":"INFO","msg":"started","row":1}`},
		{"text", false, slog.LevelInfo, `level=INFO msg=started row=1`},
		{"json", true, slog.LevelInfo, `"level":"INFO","msg":"started","row":1}`},
		{"json", true, slog.LevelWarn, ``},
	} {
		var out bytes.Buffer
		logger := config.Config{LogFormat: tt.format, LogLevel: tt.level}.Logger(&out, tt.isTerminal)
		logger.InfoContext(context.Background(), "started", "row", 1)
		if got := strings.TrimSpace(out.String()); !strings.HasSuffix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("format %q, terminal %v, level %s: %s", tt.format, tt.isTerminal, tt.level, got)
		}
	}
}
