package storage_test

import (
	"context"
	"errors"
	"io"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgtest"
	"rollcall/test/proxytest"
)

// TestSilentDatabase: a database that falls silent with its connections open
// holds nobody longer than his context does, and a moment.
func TestSilentDatabase(t *testing.T) {
	t.Parallel()
	line, url := proxytest.Postgres(t, pgtest.New(t))
	h := &testEnv{T: t, Store: openStore(t, url), ctx: t.Context()}
	i := h.receive(roster.Options{})
	const patience = 200 * time.Millisecond

	// Each call finds the database talking and open connections in the pool;
	// silence falls before it, or in its midst.
	for name, call := range map[string]func(ctx context.Context) error{
		"a new connection": func(ctx context.Context) error {
			line.Silence(true)
			return openStore(t, url).Ping(ctx)
		},
		"a ping":  func(ctx context.Context) error { line.Silence(true); return h.Ping(ctx) },
		"a query": func(ctx context.Context) error { line.Silence(true); _, err := h.Import(ctx, i.ID); return err },
		"a claim": func(ctx context.Context) error {
			line.Silence(true)
			_, err := h.ClaimImport(ctx, i.ID, time.Minute)
			return err
		},
		"a read of the file": func(ctx context.Context) error {
			line.Silence(true)
			_, err := io.Copy(io.Discard, h.OpenUpload(ctx, i.ID, 0))
			return err
		},
		"a transaction": func(ctx context.Context) error {
			line.Silence(true)
			_, err := h.DispatchInvitations(ctx, storage.DispatchLimit{Limit: 1})
			return err
		},
		"an upload under way": func(ctx context.Context) error {
			next := file([]byte("email,name\n"))
			_, err := h.ReceiveImport(ctx, storage.Upload{By: by,
				Next: func() ([]byte, error) { line.Silence(true); return next() },
				Finish: func() (string, roster.Options, error) {
					return "users.csv", roster.Options{OnDuplicate: roster.SkipDuplicates}, nil
				},
			})
			return err
		},
	} {
		line.Silence(false)
		h.must(h.Ping(h.ctx))
		ctx, cancel := context.WithTimeout(h.ctx, patience)
		began, ended := time.Now(), make(chan error, 1)
		go func() { ended <- call(ctx) }()
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s succeeded without a database", name)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("%s took %s", name, took)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s did not end", name)
		}
		cancel()
	}

	line.Silence(false)
	h.must(h.Ping(h.ctx))
	if _, err := h.Import(h.ctx, i.ID); err != nil {
		t.Errorf("after the silence: %v", err)
	}
}

// TestContextEndsAfterUse: the end of a context that has done its work harms
// neither the connection nor what is done on it next.
func TestContextEndsAfterUse(t *testing.T) {
	t.Parallel()
	store, err := storage.Open(pgtest.New(t), storage.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	pid := func(ctx context.Context) (pid int) {
		if err := store.DB().QueryRowContext(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	first := pid(t.Context())
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		rows, err := store.DB().QueryContext(ctx, `SELECT 1`)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
		}
		rows.Close()
		go cancel() // while the next is being asked
		if _, err := store.Import(t.Context(), uuid.New()); !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if again := pid(t.Context()); again != first {
		t.Errorf("the connection was given up: backend %d, before %d", again, first)
	}
}

// TestRefused: a database that does not let us in is told from one that is away.
func TestRefused(t *testing.T) {
	t.Parallel()
	good, err := url.Parse(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*url.URL)) string {
		u := *good
		change(&u)
		return u.String()
	}
	for name, address := range map[string]string{
		"no such database": changed(func(u *url.URL) { u.Path = "/nobody_made_this" }),
		"no such user":     changed(func(u *url.URL) { u.User = url.UserPassword("nobody_made_this", "secret") }),
	} {
		store := openStore(t, address)
		if err := store.Ping(t.Context()); !errors.Is(err, storage.ErrRefused) || !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	line, through := proxytest.Postgres(t, good.String())
	u, _ := url.Parse(through)
	q := u.Query()
	q.Set("sslmode", "require")
	u.RawQuery = q.Encode()
	if err := openStore(t, u.String()).Ping(t.Context()); !errors.Is(err, storage.ErrRefused) {
		t.Errorf("no TLS: %v", err)
	}
	line.Refuse(true)
	if err := openStore(t, through).Ping(t.Context()); errors.Is(err, storage.ErrRefused) || !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("away: %v", err)
	}
}

// TestLineThatEndsIsNoFileThatEnds: what stands before a database that is down
// closes new connections, and the driver says io.EOF.
func TestLineThatEndsIsNoFileThatEnds(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	received, err := h.ReceiveImport(h.ctx, upload(noise(100), "", roster.Options{}))
	h.must(err)
	line, through := proxytest.Postgres(t, h.url)
	line.HangUp(1)
	n, err := openStore(t, through).OpenUpload(h.ctx, received.Import.ID, 0).Read(make([]byte, 100))
	if n != 0 || !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes and %v", n, err)
	}
}
