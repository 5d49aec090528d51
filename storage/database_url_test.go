package storage_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/pgbouncertest"
	"rollcall/test/pgtest"
)

// TestDriverURLHosts: the forms of libpq's documentation reach the hosts they name.
func TestDriverURLHosts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ url, want string }{
		{"postgres://u:p@h1:5432,h2:5433/db?target_session_attrs=read-write", "h1:5432 h2:5433"},
		{"postgresql://u:p@h1,h2/db", "h1:5432 h2:5432"},
		{"postgres://u:p@h1:6000,h2/db", "h1:6000 h2:5432"},
		{"postgres://u:p%40%2C@[::1]:5433,[2001:db8::2],h3:1/db", "::1:5433 2001:db8::2:5432 h3:1"},
		{"postgres://u@%2Fvar%2Frun%2Fpostgresql/db", "/var/run/postgresql:5432"},
		{"postgres://u@%2Fvar%2Frun%2Fpostgresql:6432/db", "/var/run/postgresql:6432"},
		{"postgres://h1:5432/db", "h1:5432"},
		{"postgres:///db?host=a,b&port=1,2", "a:1 b:2"},
		{"host=a,b port=1,2 dbname=db", "a:1 b:2"},
	} {
		dsn, err := storage.DriverURL(tt.url)
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		cfg, err := pq.NewConfig(dsn)
		if err != nil {
			t.Errorf("%s: the driver says %v", tt.url, err)
			continue
		}
		got := []string{address(cfg.Host, cfg.Port)}
		for _, m := range cfg.Multi {
			got = append(got, address(m.Host, m.Port))
		}
		if strings.Join(got, " ") != tt.want || cfg.Database != "db" {
			t.Errorf("%s leads to %s, database %q; want %s", tt.url, got, cfg.Database, tt.want)
		}
		if strings.Contains(tt.url, "%2C") && cfg.Password != "p@," {
			t.Errorf("%s: the password became %q", tt.url, cfg.Password)
		}
	}
}

func address(host string, port uint16) string { return host + ":" + itoa(port) }

func itoa(n uint16) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

// TestDriverURLParameters: parameters of libpq that hosting providers write work, or
// are refused by their name and never with a value.
func TestDriverURLParameters(t *testing.T) {
	t.Parallel()
	base := pgtest.New(t)
	join := "&"
	if !strings.Contains(base, "?") {
		join = "?"
	}
	for _, works := range []string{
		"channel_binding=prefer", "gssencmode=disable", "gssencmode=prefer&channel_binding=disable", "keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3",
		"tcp_user_timeout=1000", "options=-c%20statement_timeout%3D5min", "sslcompression=0", "search_path=public",
	} {
		store := openStore(t, base+join+works)
		if err := store.Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", works, err)
		}
	}
	for refused, name := range map[string]string{
		"channel_binding=require": "channel_binding", "gssencmode=require": "gssencmode", "sslcrl=hunter2.crl": "sslcrl", "require_auth=hunter2": "require_auth",
		"requirepeer=hunter2": "requirepeer", "sslpassword=hunter2": "sslpassword",
	} {
		_, err := storage.Open("postgres://u:hunter2@h/db?"+refused, storage.Options{})
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", refused, err)
		}
	}
	for _, malformed := range []string{"postgres://u:hunter2@h1:x,h2/db", "postgres://u:hunter2@h1,h2/db?host=h3", "postgres://u:hunter2@h1:1,h2:2/db?port=3", "postgres://u:hunter2@::1,h2/db", "postgres://u:hunter2@h1,h2/%zz"} {
		if _, err := storage.Open(malformed, storage.Options{}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", malformed, err)
		}
	}
}

