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

	"rollcall/devstack"
	"rollcall/internal/child"
	"rollcall/migrations"
)

// lab is what all measurements share: servers, programs and files.
type lab struct {
	out       io.Writer
	dir       string
	scale     float64
	askRounds int // 0: as many as each measurement finds right

	postgres *devstack.Postgres
	admin    *sql.DB // of the maintenance database
	redisURL string
	redisIs  string // what answers there
	sink     *sink

	closers []func() error
	files   map[fileOf]string
	opened  int // houses so far
}

// template is the migrated database that houses begin as a copy of.
const template = "rollcall_bench_template"

func openLab(ctx context.Context, scale float64, rounds int, out io.Writer) (_ *lab, err error) {
	l := &lab{out: out, scale: scale, askRounds: rounds, files: map[fileOf]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.dir, err = os.MkdirTemp("", "rollcall-bench-"); err != nil {
		return nil, err
	}
	l.closers = append(l.closers, func() error { return os.RemoveAll(l.dir) })
	if err := os.Chmod(l.dir, 0o711); err != nil { // PostgreSQL may have to run as somebody else
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

// close ends everything, the last first.
func (l *lab) close() error {
	var errs []error
	for i := len(l.closers) - 1; i >= 0; i-- {
		errs = append(errs, l.closers[i]())
	}
	return errors.Join(errs...)
}

func (l *lab) build(ctx context.Context) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", l.dir, "rollcall/cmd/api", "rollcall/cmd/worker", "rollcall/examples/gen")
	build.Stderr = l.out
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the programs: %w", err)
	}
	return nil
}

func (l *lab) program(name string) string { return filepath.Join(l.dir, name) }

// startPostgres starts a server that has all settings as PostgreSQL ships them,
// fsync and synchronous_commit among them, but for connections by TCP.
func (l *lab) startPostgres(ctx context.Context) (err error) {
	l.postgres, err = devstack.StartPostgres(ctx, devstack.PostgresConfig{Dir: filepath.Join(l.dir, "db")})
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
	return errors.Join(err, db.Close()) // closed before it is copied: a template in use cannot be
}

func (l *lab) databaseURL(database string) string {
	u, err := url.Parse(l.postgres.URL())
	if err != nil {
		panic(err) // it is our own
	}
	u.Path = "/" + database
	return u.String()
}

// startRedis starts a redis-server, or the in-process one where there is none.
func (l *lab) startRedis(ctx context.Context) error {
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
	process, err := child.Start(child.Command{Path: program, Args: []string{
		"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
	}})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, func() error { process.Stop(context.Background(), syscall.SIGTERM); return nil })
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

func (l *lab) redis() *redis.Client {
	options, err := redis.ParseURL(l.redisURL)
	if err != nil {
		panic(err) // it is our own
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

// scaled is a number of rows at the asked-for scale, at least ten.
func (l *lab) scaled(rows int) int { return max(10, int(float64(rows)*l.scale)) }

// rounds runs one round after the other; n is how many, unless the command line
// says.
func (l *lab) rounds(n int, round func(n int) error) error {
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

// database makes a database as a copy of another, or of the empty one, and
// returns its name and a function that drops it.
func (l *lab) database(ctx context.Context, from string) (name string, drop func() error, err error) {
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

// settle writes out what is dirty, so that a timed stretch pays for its own
// writes and not for those before it.
func (l *lab) settle(ctx context.Context) error {
	_, err := l.admin.ExecContext(ctx, `CHECKPOINT`)
	return err
}
