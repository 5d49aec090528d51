package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/test/pgtest"
	"rollcall/test/programtest"
)

// TestOldSchemaRefused: a program whose database lacks the schema says what to
// run, and does not start.
func TestOldSchemaRefused(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, "redis://127.0.0.1:1")
	for k, v := range h.env {
		if strings.HasPrefix(v, "DATABASE_URL=") {
			h.env[k] = "DATABASE_URL=" + pgtest.NewEmpty(t)
		}
	}
	for _, name := range []string{"api", "worker"} {
		p := programtest.Start(t, filepath.Join(binaries, name), h.env)
		p.Says(`rollcall migrate`, 30*time.Second)
		<-p.Done()
		if p.ProcessState.ExitCode() == 0 {
			t.Errorf("%s: exit code %d\n%s", name, p.ProcessState.ExitCode(), p.Output())
		}
	}
}
