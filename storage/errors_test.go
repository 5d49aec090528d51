package storage_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
)

// TestServerStopped: every kind of call says that the database is away, in the
// middle of work and afterwards.
func TestServerStopped(t *testing.T) {
	t.Parallel()
	server, err := pgtest.StartServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store := openStore(t, server.URL())
	if err := store.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	sleeping := make(chan error)
	go func() {
		_, err := store.ReceiveImport(context.Background(), storage.Upload{By: by, Next: func() ([]byte, error) {
			return make([]byte, storage.ChunkSize), server.Stop() // under the eyes of an upload
		}})
		sleeping <- err
	}()
	if err := <-sleeping; !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("an upload: %v", err)
	}
	id := uuid.New()
	for name, call := range map[string]func(context.Context) error{
		"Ping":         store.Ping,
		"Now":          func(ctx context.Context) error { _, err := store.Now(ctx); return err },
		"Import":       func(ctx context.Context) error { _, err := store.Import(ctx, id); return err },
		"CancelImport": func(ctx context.Context) error { return store.CancelImport(ctx, id, by) },
		"OpenUpload": func(ctx context.Context) error {
			_, err := store.OpenUpload(ctx, id, 0).Read(make([]byte, 1))
			return err
		},
	} {
		if err := call(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCallerWhoGivesUp(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Import(ctx, uuid.New()); !errors.Is(err, context.Canceled) || errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("before: %v", err)
	}
	// Waiting for a row that another holds.
	i := h.receive(roster.Options{})
	tx, err := h.DB().BeginTx(h.ctx, nil)
	h.must(err)
	defer tx.Rollback()
	_, err = tx.ExecContext(h.ctx, `SELECT FROM imports FOR UPDATE`)
	h.must(err)
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = h.CancelImport(ctx, i.ID, by)
	late := errors.Is(err, os.ErrDeadlineExceeded) // the server was too busy to obey the cancel request
	if err == nil || errors.Is(err, storage.ErrUnavailable) && !late {
		t.Errorf("meanwhile: %v", err)
	}
}

// TestSilentWorker: a transaction whose worker is gone without a word does not
// hold its locks for ever, and the parameters that see to it are in force.
func TestSilentWorker(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	for setting, want := range map[string]string{"idle_in_transaction_session_timeout": "15s", "application_name": "storage test"} {
		if got := one[string](h, `SELECT current_setting($1)`, setting); got != want {
			t.Errorf("%s is %s", setting, got)
		}
	}
	now, err := h.Now(h.ctx)
	h.must(err)
	if d := time.Since(now); d < -time.Minute || d > time.Minute {
		t.Errorf("the database's clock is %v off", d)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	// The same database, written as key=value; what the text says itself stays.
	host := u.Query().Get("host")
	if host == "" {
		host = u.Hostname()
	}
	dsn := "host=" + host + " dbname=" + strings.TrimPrefix(u.Path, "/") + " user=" + u.User.Username() + " sslmode=disable application_name=mine binary_parameters=no"
	if password, ok := u.User.Password(); ok {
		dsn += " password=" + password
	}
	if port := u.Port(); port != "" {
		dsn += " port=" + port
	} else if port := u.Query().Get("port"); port != "" {
		dsn += " port=" + port
	}
	h := &testEnv{T: t, Store: openStore(t, dsn), ctx: t.Context()}
	if got := one[string](h, `SELECT current_setting('application_name')`); got != "mine" {
		t.Errorf("application_name %s", got)
	}
	if got := one[string](h, `SELECT current_setting('idle_in_transaction_session_timeout')`); got != "15s" {
		t.Errorf("idle_in_transaction_session_timeout %s", got)
	}
	if _, err := h.TakenKeys(h.ctx, []string{"ada@example.com"}); err != nil { // arrays go in binary all the same
		t.Error(err)
	}
	if _, err := storage.Open("postgres://u:hunter2@%zz/x", storage.Options{}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a URL that is none: %v", err)
	}
}

// A PostgreSQL whose disk is full ends a connection that begins with a fault of
// its own: it could not write its cache.
func TestFatalIsUnavailable(t *testing.T) {
	t.Parallel()
	for severity, want := range map[string]bool{"FATAL": true, "ERROR": false} {
		err := fmt.Errorf("count: %w", &pq.Error{Severity: severity, Code: "XX000"})
		if errors.Is(storage.Translated(err), storage.ErrUnavailable) != want {
			t.Errorf("%s XX000: unavailable is not %t", severity, want)
		}
	}
}
