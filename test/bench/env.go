//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	_ "github.com/lib/pq" // database/sql driver "postgres"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/devstack"
	"rollcall/internal/subprocess"
	"rollcall/migrations"
)

// env is what all measurements share: servers, programs and files.
type env struct {
	out       io.Writer
	dir       string
	scale     float64
	askRounds int // 0: each measurement's own number

	postgres *devstack.Postgres
	admin    *sql.DB // of the maintenance database
	redisURL string
	redisIs  string // which server it is
	redisPID int    // 0: it runs in this process
	sink     *sink

	closers []func() error
	files   map[fileOf]string
	opened  int // installations so far
}

// template is the migrated database that installations start as a copy of.
const template = "rollcall_bench_template"

func openEnv(ctx context.Context, scale float64, rounds int, out io.Writer) (_ *env, err error) {
	l := &env{out: out, scale: scale, askRounds: rounds, files: map[fileOf]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.dir, err = os.MkdirTemp("", "rollcall-bench-"); err != nil {
		return nil, err
	}
	l.closers = append(l.closers, func() error { return os.RemoveAll(l.dir) })
	if err := os.Chmod(l.dir, 0o711); err != nil { // PostgreSQL may have to run as another user
		return nil, err
	}
	if err := l.build(ctx); err != nil {
		return nil, err
	}
	if err := l.startPostgres(ctx); err != nil {
		return nil, err
	}
	if err := l.startRedis(ctx); err != nil {
		return nil, err
	}
	if l.sink, err = startSink(); err != nil {
		return nil, err
	}
	l.closers = append(l.closers, l.sink.stop)
	return l, nil
}

// close stops everything, in reverse order.
func (l *env) close() error {
	var errs []error
	for i := len(l.closers) - 1; i >= 0; i-- {
		errs = append(errs, l.closers[i]())
	}
	return errors.Join(errs...)
}

func (l *env) build(ctx context.Context) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", l.dir, "rollcall/cmd/api", "rollcall/cmd/worker", "rollcall/examples/gen")
	build.Stderr = l.out
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the programs: %w", err)
	}
	return nil
}

func (l *env) program(name string) string { return filepath.Join(l.dir, name) }

// startPostgres starts a server with PostgreSQL's default settings, including
// fsync, synchronous_commit and jit.
func (l *env) startPostgres(ctx context.Context) (err error) {
	l.postgres, err = devstack.StartPostgres(ctx, devstack.PostgresConfig{Dir: filepath.Join(l.dir, "db"), Settings: map[string]string{"jit": "on"}})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, func() error { return l.postgres.Stop(context.Background()) })
	if l.admin, err = sql.Open("postgres", l.postgres.URL()); err != nil {
		return err
	}
	l.closers = append(l.closers, l.admin.Close)
	if _, err := l.admin.ExecContext(ctx, `CREATE DATABASE `+template); err != nil {
		return err
	}
	db, err := sql.Open("postgres", l.databaseURL(template))
	if err != nil {
		return err
	}
	_, err = migrations.Up(ctx, db)
	return errors.Join(err, db.Close()) // close it before copying: a database in use cannot be copied
}

func (l *env) databaseURL(database string) string {
	u, err := url.Parse(l.postgres.URL())
	if err != nil {
		panic(err) // it is our own URL
	}
	u.Path = "/" + database
	return u.String()
}

// startRedis starts a redis-server, or the in-process one if there is none.
func (l *env) startRedis(ctx context.Context) error {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		fmt.Fprintln(l.out, "no redis-server on PATH: measuring with the in-process Redis of rollcall dev")
		small, err := devstack.StartRedis(ctx)
		if err != nil {
			return err
		}
		l.closers = append(l.closers, func() error { small.Stop(); return nil })
		l.redisURL, l.redisIs = small.URL(), "miniredis"
		return nil
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	process, err := subprocess.Start(subprocess.Command{Path: program, Args: []string{
		"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
	}})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, func() error { process.Stop(context.Background(), syscall.SIGTERM); return nil })
	l.redisPID = process.PID()
	l.redisURL = "redis://" + net.JoinHostPort("127.0.0.1", port) + "/0"
	client := l.redis()
	defer client.Close()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		info, err := client.InfoMap(ctx, "server").Result()
		if err == nil && info["Server"]["process_id"] == strconv.Itoa(process.PID()) {
			l.redisIs = "redis " + info["Server"]["redis_version"]
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("redis-server does not answer: %w\n%s", err, process.Tail())
		}
	}
}

func (l *env) redis() *redis.Client { return connectRedis(l.redisURL) }

func connectRedis(url string) *redis.Client {
	options, err := redis.ParseURL(url)
	if err != nil {
		panic(err) // it is our own URL
	}
	return redis.NewClient(options)
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}

// scaled returns a number of rows at the requested scale, at least ten.
func (l *env) scaled(rows int) int { return max(10, int(float64(rows)*l.scale)) }

// rounds runs one round after the other, n of them unless the command line says
// otherwise.
func (l *env) rounds(n int, round func(n int) error) error {
	if l.askRounds > 0 {
		n = l.askRounds
	}
	for i := range n {
		if err := round(i); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return nil
}

// database creates a database as a copy of another, or of the empty one, and
// returns its name and a function that drops it.
func (l *env) database(ctx context.Context, from string) (name string, drop func() error, err error) {
	l.opened++
	name = fmt.Sprintf("rollcall_bench_%d", l.opened)
	if _, err := l.admin.ExecContext(ctx, `CREATE DATABASE `+name+` TEMPLATE `+from); err != nil {
		return "", nil, err
	}
	return name, func() error {
		_, err := l.admin.ExecContext(context.Background(), `DROP DATABASE `+name+` WITH (FORCE)`)
		return err
	}, nil
}

// settle writes dirty pages to disk, so that a measurement pays only for its
// own writes.
func (l *env) settle(ctx context.Context) error {
	_, err := l.admin.ExecContext(ctx, `CHECKPOINT`)
	return err
}
