package storage_test

import (
	"context"
	"database/sql"
	"net/url"
	"testing"
	"time"

	"rollcall/storage"
	"rollcall/test/pgtest"
	"rollcall/test/proxytest"
)

// TestSeveralHosts: of several hosts, whichever answers first and can be written to
// is used, however the others fail, within a context that is shorter than the time
// limit for one of them.
func TestSeveralHosts(t *testing.T) {
	t.Parallel()
	first, second, store := twoHosts(t)
	store.DB().SetMaxIdleConns(0) // a new connection each time
	ping := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return store.Ping(ctx)
	}
	for _, c := range []struct {
		name string
		do   func()
		up   bool
	}{
		{"both answer", func() {}, true},
		{"the first one refuses", func() { first.Refuse(true) }, true},
		{"the first one says nothing", func() { first.Refuse(false); first.Silence(true) }, true},
		{"the second one says nothing", func() { first.Silence(false); second.Silence(true) }, true},
		{"neither says anything", func() { first.Silence(true) }, false},
		{"both refuse", func() { first.Silence(false); second.Silence(false); first.Refuse(true); second.Refuse(true) }, false},
		{"the second one is back", func() { second.Refuse(false) }, true},
	} {
		c.do()
		began := time.Now()
		if err := ping(); (err == nil) != c.up {
			t.Errorf("%s: %v", c.name, err)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("%s: took %s", c.name, took)
		}
		if c.up { // the one that answered comes first from now on
			began := time.Now()
			if err := ping(); err != nil || time.Since(began) > 250*time.Millisecond {
				t.Errorf("%s: the next connection: %v after %s", c.name, err, time.Since(began))
			}
		}
	}
}

// twoHosts opens a database that is reached by two addresses.
func twoHosts(t *testing.T) (first, second *proxytest.Proxy, store *storage.Store) {
	t.Helper()
	database := pgtest.New(t)
	first, one := proxytest.Postgres(t, database)
	second, other := proxytest.Postgres(t, database)
	both, err := url.Parse(one)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(other)
	if err != nil {
		t.Fatal(err)
	}
	both.Host += "," + u.Host
	if store, err = storage.Open(both.String(), storage.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return first, second, store
}

// TestSilentHostIsLeft: when the primary falls silent with many connections open, one
// call waits for it, and not one for each connection. As soon as another host
// has taken over, calls in progress end as well.
func TestSilentHostIsLeft(t *testing.T) {
	t.Parallel()
	first, _, store := twoHosts(t)
	var idle []*sql.Conn
	for range 8 {
		conn, err := store.DB().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	underWay := make(chan error, 1)
	go func() {
		_, err := idle[0].ExecContext(t.Context(), `SELECT pg_sleep(60)`)
		underWay <- err
	}()
	for _, conn := range idle[1:] {
		conn.Close()
	}
	first.Silence(true)
	ping := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		return store.Ping(ctx)
	}
	if ping() == nil {
		t.Error("a silent host answered")
	}
	began := time.Now()
	if err := ping(); err != nil {
		t.Errorf("the second call: %v", err)
	}
	select {
	case err := <-underWay:
		if err == nil || time.Since(began) > 5*time.Second {
			t.Errorf("what was under way ended with %v after %s", err, time.Since(began))
		}
	case <-time.After(20 * time.Second):
		t.Error("what was under way goes on")
	}
	idle[0].Close()
}
