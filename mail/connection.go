package mail

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// maxAnswer bounds what one answer of the server may take, in bytes on the
// wire; a TLS handshake with a long certificate chain is the largest.
const maxAnswer = 256 << 10

// quitTimeout bounds the farewell; the mails have long been answered for.
const quitTimeout = 2 * time.Second

var errAnswerTooLong = errors.New("the server's answer is too long")

// connection is one SMTP conversation, used by one goroutine at a time.
type connection struct {
	wire       *wire
	client     *smtp.Client
	timeouts   timeouts
	pipelining bool

	messages   int         // attempts so far
	handedOver bool        // some content of the current message was written
	broken     bool        // not to be used again
	idle       *time.Timer // runs while the pool holds the connection
}

type timeouts struct{ connect, command, data time.Duration }

// wire is a net.Conn that reads a bounded number of bytes an answer.
type wire struct {
	net.Conn
	left int

	// While the conversation is opened, in steps of several commands each:
	each time.Duration // for a command and its answer; 0: whoever writes calls await
	end  time.Time     // of all of it; zero: none
}

func (w *wire) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, errAnswerTooLong
	}
	n, err := w.Conn.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}

// await starts the clock and the byte budget for the next exchange.
func (w *wire) await(timeout time.Duration) {
	w.left = maxAnswer
	// A failure to set a deadline shows in the read or write that follows.
	end := time.Now().Add(timeout)
	if !w.end.IsZero() && w.end.Before(end) {
		end = w.end
	}
	_ = w.SetDeadline(end)
}

// Write gives each command of the opening, and the answer to it, time of its own.
func (w *wire) Write(p []byte) (int, error) {
	if w.each > 0 {
		w.await(w.each)
	}
	return w.Conn.Write(p)
}

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
	client.Text.W = bufio.NewWriterSize(flushed{client.Text.W}, writeBuffer)
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

// writeBuffer holds all of a mail of the usual size, so that it goes out with one
// system call.
const writeBuffer = 32 << 10

// flushed is a writer that keeps nothing back.
type flushed struct{ *bufio.Writer }

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err != nil {
		return n, err
	}
	return n, f.Flush()
}

// command is one line of a transaction and the first digit of the reply that
// lets it go on.
type command struct {
	stage Stage
	line  string
	want  int
}

// deliver runs one mail transaction. Afterwards c.broken says whether the
// connection can be used again, and c.handedOver whether any content was sent.
func (c *connection) deliver(ctx context.Context, mail envelope) *Failure {
	c.messages++
	c.handedOver = false
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Close() })
	failure := c.transact(ctx, mail)
	if !stop() {
		c.broken = true
	}
	return canceled(ctx, failure)
}

func (c *connection) transact(ctx context.Context, mail envelope) *Failure {
	failure := c.open([]command{
		{StageMail, "MAIL FROM:<" + mail.from + ">", 2},
		{StageRcpt, "RCPT TO:<" + mail.to + ">", 2},
		{StageData, "DATA", 3},
	})
	if failure != nil {
		c.reset()
		return failure
	}
	if mail.ready != nil {
		if err := mail.ready(ctx); err != nil {
			c.broken = true // DATA cannot be taken back
			return &Failure{Class: Canceled, Stage: StageData, Err: err}
		}
	}
	return c.hand(mail)
}

// open sends the commands, all at once where the server allows it (RFC 2920).
// The failure is the first refusal.
func (c *connection) open(commands []command) (failure *Failure) {
	batch := 1
	if c.pipelining {
		batch = len(commands)
	}
	for i, cmd := range commands {
		if i%batch == 0 {
			if err := c.write(commands[i : i+batch]); err != nil {
				return c.breakAt(cmd.stage, err)
			}
		}
		code, text, err := c.read(c.timeouts.command)
		switch {
		case err != nil && failure != nil:
			return failure
		case err != nil:
			return c.breakAt(cmd.stage, err)
		case code/100 == cmd.want && failure == nil:
			continue
		case code < 400 && failure == nil:
			return c.breakAt(cmd.stage, fmt.Errorf("unexpected reply %d", code))
		case failure == nil:
			failure = refused(cmd.stage, code, text)
		case cmd.stage == StageData && code < 400:
			// DATA was accepted although a command before it was not (RFC
			// 2920, section 3.1). Ended by a dot, it might send an empty mail
			// on its way; ended by closing, it cannot.
			c.broken = true
		}
		if code == 421 {
			// RFC 5321, section 3.8: the server is closing the channel.
			c.broken = true
		}
		if c.broken || !c.pipelining {
			return failure
		}
	}
	return failure
}

