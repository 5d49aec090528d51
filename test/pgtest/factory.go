//go:build unix

package pgtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/lib/pq"

	"rollcall/migrations"
)

// factory creates databases on a server.
type factory struct {
	base     *url.URL // of the maintenance database
	admin    *sql.DB
	own      *Server // nil: a server that we did not start
	template func(context.Context) (string, error)
}

func newFactory() (*factory, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*opTimeout)
	defer cancel()
	f := &factory{}
	raw := os.Getenv(URLVariable)
	if raw == "" {
		var err error
		if f.own, err = StartServer(ctx); err != nil {
			return nil, err
		}
		raw = f.own.URL()
	}
	base, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s is not a URL", URLVariable) // it may hold a password
	}
	f.base = base
	if f.admin, err = sql.Open("postgres", raw); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting: %w", err), f.stop())
	}
	if err := f.admin.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting: %w", err), f.stop())
	}
	f.template = onceDone(f.ensureTemplate)
	return f, nil
}

// onceDone returns a function that calls do until it succeeds once.
func onceDone(do func(context.Context) (string, error)) func(context.Context) (string, error) {
	var mu sync.Mutex
	var done string
	return func(ctx context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if done != "" {
			return done, nil
		}
		var err error
		done, err = do(ctx)
		return done, err
	}
}

func (f *factory) stop() error {
	var errs []error
	if f.admin != nil {
		errs = append(errs, f.admin.Close())
	}
	if f.own != nil {
		errs = append(errs, f.own.Stop())
	}
	return errors.Join(errs...)
}

// urlOf returns the server's URL for another database, as the owner of its
// tables.
func (f *factory) urlOf(database string) string {
	u := *f.base
	u.Path = "/" + database
	return u.String()
}

// appURLOf is urlOf as the application.
func (f *factory) appURLOf(database string) string {
	u := *f.base
	u.User, u.Path = url.UserPassword(appRole, f.appPassword()), "/"+database
	return u.String()
}

func (f *factory) clone(ctx context.Context) (string, error) {
	template, err := f.template(ctx)
	if err != nil {
		return "", err
	}
	return f.create(ctx, template)
}

func (f *factory) empty(ctx context.Context) (string, error) { return f.create(ctx, "template0") }

func (f *factory) create(ctx context.Context, template string) (string, error) {
	name := "rollcall_test_" + strings.ToLower(rand.Text())
	if _, err := f.admin.ExecContext(ctx, `CREATE DATABASE `+name+` TEMPLATE `+template); err != nil {
		return "", fmt.Errorf("creating a database from %s: %w", template, err)
	}
	return name, nil
}

func (f *factory) drop(ctx context.Context, name string) error {
	if _, err := f.admin.ExecContext(ctx, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
		return fmt.Errorf("dropping %s: %w", name, err)
	}
	return nil
}

// ensureTemplate returns the name of the template database with the current
// schema, created by the first test binary that needs it. Its name is derived
// from the migrations, so a changed migration means another template. Only a
// finished one is marked as a template: the remains of a killed run are created
// again.
func (f *factory) ensureTemplate(ctx context.Context) (name string, err error) {
	hash, err := hashMigrations()
	if err != nil {
		return "", err
	}
	name = "rollcall_template_" + hex.EncodeToString(hash[:8])
	conn, err := f.admin.Conn(ctx)
	if err != nil {
		return "", fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close()
	lock := int64(binary.BigEndian.Uint64(hash[:8]))
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, lock); err != nil {
		return "", fmt.Errorf("waiting for the template: %w", err)
	}
	defer func() {
		// Not ended with ctx: a pooled connection must not keep the lock.
		_, unlockErr := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, lock)
		err = errors.Join(err, unlockErr)
	}()
	var ready bool
	if err := conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)`, name).Scan(&ready); err != nil {
		return "", fmt.Errorf("looking for the template: %w", err)
	}
	if ready {
		return name, nil
	}
	return name, f.makeTemplate(ctx, conn, name)
}

func (f *factory) makeTemplate(ctx context.Context, conn *sql.Conn, name string) error {
	if err := f.drop(ctx, name); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, `CREATE DATABASE `+name+` TEMPLATE template0`); err != nil {
		return fmt.Errorf("creating the template: %w", err)
	}
	db, err := sql.Open("postgres", f.urlOf(name))
	if err != nil {
		return fmt.Errorf("connecting to the template: %w", err)
	}
	if _, err = migrations.Up(ctx, db); err == nil {
		if err = f.ensureRole(ctx); err == nil {
			err = migrations.Grant(ctx, db, appRole)
		}
	}
	// Close it before copying: a database in use cannot be copied.
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("applying the schema to the template: %w", err)
	}
	if _, err := conn.ExecContext(ctx, `ALTER DATABASE `+name+` WITH IS_TEMPLATE true ALLOW_CONNECTIONS false`); err != nil {
		return fmt.Errorf("closing the template: %w", err)
	}
	return nil
}

// appRole is the tests' role in the database: it may do what api and worker
// may, and no more.
const appRole = "rollcall_test_app"

// ensureRole creates the role that all test binaries of the server share.
func (f *factory) ensureRole(ctx context.Context) error {
	_, err := f.admin.ExecContext(ctx, `CREATE ROLE `+appRole+` LOGIN PASSWORD '`+f.appPassword()+`'`)
	if failed, ok := errors.AsType[*pq.Error](err); ok && (failed.Code == "42710" || failed.Code == "23505") { // another binary was first
		return nil
	}
	return err
}

// appPassword is derived from the server's URL, so that all binaries know it.
func (f *factory) appPassword() string {
	sum := sha256.Sum256([]byte("password of " + appRole + " at " + f.base.String()))
	return hex.EncodeToString(sum[:])
}

func hashMigrations() ([sha256.Size]byte, error) {
	h := sha256.New()
	fmt.Fprintf(h, "granted to %s\n", appRole)
	err := fs.WalkDir(migrations.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(migrations.FS(), path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(b), b)
		return err
	})
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("reading the migrations: %w", err)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
