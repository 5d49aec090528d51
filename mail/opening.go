package mail

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// connect opens a connection that is ready for MAIL: encrypted as the server's
// settings demand, and signed in.
func (p *Pool) connect(ctx context.Context) (*connection, *Failure) {
	dialCtx, cancel := context.WithTimeout(ctx, p.config.ConnectTimeout)
	defer cancel()
	raw, err := p.config.dial(p.server)(dialCtx, "tcp", p.server.address())
	if err != nil {
		return nil, canceled(ctx, lost(StageConnect, err))
	}
	c := &connection{
		wire:     &wire{Conn: raw},
		timeouts: timeouts{p.config.ConnectTimeout, p.config.CommandTimeout, p.config.DataTimeout},
		most:     p.config.MaxMessages,
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	failure := p.introduce(c)
	if !stop() && failure == nil {
		failure = lost(StageConnect, ctx.Err())
	}
	if failure != nil {
		_ = raw.Close()
		return nil, canceled(ctx, failure)
	}
	return c, nil
}

// introduce says hello, encrypts and signs in.
func (p *Pool) introduce(c *connection) *Failure {
	tlsConfig := p.tlsConfig()
	c.wire.end = time.Now().Add(p.config.OpenTimeout)
	c.wire.await(c.timeouts.connect)
	conn := net.Conn(c.wire)
	if p.server.Security == Implicit {
		secure := tls.Client(c.wire, tlsConfig)
		if err := secure.Handshake(); err != nil {
			return lost(StageTLS, err)
		}
		conn = secure
	}

	c.wire.each = c.timeouts.command
	c.wire.await(c.timeouts.command) // the greeting comes unasked
	client, err := smtp.NewClient(conn, p.server.Host)
	if err != nil {
		return setupFailure(StageHello, err)
	}
	c.client = client
	if err := client.Hello(p.helloName(conn)); err != nil {
		return setupFailure(StageHello, err)
	}
	if p.server.Security == STARTTLS {
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return lost(StageTLS, errNoSTARTTLS)
		}
		if err := client.StartTLS(tlsConfig); err != nil {
			return setupFailure(StageTLS, err)
		}
	}
	if p.server.User != "" {
		if failure := p.signIn(c); failure != nil {
			return failure
		}
	}
	c.pipelining, _ = client.Extension("PIPELINING")
	c.out = prompt{client.Text.W}
	c.wire.each, c.wire.end = 0, time.Time{}
	return nil
}

func (p *Pool) signIn(c *connection) *Failure {
	_, offered := c.client.Extension("AUTH")
	auth := p.server.mechanism(strings.Fields(strings.ToUpper(offered)))
	if auth == nil {
		return lost(StageAuth, errNoAuth)
	}
	err := c.client.Auth(auth)
	if err == nil {
		return nil
	}
	failure := setupFailure(StageAuth, err)
	if p.server.betrays(failure.Reply) {
		failure.Reply = ""
	}
	return failure
}

// helloName is the name to introduce ourselves by: the configured one, or the
// address literal RFC 5321, section 4.1.4, asks of hosts without a name.
func (p *Pool) helloName(conn net.Conn) string {
	if p.config.Hello != "" {
		return p.config.Hello
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