// TestSecondHost: a host that is away is passed over.
func TestSecondHost(t *testing.T) {
	t.Parallel()
	cfg, err := pq.NewConfig(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	store := openStore(t, "host=127.0.0.1,"+cfg.Host+" port=1,"+itoa(cfg.Port)+" user="+cfg.User+" password='"+cfg.Password+"' dbname="+cfg.Database+" sslmode=disable")
	if err := store.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRoleDefaults: PostgreSQL as other people configure it.
func TestRoleDefaults(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	name := openStore(t, url)
	var database string
	if err := name.DB().QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&database); err != nil {
		t.Fatal(err)
	}
	for _, isolation := range []string{"serializable", "repeatable read"} {
		pgtest.AsOwner(t, url, `ALTER DATABASE `+database+` SET default_transaction_isolation = '`+isolation+`'`)
		store := openStore(t, url)
		var got string
		if err := store.DB().QueryRowContext(t.Context(), `SHOW transaction_isolation`).Scan(&got); err != nil || got != "read committed" {
			t.Errorf("with a default of %s a statement runs in %q (%v)", isolation, got, err)
		}
		if err := store.CheckServer(t.Context()); err != nil {
			t.Error(err)
		}
		if err := openStore(t, pgbouncertest.Start(t, url, "transaction")).CheckServer(t.Context()); !errors.Is(err, storage.ErrRefused) || !strings.Contains(err.Error(), "default_transaction_isolation") {
			t.Errorf("with a default of %s behind a pooler: %v", isolation, err)
		}
	}
	pgtest.AsOwner(t, url, `ALTER DATABASE `+database+` SET default_transaction_read_only = on`)
	store := openStore(t, url)
	if err := store.Ping(t.Context()); !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrRefused) {
		t.Errorf("a database that is read-only: %v", err)
	}
	if _, err := store.Now(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a read in a database that is read-only: %v", err)
	}
}

func TestDatabaseThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	url := pgtest.NewEmpty(t)
	admin := openStore(t, url)
	latin := "rollcall_latin1"
	for _, statement := range []string{`DROP DATABASE IF EXISTS ` + latin, `CREATE DATABASE ` + latin + ` ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`} {
		if _, err := admin.DB().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	defer admin.DB().Exec(`DROP DATABASE ` + latin + ` WITH (FORCE)`)
	cfg, err := pq.NewConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	store := openStore(t, strings.Replace(url, cfg.Database, latin, 1))
	if err := store.CheckServer(t.Context()); !errors.Is(err, storage.ErrRefused) || !strings.Contains(err.Error(), "LATIN1") {
		t.Error(err)
	}
}

func TestPoolerInStatementMode(t *testing.T) {
	t.Parallel()
	store := openStore(t, pgbouncertest.Start(t, pgtest.NewEmpty(t), "statement"))
	if err := store.CheckServer(t.Context()); !errors.Is(err, storage.ErrRefused) {
		t.Error(err)
	}
}

func TestPoolerInTransactionMode(t *testing.T) {
	t.Parallel()
	store := openStore(t, pgbouncertest.Start(t, pgtest.New(t), "transaction"))
	if err := errors.Join(store.Ping(t.Context()), store.CheckServer(t.Context())); err != nil {
		t.Error(err)
	}
	if !store.Pooled() {
		t.Error("the pooler went unnoticed")
	}
}

// TestPlansAreNotCompiled: statements that are told how to find their rows are
// expensive by PostgreSQL's reckoning, so it would compile them, which takes longer
// than they do: neither directly nor behind a pooler, which keeps settings from the
// server.
func TestPlansAreNotCompiled(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	direct := &testEnv{T: t, Store: openStore(t, url), ctx: t.Context(), url: url}
	pgtest.AsOwner(t, url, `ALTER DATABASE `+one[string](direct, `SELECT current_database()`)+` SET jit = on`)
	direct.Store = openStore(t, url)
	if jit := one[string](direct, `SHOW jit`); jit != "off" {
		t.Errorf("jit is %s", jit)
	}
	pgtest.AsOwner(t, url, `
		CREATE FUNCTION refuse_jit() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF current_setting('jit')::boolean THEN RAISE EXCEPTION 'jit is on'; END IF;
			RETURN NULL;
		END $$;
		CREATE TRIGGER refuse_jit AFTER UPDATE ON invitations EXECUTE FUNCTION refuse_jit()`)
	pooled := &testEnv{T: t, Store: openStore(t, pgbouncertest.Start(t, url, "transaction")), ctx: t.Context(), url: url}
	if jit := one[string](pooled, `SHOW jit`); jit != "on" {
		t.Fatalf("jit is %s behind the pooler: this test shows nothing", jit)
	}
	direct.invite(20)
	var outcomes []storage.SendResult
	for _, d := range pooled.dispatchAll() {
		outcomes = append(outcomes, storage.SendResult{UserID: d.UserID, Dispatch: d.Dispatch, Status: roster.InvitationPending, Wait: time.Hour})
	}
	pooled.must(pooled.RecordOutcomes(pooled.ctx, outcomes))
}
