package jobs_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/internal/pgtest"
	"rollcall/jobs"
	"rollcall/roster"
	"rollcall/storage"
)

// TestMain has rapid draw fewer cases than it would: each is a few hundred
// transactions. -rapid.checks asks for more.
func TestMain(m *testing.M) {
	flag.Set("rapid.checks", "12")
	flag.Set("rapid.nofailfile", "true") // the seed it prints will do
	goleak.VerifyTestMain(pgtest.Around(m))
}

// house is a database of its own with what is needed to import into it.
type house struct {
	*testing.T
	url   string
	store *storage.Store
	meter *jobs.Metrics
	// counted is where meter counts.
	counted *prometheus.Registry
}

func newHouse(t *testing.T) *house {
	t.Helper()
	url := pgtest.New(t)
	store, err := storage.Open(url, storage.Options{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	counted := prometheus.NewRegistry()
	return &house{t, url, store, jobs.NewMetrics(counted), counted}
}

func (h *house) importer(cfg jobs.ImporterConfig) *jobs.Importer {
	return jobs.NewImporter(h.store, quiet(), h.meter, cfg)
}

func quiet() *slog.Logger {
	if os.Getenv("VERBOSE") != "" {
		return slog.Default()
	}
	return slog.New(slog.DiscardHandler)
}

var tester = storage.Entry{Actor: roster.Actor{Kind: roster.ActorConfig, Label: "test"}}

// upload stores a file as the API does.
func (h *house) upload(file string, o roster.Options) *roster.Import {
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

// run works on an import until no run has more to do.
func (h *house) run(im *jobs.Importer, id uuid.UUID) *roster.Import {
	h.Helper()
	for {
		rest, err := im.Run(context.WithoutCancel(h.Context()), id)
		if err != nil {
			h.Fatal(err)
		}
		if !rest.More {
			return h.read(id)
		}
	}
}

func (h *house) read(id uuid.UUID) *roster.Import {
	h.Helper()
	i, err := h.store.Import(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	return i
}

// empty makes a house as good as new.
func (h *house) empty() {
	h.Helper()
	pgtest.AsOwner(h, h.url, `TRUNCATE users, imports, import_errors CASCADE`)
}
