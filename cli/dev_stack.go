package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rollcall/app"
	"rollcall/auth"
	"rollcall/config"
	"rollcall/internal/devstack"
	"rollcall/migrations"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web"
)

// devStack is the infrastructure that a private instance starts itself.
type devStack struct {
	postgres    *devstack.Postgres // nil: DATABASE_URL is used
	redis       *devstack.Redis
	mail        *devstack.Mailbox
	log         *slog.Logger
	logFile     *os.File
	logPath     string
	databaseURL string
}

// startDevStack starts PostgreSQL, Redis and the mailbox, migrates, and fills in
// the config: addresses, secrets, the administrator. After an error nothing is
// left running.
func startDevStack(ctx context.Context, console Console, cfg *config.Config) (_ *devStack, err error) {
	y := &devStack{}
	defer func() {
		if err != nil {
			err = errors.Join(err, y.stop())
		}
	}()
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("find data directory: %w", err)
	}
	cfg.DataDir = dir
	if err := y.startPostgres(ctx, console, dir); err != nil {
		return nil, err
	}
	y.logPath = filepath.Join(dir, "rollcall.log")
	if y.log, y.logFile, err = openLog(*cfg, y.logPath); err != nil {
		return nil, err
	}
	app.SetRedisLogger(y.log)
	if y.redis, err = devstack.StartRedis(ctx); err != nil {
		return nil, err
	}
	if y.mail, err = devstack.StartMailbox(ctx, filepath.Join(dir, "mail")); err != nil {
		return nil, err
	}
	cfg.DatabaseURL, cfg.RedisURL, cfg.SMTPURL = config.Secret(y.databaseURL), config.Secret(y.redis.URL()), config.Secret(y.mail.SMTPURL())
	if err := keepSecrets(cfg, dir); err != nil {
		return nil, err
	}
	chooseAddresses(console, cfg)
	err = prepare(ctx, *cfg)
	if errors.Is(err, migrations.ErrPreRelease) && y.postgres != nil {
		err = y.replacePostgres(ctx, console, cfg, dir)
	}
	return y, err
}

// replacePostgres moves data from before the first release aside and starts
// with an empty database.
func (y *devStack) replacePostgres(ctx context.Context, console Console, cfg *config.Config, dir string) error {
	if err := y.postgres.Stop(ctx); err != nil {
		return err
	}
	aside := filepath.Join(dir, "postgres-"+time.Now().UTC().Format("20060102T150405Z"))
	if err := os.Rename(filepath.Join(dir, "postgres"), aside); err != nil {
		return fmt.Errorf("put old data aside: %w", err)
	}
	fmt.Fprintf(console.Stderr, "The data in %s is from before the first release. It was moved to %s; starting with an empty database.\n", dir, aside)
	if err := y.startPostgres(ctx, console, dir); err != nil {
		return err
	}
	cfg.DatabaseURL = config.Secret(y.databaseURL)
	return prepare(ctx, *cfg)
}

func (y *devStack) startPostgres(ctx context.Context, console Console, dir string) (err error) {
	y.postgres, err = devstack.StartPostgres(ctx, devstack.PostgresConfig{Dir: dir})
	if err == nil {
		y.databaseURL = y.postgres.URL()
		return nil
	}
	y.postgres = nil
	if !errors.Is(err, devstack.ErrNoPostgres) {
		return err
	}
	given, other := config.LoadMigrate(console.Environ)
	if other != nil {
		return err
	}
	fmt.Fprintln(console.Stderr, "No PostgreSQL found on this machine. Using the database in DATABASE_URL.")
	y.databaseURL = given.DatabaseURL.Reveal()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	return nil
}

// prepare brings the schema up to date and creates the administrator if needed.
func prepare(ctx context.Context, cfg config.Config) error {
	store, err := storage.Open(cfg.DatabaseURL.Reveal(), storage.Options{MaxConns: 2})
	if err != nil {
		return err
	}
	defer store.Close()
	if _, err := migrations.Up(ctx, store.DB()); err != nil {
		return err
	}
	key, err := roster.EmailKey(cfg.DevAdminEmail)
	if err != nil {
		return fmt.Errorf("ROLLCALL_DEV_ADMIN_EMAIL: %w", err)
	}
	hash, err := auth.NewHasher(auth.HasherConfig{}).Hash(ctx, cfg.DevAdminPassword.Reveal())
	if err != nil {
		return fmt.Errorf("ROLLCALL_DEV_ADMIN_PASSWORD: %w", err)
	}
	return store.EnsureAdmin(ctx, storage.NewUser{Email: cfg.DevAdminEmail, EmailKey: key, Name: "Administrator", PasswordHash: hash})
}

