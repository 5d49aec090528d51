package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"rollcall/jobs/importer"
	"rollcall/roster"
)

// TestPanicsTellNothingPersonal: a panic value may contain a cell, so neither
// the log nor the error repeats it.
func TestPanicsTellNothingPersonal(t *testing.T) {
	t.Parallel()
	const canary = "kanarie-7f3a@canary.example"
	for name, value := range map[string]any{
		"text":  "cannot parse " + canary,
		"error": fmt.Errorf("cannot parse %w", errors.New(canary)),
		"value": struct{ Email string }{canary},
	} {
		h := newTestEnv(t)
		var log bytes.Buffer
		im := importer.New(h.store, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), h.meter.Importer, importer.Config{})
		im.OnRow(func(roster.Status, int64) { panic(value) })
		id := h.upload("email,name\n"+canary+",Zwitscher Kanarienvogel\n", roster.Options{}).ID
		_, err := im.Run(context.WithoutCancel(t.Context()), id)
		if err == nil || !strings.Contains(log.String(), "panic") {
			t.Fatalf("%s: no panic: %v\n%s", name, err, log.String())
		}
		if told := log.String() + err.Error(); strings.Contains(told, "canary.example") || strings.Contains(told, "Zwitscher") {
			t.Errorf("%s: %s", name, told)
		}
	}
}
