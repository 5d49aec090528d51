package mail

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
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

	out    prompt
	buffer []byte // for what goes out with one write
	most   int    // messages before it is replaced

	messages   int         // attempts so far
	asked      *envelope   // whom the server was asked to take next; nil: nobody
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

// prompt is a writer that keeps nothing back, and tells of an error how much went
// out before it.
type prompt struct{ buffer *bufio.Writer }

func (p prompt) Write(b []byte) (n int, err error) {
	n, err = p.buffer.Write(b)
	if err == nil {
		err = p.buffer.Flush()
	}
	if err != nil {
		n -= p.buffer.Buffered()
	}
	return n, err
}

// command is one line of a transaction and the first digit of the reply that
// lets it go on.
type command struct {
	stage Stage
	line  string
	want  int
}

// transaction is the commands of one up to its content.
func transaction(mail *envelope) []command {
	return []command{
		{StageMail, "MAIL FROM:<" + mail.from + ">", 2},
		{StageRcpt, "RCPT TO:<" + mail.to + ">", 2},
		{StageData, "DATA", 3},
	}
}

// deliver runs one mail transaction. Afterwards c.broken says whether the
// connection can be used again, c.handedOver whether any content was sent, and
// c.asked which mail has to be the next.
func (c *connection) deliver(ctx context.Context, mail *envelope, h Handling) *Failure {
	c.messages++
	c.handedOver = false
	returned := false // or it panicked, in h, who knows at which stage
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Close() })
	defer func() {
		if !stop() || !returned {
			c.broken = true
		}
	}()
	failure := c.transact(ctx, mail, h)
	returned = true
	return canceled(ctx, failure)
}

// spent reports whether the connection has carried all that it is to carry.
func (c *connection) spent() bool { return c.messages >= c.most }

func (c *connection) transact(ctx context.Context, mail *envelope, h Handling) *Failure {
	asked := c.asked == mail
	c.asked = nil
	if failure := c.open(transaction(mail), asked); failure != nil {
		c.reset()
		return failure
	}
	if h.Ready != nil {
		if err := h.Ready(ctx); err != nil {
			c.broken = true // DATA cannot be taken back
			return &Failure{Class: Canceled, Stage: StageData, Err: err}
		}
	}
	return c.hand(mail, c.following(h))
}

// following is the mail that is to be the next on this connection; nil: none, or
// it is not known yet.
func (c *connection) following(h Handling) *envelope {
	if h.Next == nil || !c.pipelining || c.spent() {
		return nil
	}
	next, ok := h.Next()
	if !ok {
		return nil
	}
	return next.envelope
}

// open sends the commands, unless they are sent already, all at once where the
// server allows it (RFC 2920). The failure is the first refusal.
func (c *connection) open(commands []command, sent bool) (failure *Failure) {
	batch := 1
	if c.pipelining {
		batch = len(commands)
	}
	for i, cmd := range commands {
		if i%batch == 0 && !sent {
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

// hand sends the content and waits for the answer to the final dot. With next it
// also asks the server to take that one: content may be the first of a group of
// commands (RFC 2920, section 3.1).
func (c *connection) hand(mail, next *envelope) *Failure {
	c.wire.await(c.timeouts.data)
	c.handedOver = true
	if failure := c.writeContent(mail, next); failure != nil {
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

// writeContent sends the content, which ends in the final dot, and the commands
// that ask for next, with one write.
func (c *connection) writeContent(mail, next *envelope) *Failure {
	c.buffer = append(c.buffer[:0], mail.content...)
	if next != nil {
		c.asked = next
		c.buffer = appendLines(c.buffer, transaction(next))
	}
	switch n, err := c.out.Write(c.buffer); {
	case err == nil:
		return nil
	case n < len(mail.content):
		// Without the final dot the server must not deliver (RFC 5321,
		// section 4.1.1.4), so the message may be tried again.
		return c.breakAt(StageData, err)
	default:
		return c.breakAt(StageEnd, err)
	}
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
	c.buffer = appendLines(c.buffer[:0], commands)
	_, err := c.out.Write(c.buffer)
	if err != nil {
		c.broken = true
	}
	return err
}

func appendLines(to []byte, commands []command) []byte {
	for _, cmd := range commands {
		to = append(append(to, cmd.line...), "\r\n"...)
	}
	return to
}

func (c *connection) read(timeout time.Duration) (code int, text string, err error) {
	c.wire.await(timeout)
	code, text, err = c.client.Text.ReadResponse(0)
	if err != nil {
		c.broken = true
	}
	return code, text, err
}

// confused reports whether a message failed that the server was asked for with the
// one before, in a way that tells of a server which does not bear that: it never
// heard the command, or took it for one out of place.
func (c *connection) confused(failure *Failure) bool {
	return failure.Stage == StageMail && !c.handedOver &&
		(failure.Code >= 500 && failure.Code <= 504 || errors.Is(failure.Err, os.ErrDeadlineExceeded))
}

// stale reports whether the last message failed because the connection was closed
// before it, by a server that tires of idle clients perhaps.
func (c *connection) stale(failure *Failure) bool {
	return c.broken && !c.handedOver && failure.Class != Canceled && (failure.Code == 0 || failure.Code == 421)
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
