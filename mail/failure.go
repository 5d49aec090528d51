package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"rollcall/internal/egress"
)

// Class says what a failed attempt means for the mail and for all others.
type Class int

const (
	// Temporary: the server asked to retry later (4xx), or the connection broke
	// before this message was handed over.
	Temporary Class = iota + 1
	// Permanent: the server rejected this recipient or this message permanently
	// (5xx), or the address cannot be sent in SMTP at all.
	Permanent
	// Unknown: the message was handed over in full and no answer came back, so
	// it may have been delivered.
	Unknown
	// ServerDown: no mail can be sent at present, to any recipient. Pause all
	// sending and count the attempt against no recipient. Failure.Configuration
	// tells a wrong setting from an unavailable server.
	ServerDown
	// Canceled: the context ended, or the pool was closed, before the message
	// was handed over. Count the attempt against no recipient.
	Canceled
)

// String returns the class in lower case, such as "temporary" or "server_down".
func (c Class) String() string {
	switch c {
	case Temporary:
		return "temporary"
	case Permanent:
		return "permanent"
	case Unknown:
		return "unknown"
	case ServerDown:
		return "server_down"
	case Canceled:
		return "canceled"
	default:
		return "Class(" + strconv.Itoa(int(c)) + ")"
	}
}

// Stage is the step of the session at which an attempt failed.
type Stage string

// The stages, in order.
const (
	StageCompose Stage = "compose" // before any connection
	StageToken   Stage = "token"   // requesting a token for OAuth 2
	StageConnect Stage = "connect" // waiting for, or opening, a connection
	StageHello   Stage = "hello"   // greeting and EHLO
	StageTLS     Stage = "tls"     // STARTTLS and the handshake
	StageAuth    Stage = "auth"    // sign-in
	StageMail    Stage = "mail"    // MAIL FROM
	StageRcpt    Stage = "rcpt"    // RCPT TO
	StageData    Stage = "data"    // the DATA command and the content
	StageEnd     Stage = "end"     // the answer to the final dot
)

// Failure is the error of [Pool.Send].
type Failure struct {
	Class Class
	// Configuration is set with ServerDown when only an administrator can fix
	// it: wrong credentials, a bad certificate, a rejected sender. Otherwise
	// the server is unavailable and may come back by itself.
	Configuration bool
	// Systemic is set with Permanent when the reply may be about every mail
	// instead of this recipient: relaying denied, a sender or client that is
	// not accepted, a size limit.
	Systemic bool
	// Throttled is set with Temporary when the server asks for fewer mails
	// altogether. It is not this recipient's fault.
	Throttled bool
	// WithToken is set at StageAuth if the sign-in was with OAuth 2.
	WithToken bool
	Stage     Stage
	Code      int    // SMTP reply code; 0 when the server did not answer
	Enhanced  string // enhanced status code (RFC 3463) such as "5.1.1"; may be empty
	// Reply is the server's reply: one line of at most 300 bytes of printable
	// UTF-8, without the codes. Servers often repeat the recipient in it, so
	// show it to administrators and keep it out of logs.
	Reply string
	Err   error // the cause if it was not a reply; nil otherwise
}

// Error describes the failure without the server's reply and without any
// address, so that it can be logged.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "send mail: %s failure at stage %s", f.Class, f.Stage)
	if f.Code != 0 {
		fmt.Fprintf(&b, ": %d", f.Code)
	}
	if f.Enhanced != "" {
		fmt.Fprintf(&b, " %s", f.Enhanced)
	}
	if f.Err != nil {
		fmt.Fprintf(&b, ": %v", f.Err)
	}
	return b.String()
}

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// ErrClosed is the cause of a [Canceled] failure after [Pool.Close].
var ErrClosed = errors.New("the mail pool is closed")

var (
	errNoSTARTTLS = errors.New("the server does not offer STARTTLS")
	errNoXOAUTH2  = errors.New("the server does not offer XOAUTH2")
	errNoAuth     = errors.New("the server offers no supported way to sign in")
)

