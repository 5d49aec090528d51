package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// connect opens a connection that is ready for MAIL: encrypted as the settings
// require, and signed in.
func (p *Pool) connect(ctx context.Context) (*connection, *Failure) {
	if p.tokens == nil {
		return p.open(ctx, "")
	}
	for {
		token, fresh, failure := p.tokens.get()
		if failure != nil {
			return nil, canceled(ctx, failure)
		}
		c, failure := p.open(ctx, token)
		if failure == nil || failure.Stage != StageAuth || failure.Code < 500 {
			return c, failure
		}
		p.tokens.drop(token)
		if fresh || ctx.Err() != nil {
			return nil, failure
		}
		// The server no longer accepts a token from earlier: try a fresh one.
	}
}

// open opens a connection and signs in, with a token if that is not empty.
func (p *Pool) open(ctx context.Context, token string) (*connection, *Failure) {
	dialCtx, cancel := context.WithTimeout(ctx, p.config.ConnectTimeout)
	defer cancel()
	watched := &probe{began: time.Now()}
	raw, err := p.config.dial(p.server, watched)(dialCtx, "tcp", p.server.address())
	if err != nil {
		return nil, canceled(ctx, watched.hide(lost(StageConnect, err)))
	}
	c := &connection{
		token: token, tokens: p.tokens,
		wire:     &wire{Conn: raw, each: p.config.ConnectTimeout},
		timeouts: timeouts{p.config.ConnectTimeout, p.config.CommandTimeout, p.config.DataTimeout},
		most:     p.config.MaxMessages,
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	failure := p.introduce(c, watched)
	if !stop() && failure == nil {
		failure = lost(StageConnect, ctx.Err())
	}
	if failure != nil {
		_ = raw.Close()
		return nil, canceled(ctx, failure)
	}
	return c, nil
}

// introduce sends EHLO, encrypts and signs in.
func (p *Pool) introduce(c *connection, watched *probe) *Failure {
	end := time.Now().Add(p.config.OpenTimeout)
	c.wire.end = watched.deadline(end)
	if failure := p.hello(c); failure != nil {
		return watched.hide(failure)
	}
	c.wire.end = end
	if p.server.Security == STARTTLS {
		if offered, _ := c.client.Extension("STARTTLS"); !offered {
			return lost(StageTLS, errNoSTARTTLS)
		}
		if err := c.client.StartTLS(p.tlsConfig()); err != nil {
			return setupFailure(StageTLS, err)
		}
	}
	if p.server.User != "" {
		if failure := p.signIn(c); failure != nil {
			return failure
		}
	}
	c.client.SkipSMTPUTF8(true) // no address needs it
	c.wire.end = time.Time{}
	return nil
}

// hello connects as far as the answer to EHLO, after the handshake of implicit
// TLS.
func (p *Pool) hello(c *connection) *Failure {
	c.wire.await(c.timeouts.connect)
	conn := net.Conn(c.wire)
	if p.server.Security == Implicit {
		secure := tls.Client(c.wire, p.tlsConfig())
		if err := secure.Handshake(); err != nil {
			return lost(StageTLS, err)
		}
		conn = secure
	}

	c.wire.each = c.timeouts.command
	c.wire.await(c.timeouts.command) // the server sends the greeting first
	client, err := smtp.NewClient(conn, p.server.Host)
	if err != nil {
		return setupFailure(StageHello, err)
	}
	c.client = client
	if err := client.Hello(p.helloName(conn)); err != nil {
		return setupFailure(StageHello, err)
	}
	return nil
}

func (p *Pool) signIn(c *connection) *Failure {
	_, offered := c.client.Extension("AUTH")
	mechanisms := strings.Fields(strings.ToUpper(offered))
	auth := p.server.mechanism(mechanisms)
	if c.token != "" {
		if !slices.Contains(mechanisms, "XOAUTH2") {
			return lost(StageAuth, errNoXOAUTH2)
		}
		auth = smtp.XOAuth2Auth(p.server.User, c.token)
	}
	if auth == nil {
		return lost(StageAuth, errNoAuth)
	}
	err := c.client.Auth(auth)
	if err == nil {
		return nil
	}
	failure := setupFailure(StageAuth, err)
	failure.WithToken = c.token != ""
	if p.server.leaksPassword(failure.Reply) || c.token != "" && strings.Contains(failure.Reply, c.token) {
		failure.Reply = ""
	}
	return failure
}

// helloName returns the EHLO name: the server's, the configured one, or the address literal
// that RFC 5321, section 4.1.4, requires of hosts without a name.
func (p *Pool) helloName(conn net.Conn) string {
	if name := cmp.Or(p.server.Hello, p.config.Hello); name != "" {
		return name
	}
	local, ok := conn.LocalAddr().(*net.TCPAddr)
	switch {
	case !ok:
		return "localhost"
	case local.IP.To4() != nil:
		return "[" + local.IP.To4().String() + "]"
	default:
		return "[IPv6:" + local.IP.String() + "]"
	}
}

func (p *Pool) tlsConfig() *tls.Config {
	config := p.config.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config.ServerName = p.server.Host
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return config
}