// hand sends the content and waits for the answer to the final dot.
func (c *connection) hand(mail envelope) *Failure {
	c.wire.await(c.timeouts.data)
	c.handedOver = true
	if failure := c.writeContent(mail.content); failure != nil {
		return failure
	}
	code, text, err := c.read(c.timeouts.data)
	switch {
	case err != nil:
		return c.breakAt(StageEnd, err)
	case code/100 == 2:
		if mail.accepted != nil {
			_, reply := splitReply(code, text)
			mail.accepted(code, reply)
		}
		return nil
	case code < 400:
		return c.breakAt(StageEnd, fmt.Errorf("unexpected reply %d", code))
	}
	c.broken = code == 421
	return refused(StageEnd, code, text)
}

// writeContent sends the content and the final dot.
func (c *connection) writeContent(content []byte) *Failure {
	if !wholeLines(content) {
		return c.writeLines(content)
	}
	_, err := c.client.Text.W.Write(stuffed(content))
	if err == nil {
		err = c.client.Text.W.Flush()
	}
	if err != nil {
		return c.breakAt(StageData, err) // not all of it is on its way, so not the final dot
	}
	return nil
}

// writeLines is writeContent for lines that end in any way: it looks at each byte.
func (c *connection) writeLines(content []byte) *Failure {
	dots := c.client.Text.DotWriter()
	if _, err := dots.Write(content); err != nil {
		// Without the final dot the server must not deliver (RFC 5321,
		// section 4.1.1.4), so the message may be tried again. The dot writer
		// is not closed: that would send the dot.
		return c.breakAt(StageData, err)
	}
	if err := dots.Close(); err != nil {
		return c.breakAt(StageEnd, err)
	}
	return nil
}

// wholeLines reports whether content is lines that end in CR LF, the last one too.
func wholeLines(content []byte) bool {
	lines := bytes.Count(content, []byte("\r\n"))
	return bytes.HasSuffix(content, []byte("\r\n")) &&
		bytes.Count(content, []byte("\n")) == lines && bytes.Count(content, []byte("\r")) == lines
}

// stuffed is whole lines, with another dot before each that begins with one (RFC
// 5321, section 4.5.2), and the final dot: one piece, for one write.
func stuffed(content []byte) []byte {
	out := make([]byte, 0, len(content)+len(content)/32+len("..\r\n"))
	for len(content) > 0 {
		if content[0] == '.' {
			out = append(out, '.')
		}
		line := len(content)
		if at := bytes.Index(content, []byte("\n.")); at >= 0 {
			line = at + 1
		}
		out = append(out, content[:line]...)
		content = content[line:]
	}
	return append(out, ".\r\n"...)
}

// reset clears a refused transaction, so that the connection can carry the
// next message.
func (c *connection) reset() {
	if c.broken {
		return
	}
	if err := c.write([]command{{line: "RSET"}}); err != nil {
		return
	}
	if code, _, err := c.read(c.timeouts.command); err != nil || code/100 != 2 {
		c.broken = true
	}
}

func (c *connection) write(commands []command) error {
	c.wire.await(c.timeouts.command)
	out := c.client.Text.W
	for _, cmd := range commands {
		// A bufio.Writer keeps its first error and Flush returns it.
		_, _ = out.WriteString(cmd.line)
		_, _ = out.WriteString("\r\n")
	}
	err := out.Flush()
	if err != nil {
		c.broken = true
	}
	return err
}

func (c *connection) read(timeout time.Duration) (code int, text string, err error) {
	c.wire.await(timeout)
	code, text, err = c.client.Text.ReadResponse(0)
	if err != nil {
		c.broken = true
	}
	return code, text, err
}

func (c *connection) breakAt(stage Stage, err error) *Failure {
	c.broken = true
	return lost(stage, err)
}

// close says goodbye where the connection is in a state to, and closes it.
func (c *connection) close() {
	if !c.broken {
		c.wire.await(quitTimeout)
		_ = c.client.Quit()
	}
	_ = c.wire.Close()
}