// refused classifies a reply of the server.
func refused(stage Stage, code int, text string) *Failure {
	f := &Failure{Stage: stage, Code: code}
	f.Enhanced, f.Reply = splitReply(code, text)
	f.Class, f.Configuration = judge(stage, code, f.Enhanced)
	f.Systemic = f.Class == Permanent && systemic(f.Enhanced, f.Reply)
	f.Throttled = f.Class == Temporary && throttled(f.Enhanced, f.Reply)
	return f
}

func judge(stage Stage, code int, enhanced string) (class Class, configuration bool) {
	permanent := code >= 500
	switch {
	case stage == StageConnect || stage == StageHello || stage == StageTLS || stage == StageAuth:
		return ServerDown, permanent
	case code == 530 || code == 534 || code == 535 || code == 538:
		// RFC 4954, section 6: authentication required, or another mechanism.
		return ServerDown, true
	case enhanced == "5.1.7" || enhanced == "5.1.8" || enhanced == "5.7.60":
		// The sender is rejected (RFC 3463, section 3.2; 5.7.60 is Exchange's
		// "not allowed to send as"), often only after RCPT or DATA.
		return ServerDown, true
	case enhanced == "5.4.5":
		// The account's sending quota is used up; the recipient is fine.
		return ServerDown, false
	case !permanent:
		return Temporary, false
	case stage == StageMail:
		return ServerDown, true
	default:
		return Permanent, false
	}
}

// lost classifies a connection that broke or could not be opened.
func lost(stage Stage, err error) *Failure {
	f := &Failure{Stage: stage, Err: err}
	switch stage {
	case StageEnd:
		f.Class = Unknown
	case StageRcpt, StageData:
		// This very message may be what makes the server fail. If it stopped
		// all sending, one poisonous mail could hold up all others forever.
		f.Class = Temporary
	default:
		f.Class, f.Configuration = ServerDown, isConfiguration(err)
	}
	return f
}

// isConfiguration reports errors that don't go away by waiting.
func isConfiguration(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsNotFound
	}
	if errors.Is(err, egress.ErrAddress) || errors.Is(err, errNoSTARTTLS) || errors.Is(err, errNoAuth) || errors.Is(err, errNoXOAUTH2) {
		return true
	}
	return isOneOf[*tls.CertificateVerificationError](err) || isOneOf[tls.RecordHeaderError](err) ||
		isOneOf[tls.AlertError](err) || isOneOf[x509.HostnameError](err) || isOneOf[x509.UnknownAuthorityError](err)
}

func isOneOf[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// canceled replaces a failure caused by the caller giving up. One after the
// final dot stays Unknown: the server may have accepted the message.
func canceled(ctx context.Context, f *Failure) *Failure {
	if f == nil || f.Code != 0 || f.Class == Unknown || ctx.Err() == nil {
		return f
	}
	return &Failure{Class: Canceled, Stage: f.Stage, Err: context.Cause(ctx)}
}

const maxReply = 300

// ReplyLine makes a mail server's words one line of at most 300 bytes of printable
// UTF-8, as in Failure.Reply.
func ReplyLine(text string) string { return singleLine(text, maxReply) }

// splitReply removes the enhanced status code from each line of a reply and
// joins the rest into one safe line.
func splitReply(code int, text string) (enhanced, reply string) {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		first, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if isEnhanced(code, first) {
			if enhanced == "" {
				enhanced = first
			}
			line = rest
		}
		lines = append(lines, line)
	}
	return enhanced, singleLine(strings.Join(lines, " "), maxReply)
}

// isEnhanced reports whether word is class.subject.detail (RFC 3463, section 2)
// of the class of code.
func isEnhanced(code int, word string) bool {
	parts := strings.Split(word, ".")
	if len(parts) != 3 || parts[0] != strconv.Itoa(code/100) {
		return false
	}
	for _, part := range parts {
		if len(part) == 0 || len(part) > 3 || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return true
}