// keepSecrets generates missing secrets and stores them in the data directory
// for the next start.
func keepSecrets(cfg *config.Config, dir string) error {
	newToken := func() string { secret, _ := auth.NewToken(); return secret }
	for _, s := range []struct {
		name string
		into *config.Secret
		make func() string
	}{
		{"secret", &cfg.Secret, func() string { return rand.Text() + rand.Text() }},
		{"api-token", &cfg.AdminAPIToken, newToken},
		{"admin-password", &cfg.DevAdminPassword, func() string { return groupForReading(rand.Text()[:20]) }},
	} {
		if *s.into != "" {
			continue
		}
		value, err := loadOrCreate(filepath.Join(dir, s.name), s.make)
		if err != nil {
			return err
		}
		*s.into = config.Secret(value)
	}
	return nil
}

// loadOrCreate reads a secret, or creates it in a file that only this user can
// read.
func loadOrCreate(path string, create func() string) (string, error) {
	raw, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(raw))) > 0 {
		return strings.TrimSpace(string(raw)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read stored secret: %w", err)
	}
	value := create()
	if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("store secret: %w", err)
	}
	return value, nil
}

// groupForReading splits a random text into groups that are easy to read out.
func groupForReading(text string) string {
	var parts []string
	for group := range slices.Chunk([]byte(strings.ToLower(text)), 5) {
		parts = append(parts, string(group))
	}
	return strings.Join(parts, "-")
}

// chooseAddresses picks other ports if the default ones are in use and were not
// set explicitly.
func chooseAddresses(console Console, cfg *config.Config) {
	given := func(name string) bool {
		return slices.ContainsFunc(console.Environ, func(v string) bool {
			return strings.HasPrefix(v, name+"=") || strings.HasPrefix(v, name+"_FILE=")
		})
	}
	if !given("ROLLCALL_LISTEN") && !portFree(cfg.Listen) || strings.HasSuffix(cfg.Listen, ":0") {
		host, _, _ := net.SplitHostPort(cfg.Listen)
		if l, err := net.Listen("tcp", net.JoinHostPort(host, "0")); err == nil {
			cfg.Listen = l.Addr().String()
			l.Close()
			if !given("ROLLCALL_PUBLIC_URL") {
				cfg.PublicURL = "http://" + cfg.Listen
			}
		}
	}
	if cfg.MetricsListen != "" && !given("ROLLCALL_METRICS_LISTEN") && !portFree(cfg.MetricsListen) {
		cfg.MetricsListen = ""
	}
}

func portFree(address string) bool {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// watch ends with an error when PostgreSQL stops unexpectedly.
func (y *devStack) watch(ctx context.Context) error {
	if y.postgres == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-y.postgres.Done():
		return errors.New("the private PostgreSQL stopped unexpectedly; the data is safe, start again")
	}
}

// stop stops everything that was started, in reverse order.
func (y *devStack) stop() error {
	var errs []error
	if y.mail != nil {
		errs = append(errs, y.mail.Stop())
	}
	if y.redis != nil {
		y.redis.Stop()
	}
	if y.postgres != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		errs = append(errs, y.postgres.Stop(ctx))
	}
	if y.logFile != nil {
		errs = append(errs, y.logFile.Close())
	}
	return errors.Join(errs...)
}

// mailbox gives the pages access to captured mail.
type mailbox struct{ *devstack.Mailbox }

func (m mailbox) All() iter.Seq2[web.Mail, error] {
	return func(yield func(web.Mail, error) bool) {
		for c, err := range m.Mailbox.All() {
			if !yield(web.Mail(c), err) {
				return
			}
		}
	}
}

func (m mailbox) Get(id string) (web.Mail, bool, error) {
	c, err := m.Mailbox.Get(id)
	if errors.Is(err, devstack.ErrNoMail) {
		return web.Mail{}, false, nil
	}
	return web.Mail(c), err == nil, err
}
