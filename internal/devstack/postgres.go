//go:build unix

package devstack

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/lib/pq"

	"rollcall/internal/subprocess"
)

const (
	databaseUser = "rollcall" // the cluster's superuser
	databaseName = "rollcall"

	// startTimeout bounds the wait for a started server to answer. Most of it
	// allows for recovery after a crash.
	startTimeout = time.Minute
)

// PostgresConfig configures a private PostgreSQL.
type PostgresConfig struct {
	// Dir is the directory that contains the cluster, as Dir/postgres;
	// required. It is created if necessary, closed to other users (for root:
	// they can pass through, because the server runs as another user).
	Dir string

	// Log receives the server's log as it is written; nil: discarded. The error
	// of a failed start contains the log's last lines either way.
	Log io.Writer

	// Ephemeral is for tests and benchmarks: the server does not wait for the
	// disk, and after Stop or a crash the data is worthless.
	Ephemeral bool

	// Settings are run-time parameters of the server that override ours, such
	// as "work_mem": "64MB". Those that control who can connect cannot be set.
	Settings map[string]string
}

// Postgres is a running private PostgreSQL. It listens only on a Unix socket in
// a directory of mode 0700, and does not outlive this process.
type Postgres struct {
	cluster   cluster
	socketDir string
	ephemeral bool
	process   *subprocess.Process
	lock      *flock.Flock

	stopOnce sync.Once
	stopErr  error
}

// StartPostgres starts the PostgreSQL in cfg.Dir, creates it first if there is
// none, and returns when it answers. It cleans up what a crash left behind (a
// server still running, half a data directory).
//
// Errors: [ErrNoPostgres]; *[InUseError] if another process uses cfg.Dir. A
// data directory of a major version that is not installed is an error and is
// left untouched. Nothing keeps running after an error.
func StartPostgres(ctx context.Context, cfg PostgresConfig) (_ *Postgres, err error) {
	dir, err := makeDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	found := findInstallations(ctx, installationDirs())
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("find PostgreSQL: %w", err)
	}
	if len(found) == 0 {
		return nil, ErrNoPostgres
	}
	lock, err := lockFile(filepath.Join(dir, "postgres.lock"))
	if err != nil {
		if inUse, ok := errors.AsType[*InUseError](err); ok {
			inUse.Dir = dir
		}
		return nil, err
	}
	p := &Postgres{ephemeral: cfg.Ephemeral, lock: lock}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if p.cluster, err = openCluster(ctx, dir, cfg, found); err != nil {
		return nil, err
	}
	if err := clearOrphan(ctx, p.cluster); err != nil {
		return nil, err
	}
	if p.socketDir, err = makeSocketDir(p.cluster, cfg.Ephemeral); err != nil {
		return nil, err
	}
	if p.process, err = p.startServer(cfg); err != nil {
		return nil, err
	}
	if err := p.awaitReady(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// makeDir creates dir and returns its absolute path, links resolved: the same
// directory must have the same name each time.
func makeDir(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("no directory given")
	}
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return "", err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

func (p *Postgres) startServer(cfg PostgresConfig) (*subprocess.Process, error) {
	return subprocess.Start(subprocess.Command{
		Path: p.cluster.bin.path("postgres"),
		Args: p.arguments(cfg),
		As:   p.cluster.account.credential(),
		Log:  cfg.Log,
	})
}

// arguments returns the command line: our defaults, the caller's settings, and
// last, because the last one wins, what keeps the server private.
func (p *Postgres) arguments(cfg PostgresConfig) []string {
	settings := map[string]string{
		"max_connections": "100",
		"shared_buffers":  "128MB",
		"jit":             "off",
		"timezone":        "UTC",
		"log_timezone":    "UTC",
	}
	if cfg.Ephemeral {
		maps.Copy(settings, map[string]string{
			"fsync":              "off",
			"synchronous_commit": "off",
			"full_page_writes":   "off",
		})
	}
	maps.Copy(settings, cfg.Settings)
	maps.Copy(settings, map[string]string{
		"listen_addresses":        "",
		"port":                    socketPort,
		"unix_socket_directories": p.socketDir,
		"unix_socket_permissions": "0700",
		"logging_collector":       "off",
		"log_destination":         "stderr",
	})
	args := []string{"-D", p.cluster.dataDir}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// awaitReady returns when the server answers and has our database.
func (p *Postgres) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	db, err := sql.Open("postgres", p.urlOf("postgres"))
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer db.Close()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return ensureDatabase(ctx, db)
		}
		select {
		case <-p.process.Done():
			return fmt.Errorf("PostgreSQL stopped while starting (%w). Its log ends with:\n%s", p.process.Err(), p.process.Tail())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL is not responding (%w): %w. Its log ends with:\n%s", err, ctx.Err(), p.process.Tail())
		case <-again.C:
		}
	}
}

func ensureDatabase(ctx context.Context, db *sql.DB) error {
	var exists bool
	err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, databaseName).Scan(&exists)
	if err != nil {
		return fmt.Errorf("look for database %s: %w", databaseName, err)
	}
	if exists {
		return nil
	}
	if _, err := db.ExecContext(ctx, `CREATE DATABASE `+pq.QuoteIdentifier(databaseName)); err != nil {
		return fmt.Errorf("create database %s: %w", databaseName, err)
	}
	return nil
}

// URL returns a DATABASE_URL for the server's own database, through the socket.
// The user it names is a superuser.
func (p *Postgres) URL() string { return p.urlOf(databaseName) }

func (p *Postgres) urlOf(database string) string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.User(databaseUser),
		Path:   "/" + database,
		RawQuery: url.Values{
			"host":    {p.socketDir},
			"port":    {socketPort},
			"sslmode": {"disable"}, // there is no TLS on a Unix socket
		}.Encode(),
	}
	return u.String()
}

// Version returns the server's version, such as "15.20".
func (p *Postgres) Version() string { return p.cluster.bin.Version }

// Done is closed when the server has ended, by Stop or by itself.
func (p *Postgres) Done() <-chan struct{} { return p.process.Done() }

// Stop ends all connections and shuts the server down. If that takes long, or
// ctx ends, it stops at once and recovers at the next start. No process, lock
// or socket is left. Further calls return the same result.
func (p *Postgres) Stop(ctx context.Context) error {
	p.stopOnce.Do(func() { p.stopErr = p.stop(ctx) })
	return p.stopErr
}

func (p *Postgres) stop(ctx context.Context) error {
	var errs []error
	if p.process != nil {
		fast, immediate := syscall.SIGINT, syscall.SIGQUIT
		if p.ephemeral {
			fast = immediate // the final checkpoint is not needed
		}
		p.process.Stop(ctx, fast, immediate)
	}
	if p.socketDir != "" {
		errs = append(errs, os.RemoveAll(p.socketDir))
	}
	errs = append(errs, p.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clean up after PostgreSQL: %w", err)
	}
	return nil
}
