package invitations

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"rollcall/mail"
	"rollcall/mail/settings"
)

const (
	settingsMaxAge  = 5 * time.Second  // of the rate that a worker dispatches at
	settingsTimeout = 10 * time.Second // to read the settings

	// minSendTime is what a mail takes on an open connection to a server that
	// needs half a minute for each of its four answers, plus a margin. It is
	// less than half of [Config.Lease], so a fresh attempt always has it.
	minSendTime = 130 * time.Second
)

// SMTPTransport keeps a connection pool to the mail server in the settings, and
// replaces it when they change.
type SMTPTransport struct {
	settings *settings.Settings
	pools    mail.PoolConfig

	loading sync.Mutex     // held by the one that reads the settings for all
	closing sync.WaitGroup // pools that were replaced

	mu      sync.Mutex    // never held while waiting
	current *mailSettings // nil: not yet read
	read    time.Time
}

// mailSettings is one version of the settings, with its connection pool.
type mailSettings struct {
	settings.Outgoing
	pool  *mail.Pool
	fault error // why no mail can be sent; pool is nil then
}

// NewSMTPTransport makes a transport with pools.Size connections, 4 if that is
// 0, and fewer while the mail server allows fewer. Call Close when done.
func NewSMTPTransport(s *settings.Settings, log *slog.Logger, pools mail.PoolConfig) *SMTPTransport {
	pools.Size = cmp.Or(pools.Size, 4)
	pools.Room = minSendTime
	pools.Throttled = func(connections int, refusal *mail.Failure) {
		log.Warn("mail server limits connections; using fewer", "connections", connections, "stage", refusal.Stage, "code", refusal.Code)
	}
	return &SMTPTransport{settings: s, pools: pools}
}

// rate returns how many invitations may be sent per second, 0 for no limit. It
// rereads settings older than settingsMaxAge.
func (t *SMTPTransport) rate(ctx context.Context) (float64, error) {
	t.mu.Lock()
	m, age := t.current, time.Since(t.read)
	t.mu.Unlock()
	if m == nil || age > settingsMaxAge {
		var err error
		if m, err = t.load(ctx); err != nil {
			return 0, err
		}
	}
	return m.Rate, nil
}

// at returns the settings last changed at the given time, nil for none stored.
// It returns an error if they cannot be read; settings that were read but
// cannot be used have a fault.
func (t *SMTPTransport) at(ctx context.Context, changed *time.Time) (*mailSettings, error) {
	if m := t.cached(changed); m != nil {
		return m, nil
	}
	t.loading.Lock()
	defer t.loading.Unlock()
	if m := t.cached(changed); m != nil {
		return m, nil
	}
	return t.load(ctx)
}

func (t *SMTPTransport) cached(changed *time.Time) *mailSettings {
	t.mu.Lock()
	defer t.mu.Unlock()
	var at time.Time
	if changed != nil {
		at = *changed
	}
	if t.current == nil || !at.Equal(t.current.ChangedAt) {
		return nil
	}
	return t.current
}

func (t *SMTPTransport) load(ctx context.Context) (*mailSettings, error) {
	ctx, cancel := context.WithTimeout(ctx, settingsTimeout)
	defer cancel()
	out, err := t.settings.Current(ctx)
	if err != nil && !settings.Unusable(err) {
		return nil, err
	}
	m := &mailSettings{Outgoing: out, fault: err}
	t.activate(m)
	return m, nil
}

// activate makes m the current settings. It keeps the previous pool if that
// connects to the same server.
func (t *SMTPTransport) activate(m *mailSettings) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.current
	t.current, t.read = m, time.Now()
	if old != nil && old.pool != nil {
		if m.fault == nil && m.Server == old.Server {
			m.pool = old.pool
			return
		}
		t.closing.Go(old.pool.Close) // once the sends in progress have ended
	}
	if m.fault == nil {
		m.pool, m.fault = mail.NewPool(m.Server, t.pools)
	}
}

// Close closes all connections once the sends in progress have ended.
func (t *SMTPTransport) Close() {
	t.mu.Lock()
	last := t.current
	t.current = nil
	t.mu.Unlock()
	if last != nil && last.pool != nil {
		last.pool.Close()
	}
	t.closing.Wait()
}
