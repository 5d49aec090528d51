//go:build unix

// Package openapi_test checks the OpenAPI document with the generators that
// integrators use: their clients are generated, compiled, and used against the
// programs.
package openapi_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"rollcall/internal/devstack"
	"rollcall/test/pgtest"
	"rollcall/test/programtest"
)

// requireVariable is "1" if a missing tool is a failure.
const requireVariable = "ROLLCALL_REQUIRE_ALL"

// binaries is where the programs are built.
var binaries string

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(programtest.Around(pgtest.Around(m), &binaries))
}

// TestGoClient: oapi-codegen's client uploads, polls, reads errors and confirms.
func TestGoClient(t *testing.T) {
	t.Parallel()
	dir := workspace(t)
	if err := os.Mkdir(filepath.Join(dir, "oapi"), 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "go", "tool", "oapi-codegen", "-generate", "types,client", "-package", "oapi", "-o", "oapi/client.go", "openapi.yaml")
	run(t, dir, "go", "build", "-o", "client", ".")
	out := run(t, dir, "./client", startServer(t), programtest.Token)
	if out != "total 3 imported 2 failed 1\n" {
		t.Errorf("the client says %q", out)
	}
}

// TestOgen: ogen fails on what it does not understand.
func TestOgen(t *testing.T) {
	t.Parallel()
	dir := workspace(t)
	run(t, dir, "go", "tool", "ogen", "--target", "ogen", "--package", "ogen", "openapi.yaml")
	client, err := os.ReadFile(filepath.Join(dir, "ogen", "oas_client_gen.go"))
	if err != nil || !strings.Contains(string(client), ") StartImport(ctx context.Context") {
		t.Errorf("no client was generated (%v)", err)
	}
}

// TestTypeScript: the types pass the compiler in its strict mode.
func TestTypeScript(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv(requireVariable) == "1" {
			t.Fatal("npm is not installed")
		}
		t.Skip("npm is not installed")
	}
	dir := workspace(t)
	run(t, dir, "npm", "ci", "--ignore-scripts", "--prefer-offline")
	run(t, dir, "node_modules/.bin/openapi-typescript", "openapi.yaml", "--output", "api.ts")
	use := `import type { components } from "./api";
export const reason: components["schemas"]["RowCode"] = "invalid_email";
// @ts-expect-error: not a code
export const unknown: components["schemas"]["RowCode"] = "no_such_code";
export const total = (i: components["schemas"]["Import"]): number => i.total ?? 0;
`
	if err := os.WriteFile(filepath.Join(dir, "use.ts"), []byte(use), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "node_modules/.bin/tsc", "--noEmit", "--strict", "use.ts")
}

// workspace copies the module of clients, with the document.
func workspace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("clients")); err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join("..", "..", "api", "openapi.yaml"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "openapi.yaml"), document, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// startServer starts the API and a worker and returns the API's URL.
func startServer(t *testing.T) string {
	t.Helper()
	redis, err := devstack.StartRedis(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Stop)
	// Nothing is mailed: the client uploads with send_invitations=false.
	env := programtest.Env(pgtest.New(t), redis.URL(), "smtp://127.0.0.1:1?tls=none")
	_, url := programtest.StartReady(t, filepath.Join(binaries, "api"), env)
	programtest.StartReady(t, filepath.Join(binaries, "worker"), env)
	return url
}

// run runs a command and returns what it prints to standard output.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	if strings.Contains(name, "/") {
		name = filepath.Join(dir, name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}
