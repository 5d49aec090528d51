package jobs_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"log/slog"
	"os"
	"rollcall/jobs/importer"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/jobs"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

// TestMain makes rapid draw fewer cases than its default: each is a few hundred
// transactions. -rapid.checks asks for more.
func TestMain(m *testing.M) {
	flag.Set("rapid.checks", "12")
	flag.Set("rapid.nofailfile", "true") // the printed seed is enough
	goleak.VerifyTestMain(pgtest.Around(m))
}

// testEnv is a test database with everything needed to import into it.
type testEnv struct {
	*testing.T
	url   string
	store *storage.Store
	meter *jobs.Metrics
	// counted is the registry of meter.
	counted *prometheus.Registry
}

func newTestEnv(t *testing.T) *testEnv {
	t.Helper()
	url := pgtest.New(t)
	store, err := storage.Open(url, storage.Options{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	counted := prometheus.NewRegistry()
	return &testEnv{t, url, store, jobs.NewMetrics(counted), counted}
}

func (h *testEnv) importer(cfg importer.Config) *importer.Importer {
	return importer.New(h.store, quiet(), h.meter.Importer, cfg)
}

func quiet() *slog.Logger {
	if os.Getenv("VERBOSE") != "" {
		return slog.Default()
	}
	return slog.New(slog.DiscardHandler)
}

var tester = storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorConfig, Label: "test"}}

// upload stores a file as the API does.
func (h *testEnv) upload(file string, o roster.Options) *roster.Import {
	h.Helper()
	if o.OnDuplicate == "" {
		o.OnDuplicate = roster.SkipDuplicates
	}
	r := bytes.NewReader([]byte(file))
	received, err := h.store.ReceiveImport(h.Context(), storage.Upload{
		By: tester,
		Next: func() ([]byte, error) {
			chunk := make([]byte, storage.ChunkSize)
			n, err := io.ReadFull(r, chunk)
			if n > 0 {
				return chunk[:n], nil
			}
			return nil, err
		},
		Finish: func() (string, roster.Options, error) { return "people.csv", o, nil },
	})
	if err != nil {
		h.Fatal(err)
	}
	return received.Import
}

// run runs an import until it has no more to do.
func (h *testEnv) run(im *importer.Importer, id uuid.UUID) *roster.Import {
	h.Helper()
	for {
		result, err := im.Run(context.WithoutCancel(h.Context()), id)
		if err != nil {
			h.Fatal(err)
		}
		if !result.More {
			return h.read(id)
		}
	}
}

func (h *testEnv) read(id uuid.UUID) *roster.Import {
	h.Helper()
	i, err := h.store.Import(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	return i
}

// empty deletes everything that tests have created.
func (h *testEnv) empty() {
	h.Helper()
	pgtest.AsOwner(h, h.url, `TRUNCATE users, imports, import_errors CASCADE`)
}
