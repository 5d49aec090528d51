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
	"rollcall/devstack"
	"rollcall/migrations"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web"
)

// yard is what a private instance has of its own, and a real one elsewhere.
type yard struct {
	postgres    *devstack.Postgres // nil: DATABASE_URL is used
	redis       *devstack.Redis
	mail        *devstack.Mailbox
	log         *slog.Logger
	logFile     *os.File
	logPath     string
	databaseURL string
}

// startYard starts PostgreSQL, Redis and the mailbox, migrates, and fills in
// the config: addresses, secrets, the administrator. After an error nothing is
// left running.
func startYard(ctx context.Context, console Console, cfg *config.Config) (_ *yard, err error) {
	y := &yard{}
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
	app.QuietRedis(y.log)
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
	return y, prepare(ctx, *cfg)
}

func (y *yard) startPostgres(ctx context.Context, console Console, dir string) (err error) {
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
	fmt.Fprintln(console.Stderr, "This machine has no PostgreSQL of its own: using the database in DATABASE_URL.")
	y.databaseURL = given.DatabaseURL.Reveal()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	return nil
}

// prepare brings the schema up to date and makes sure of the administrator.
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

// keepSecrets fills in what is not given: made once, and kept in the data
// directory for the next start.
func keepSecrets(cfg *config.Config, dir string) error {
	newToken := func() string { secret, _ := auth.NewToken(); return secret }
	for _, s := range []struct {
		name string
		into *config.Secret
		make func() string
	}{
		{"secret", &cfg.Secret, func() string { return rand.Text() + rand.Text() }},
		{"api-token", &cfg.AdminAPIToken, newToken},
		{"admin-password", &cfg.DevAdminPassword, func() string { return spoken(rand.Text()[:20]) }},
	} {
		if *s.into != "" {
			continue
		}
		value, err := kept(filepath.Join(dir, s.name), s.make)
		if err != nil {
			return err
		}
		*s.into = config.Secret(value)
	}
	return nil
}

// kept reads a secret, or makes it and writes it for this user's eyes only.
func kept(path string, create func() string) (string, error) {
	raw, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(raw))) > 0 {
		return strings.TrimSpace(string(raw)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read kept secret: %w", err)
	}
	value := create()
	if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep secret: %w", err)
	}
	return value, nil
}

// spoken parts a random text so that it can be read out.
func spoken(text string) string {
	var parts []string
	for group := range slices.Chunk([]byte(strings.ToLower(text)), 5) {
		parts = append(parts, string(group))
	}
	return strings.Join(parts, "-")
}

// chooseAddresses takes other ports where the usual ones are taken and nobody
// asked for them.
func chooseAddresses(console Console, cfg *config.Config) {
	given := func(name string) bool {
		return slices.ContainsFunc(console.Environ, func(v string) bool {
			return strings.HasPrefix(v, name+"=") || strings.HasPrefix(v, name+"_FILE=")
		})
	}
	if !given("ROLLCALL_LISTEN") && !free(cfg.Listen) || strings.HasSuffix(cfg.Listen, ":0") {
		host, _, _ := net.SplitHostPort(cfg.Listen)
		if l, err := net.Listen("tcp", net.JoinHostPort(host, "0")); err == nil {
			cfg.Listen = l.Addr().String()
			l.Close()
			if !given("ROLLCALL_PUBLIC_URL") {
				cfg.PublicURL = "http://" + cfg.Listen
			}
		}
	}
	if cfg.MetricsListen != "" && !given("ROLLCALL_METRICS_LISTEN") && !free(cfg.MetricsListen) {
		cfg.MetricsListen = ""
	}
}

func free(address string) bool {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// watch ends with an error when PostgreSQL ends before it should.
func (y *yard) watch(ctx context.Context) error {
	if y.postgres == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-y.postgres.Done():
		return errors.New("the private PostgreSQL ended unexpectedly; its data is safe, start again")
	}
}

// stop ends what was started, in reverse.
func (y *yard) stop() error {
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

// mailbox shows captured mail to the pages.
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
