package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rollcall/egress"
	"rollcall/mail"
	"rollcall/storage"
)

// ErrNoMailServer: neither SMTP_URL nor Settings > Email names a server.
var ErrNoMailServer = errors.New("no mail server is configured: set SMTP_URL or Settings > Email")

const (
	settingsEvery   = 5 * time.Second  // how old the rate a worker dispatches by may be
	settingsTimeout = 10 * time.Second // reading the settings at most

	// mailRoom is what a mail takes on an open connection to a server that is half
	// a minute over each of its four answers, and some more; less than half of
	// [MailerConfig.Lease], so that a fresh attempt always has it.
	mailRoom = 130 * time.Second
)

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
	pools  mail.PoolConfig
	env    *mail.Server // from SMTP_URL; nil: none
	within *egress.Addresses
	from   string
	rate   float64

	fetching sync.Mutex     // one reads the settings for all who want them
	retiring sync.WaitGroup // pools that were replaced

	mu      sync.Mutex // never held while anything is waited for
	present *route     // nil: not yet read
	read    time.Time
}

// route is the way of mail by one version of the settings.
type route struct {
	changed time.Time // when Settings > Email last changed; zero: nobody set any
	server  mail.Server
	from    string
	rate    float64
	pool    *mail.Pool
	fault   error // why nothing can be sent; pool is nil then
}

// NewPostman makes a Postman with size connections. env is what to use while
// Settings > Email is empty, nil for nothing; within are the addresses that a
// server named there may have.
func NewPostman(store *storage.Store, sealer opener, size int, env *mail.Server, within *egress.Addresses, from string, rate float64) *Postman {
	return &Postman{store: store, sealer: sealer, pools: mail.PoolConfig{Size: size, Room: mailRoom}, env: env, within: within, from: from, rate: rate}
}

// refresh reads the settings if that was some time ago, and returns how many
// invitations may go out a second, 0 for no limit.
func (p *Postman) refresh(ctx context.Context) (rate float64, err error) {
	p.mu.Lock()
	r, age := p.present, time.Since(p.read)
	p.mu.Unlock()
	if r == nil || age > settingsEvery {
		if r, err = p.fetch(ctx); err != nil {
			return 0, err
		}
	}
	return r.rate, nil
}

// route returns the way of mail by the settings of the time changed, which is
// nil while nobody set any. The error says that they could not be read; that
// they can be read but not used is the route's fault.
func (p *Postman) route(ctx context.Context, changed *time.Time) (*route, error) {
	if r := p.known(changed); r != nil {
		return r, nil
	}
	p.fetching.Lock()
	defer p.fetching.Unlock()
	if r := p.known(changed); r != nil {
		return r, nil
	}
	return p.fetch(ctx)
}

func (p *Postman) known(changed *time.Time) *route {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.present == nil || changed == nil != p.present.changed.IsZero() || changed != nil && !changed.Equal(p.present.changed) {
		return nil
	}
	return p.present
}

func (p *Postman) fetch(ctx context.Context) (*route, error) {
	ctx, cancel := context.WithTimeout(ctx, settingsTimeout)
	defer cancel()
	s, err := p.store.EmailSettings(ctx)
	if err != nil {
		return nil, err
	}
	r := &route{from: p.from, rate: p.rate}
	if s != nil {
		r.changed, r.rate = s.UpdatedAt, s.Rate
		if s.From != "" {
			r.from = s.From
		}
	}
	r.server, r.fault = p.serverOf(s)
	p.take(r)
	return r, nil
}

// take makes r the present route, with the pool of the last one if that leads
// to the same server.
func (p *Postman) take(r *route) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.present
	p.present, p.read = r, time.Now()
	if old != nil && old.pool != nil {
		if r.fault == nil && r.server == old.server {
			r.pool = old.pool
			return
		}
		p.retiring.Go(old.pool.Close) // once the sends in flight are through
	}
	if r.fault == nil {
		r.pool, r.fault = mail.NewPool(r.server, p.pools)
	}
}

func (p *Postman) serverOf(s *storage.EmailSettings) (server mail.Server, err error) {
	if s == nil {
		if p.env == nil {
			return server, ErrNoMailServer
		}
		return *p.env, nil
	}
	server = mail.Server{Host: s.Host, Port: s.Port, User: s.User, Within: p.within}
	if server.Security, err = mail.ParseSecurity(s.Security); err != nil {
		return server, fmt.Errorf("read mail settings: %w", err)
	}
	if s.SealedPassword != "" {
		if server.Password, err = p.sealer.Open(s.SealedPassword, PasswordContext); err != nil {
			return server, fmt.Errorf("open the stored SMTP password: %w", err)
		}
	}
	return server, nil
}

// Close ends all connections once the sends in flight are through.
func (p *Postman) Close() {
	p.mu.Lock()
	last := p.present
	p.present = nil
	p.mu.Unlock()
	if last != nil && last.pool != nil {
		last.pool.Close()
	}
	p.retiring.Wait()
}
