package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// maxAnswer bounds what one answer of the server may take, in bytes on the
// wire; a TLS handshake with a long certificate chain is the largest.
const maxAnswer = 256 << 10

// quitTimeout bounds the QUIT at the end of a connection.
const quitTimeout = 2 * time.Second

var errAnswerTooLong = errors.New("the server's answer is too long")

// connection is one SMTP session, used by one goroutine at a time.
type connection struct {
	wire     *wire
	client   *smtp.Client
	timeouts timeouts
	most     int     // messages before it is replaced
	token    string  // that it signed in with; "": none
	tokens   *tokens // where that is from

	messages  int  // started so far
	handedOff bool // sending the content of the current message has started
	broken    bool // not to be used again
}

type timeouts struct{ connect, command, data time.Duration }

// wire is a net.Conn that gives each exchange a time limit and the answer a size
// limit. The clock starts with each write.
type wire struct {
	net.Conn
	each   time.Duration // for a write and the answer to it
	end    time.Time     // for all exchanges together; zero: no limit
	left   int           // bytes the answer may still have
	failed bool          // not all of the last write went out
}

func (w *wire) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, errAnswerTooLong
	}
	n, err := w.Conn.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	w.await(w.each)
	n, err := w.Conn.Write(p)
	w.failed = err != nil
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

// deliver runs one mail transaction. Afterwards c.broken says whether the
// connection can be used again, and c.handedOff whether any content may have
// been sent.
func (c *connection) deliver(ctx context.Context, mail *envelope) *Failure {
	c.messages++
	c.handedOff = false
	returned := false // false after a panic in mail.ready, when the session is in an unknown state
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Close() })
	defer func() {
		if !stop() || !returned {
			c.broken = true
		}
	}()
	failure := c.transact(ctx, mail)
	returned = true
	return canceled(ctx, failure)
}

func (c *connection) transact(ctx context.Context, mail *envelope) *Failure {
	if err := c.client.Mail("<" + mail.from + ">"); err != nil {
		return c.fail(StageMail, err)
	}
	if err := c.client.Rcpt("<" + mail.to + ">"); err != nil {
		return c.fail(StageRcpt, err)
	}
	content, err := c.client.Data()
	if err != nil {
		return c.fail(StageData, err)
	}
	if mail.ready != nil {
		if err := mail.ready(ctx); err != nil {
			c.broken = true // DATA cannot be taken back
			return &Failure{Class: Canceled, Stage: StageData, Err: err}
		}
	}
	return c.sendContent(content, mail)
}

// sendContent sends the content and waits for the answer to the final dot.
func (c *connection) sendContent(content io.WriteCloser, mail *envelope) *Failure {
	c.handedOff = true
	c.wire.each = c.timeouts.data
	defer func() { c.wire.each = c.timeouts.command }()
	if _, err := content.Write(mail.content); err != nil {
		return c.fail(StageData, err)
	}
	if err := content.Close(); err != nil {
		if c.wire.failed {
			// Without the final dot, which is at the end of the last write, the
			// server must not deliver (RFC 5321, section 4.1.1.4), so the
			// message may be tried again.
			return c.fail(StageData, err)
		}
		return c.fail(StageEnd, err)
	}
	if data, ok := content.(*smtp.DataCloser); ok && mail.accepted != nil {
		const taken = 250 // the only code that Close treats as success
		_, reply := splitReply(taken, data.ServerResponse())
		mail.accepted(taken, reply)
	}
	return nil
}

// fail classifies the error of one step. A rejected transaction is reset, so
// that the connection can carry the next message.
func (c *connection) fail(stage Stage, err error) *Failure {
	reply, answered := errors.AsType[*textproto.Error](err)
	switch {
	case !answered:
		c.broken = true
		return lost(stage, err)
	case reply.Code < 400:
		c.broken = true
		return lost(stage, fmt.Errorf("unexpected reply %d", reply.Code))
	case reply.Code == 421: // RFC 5321, section 3.8: the server is closing the channel
		c.broken = true
	case c.token != "" && wantsSignIn(reply.Code): // the token has ended
		c.broken = true
		c.tokens.drop(c.token)
	case stage != StageEnd:
		c.broken = c.client.Reset() != nil
	}
	return refused(stage, reply.Code, reply.Msg)
}

// spent reports whether the connection must not carry another message.
func (c *connection) spent() bool { return c.broken || c.messages >= c.most }

// stale reports whether the last message failed because the server had already
// closed the connection, for example after it was idle, or no longer accepts the
// token that it was opened with.
func (c *connection) stale(failure *Failure) bool {
	return c.broken && !c.handedOff && failure.Class != Canceled &&
		(failure.Code == 0 || failure.Code == 421 || c.token != "" && wantsSignIn(failure.Code))
}

// wantsSignIn reports replies that ask for another sign-in (RFC 4954, section 6).
func wantsSignIn(code int) bool { return code == 530 || code == 535 }

// close sends QUIT if the session is intact, and closes the connection.
func (c *connection) close() {
	if !c.broken {
		c.wire.each = quitTimeout
		_ = c.client.Quit()
	}
	_ = c.wire.Close()
}
