package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rollcall/mail"
	"rollcall/storage"
)

// ErrNoMailServer: neither SMTP_URL nor Settings > Email names a server.
var ErrNoMailServer = errors.New("no mail server is configured: set SMTP_URL or Settings > Email")

// settingsEvery is how old the settings a worker sends by may be.
const settingsEvery = 5 * time.Second

// opener opens what auth.Sealer sealed.
type opener interface {
	Open(sealed, context string) (string, error)
}

// PasswordContext binds a sealed SMTP password to its place.
const PasswordContext = "settings.email.password"

// Postman keeps the pool of connections to the mail server that the settings
// name, and replaces it when they change.
type Postman struct {
	store  *storage.Store
	sealer opener
	size   int

	mu      sync.Mutex
	env     *mail.Server // from SMTP_URL; nil: none
	envFrom string
	envRate float64

	server  mail.Server
	from    string
	rate    float64
	pool    *mail.Pool
	fetched time.Time
}

// NewPostman makes a Postman with size connections. env is what to use while
// Settings > Email is empty, nil for nothing.
func NewPostman(store *storage.Store, sealer opener, size int, env *mail.Server, from string, rate float64) *Postman {
	return &Postman{store: store, sealer: sealer, size: size, env: env, envFrom: from, envRate: rate, from: from, rate: rate}
}

// From is the sender's address.
func (p *Postman) From() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.from
}

// Rate is how many invitations may go out a second, 0 for no limit.
func (p *Postman) Rate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rate
}

// Refresh looks whether the settings changed.
func (p *Postman) Refresh(ctx context.Context) error {
	_, err := p.current(ctx)
	return err
}

// Send hands a message to the server of the present settings.
func (p *Postman) Send(ctx context.Context, m mail.Message) error {
	pool, err := p.current(ctx)
	if err != nil {
		return err
	}
	return pool.Send(ctx, m)
}

// Close ends all connections.
func (p *Postman) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pool != nil {
		p.pool.Close()
		p.pool = nil
	}
	p.fetched = time.Time{}
}

func (p *Postman) current(ctx context.Context) (*mail.Pool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pool != nil && time.Since(p.fetched) < settingsEvery {
		return p.pool, nil
	}
	server, from, rate, err := p.settings(ctx)
	if err != nil {
		return nil, err
	}
	p.from, p.rate, p.fetched = from, rate, time.Now()
	if p.pool != nil && server == p.server {
		return p.pool, nil
	}
	pool, err := mail.NewPool(server, mail.PoolConfig{Size: p.size})
	if err != nil {
		return nil, fmt.Errorf("use the mail settings: %w", err)
	}
	if old := p.pool; old != nil {
		go old.Close() // once the sends in flight are through
	}
	p.pool, p.server = pool, server
	return pool, nil
}

func (p *Postman) settings(ctx context.Context) (server mail.Server, from string, rate float64, err error) {
	s, err := p.store.EmailSettings(ctx)
	if err != nil {
		return server, "", 0, err
	}
	if s == nil {
		if p.env == nil {
			return server, "", 0, ErrNoMailServer
		}
		return *p.env, p.envFrom, p.envRate, nil
	}
	server = mail.Server{Host: s.Host, Port: s.Port, User: s.User}
	if server.Security, err = mail.ParseSecurity(s.Security); err != nil {
		return server, "", 0, fmt.Errorf("read mail settings: %w", err)
	}
	if s.SealedPassword != "" {
		if server.Password, err = p.sealer.Open(s.SealedPassword, PasswordContext); err != nil {
			return server, "", 0, fmt.Errorf("open the stored SMTP password: %w", err)
		}
	}
	if from = s.From; from == "" {
		from = p.envFrom
	}
	return server, from, s.Rate, nil
}
