package bounce

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // decodes texts that are not UTF-8
	"github.com/emersion/go-message/textproto"
)

// Limits of what is read of a mail. More is ignored: what matters comes first.
const (
	MaxBytes  = 1 << 20 // of a mail
	maxPart   = 64 << 10
	maxParts  = 50
	maxDepth  = 6
	maxGroups = 20 // recipients of one delivery status
)

// Verdict is what a returned mail says about the mail that was sent.
type Verdict int

// The verdicts.
const (
	None      Verdict = iota // nothing, or that it arrived
	Delayed                  // it has not arrived yet, or a temporary failure was not overcome (4.x.x)
	Permanent                // it will never arrive (5.x.x)
)

// Report is what was found in a mail.
type Report struct {
	Tokens  []string // what may be tokens, the most reliable first; to be verified
	Verdict Verdict
	Reason  string // one line, such as "550 5.1.1 No such user"; "" with None
}

// ErrUnreadable is returned for what is no mail.
var ErrUnreadable = errors.New("not a mail")

// Parse reads at most MaxBytes of a mail. The error is ErrUnreadable, or one of r.
func Parse(r io.Reader) (Report, error) {
	limited := &source{r: io.LimitReader(r, MaxBytes)}
	entity, err := message.Read(bufio.NewReader(limited))
	if limited.err != nil {
		return Report{}, limited.err
	}
	if err != nil && (entity == nil || !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err)) {
		return Report{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	p := &parser{}
	p.recipients(&entity.Header.Header)
	p.walk(entity, 0)
	if limited.err != nil {
		return Report{}, limited.err
	}
	return p.report(&entity.Header.Header), nil
}

// source keeps the error of a reader, which parsers take for the end.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// parser collects what the parts of a mail say.
type parser struct {
	parts   int
	tokens  []string // of the mail's own recipients
	quoted  []string // of the mail that is returned in it
	status  []recipientStatus
	text    string // of the first part that people read
	foreign bool   // it reports something other than delivery
}

// recipients finds tokens in the headers that mail servers add on delivery.
func (p *parser) recipients(h *textproto.Header) {
	for _, name := range []string{"Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To"} {
		for field := h.FieldsByKey(name); field.Next(); {
			p.tokens = append(p.tokens, Tokens(field.Value())...)
		}
	}
}

// quote finds tokens in the headers of a returned mail.
func (p *parser) quote(h *textproto.Header) {
	p.quoted = append(p.quoted, h.Get(TokenHeader))
	for _, name := range []string{"Return-Path", "Sender", "X-Envelope-From"} {
		for field := h.FieldsByKey(name); field.Next(); {
			p.quoted = append(p.quoted, Tokens(field.Value())...)
		}
	}
}

// walk reads a part and those in it. Broken ones end it: what was found by then counts.
func (p *parser) walk(e *message.Entity, depth int) {
	if p.parts++; p.parts > maxParts || depth > maxDepth {
		return
	}
	kind, params, err := mime.ParseMediaType(e.Header.Get("Content-Type"))
	if err != nil && kind == "" {
		kind = "text/plain"
	}
	if kind == "multipart/report" && params["report-type"] != "" && !strings.EqualFold(params["report-type"], "delivery-status") {
		p.foreign = true // a read receipt, or a complaint
	}
	if parts := e.MultipartReader(); parts != nil {
		for {
			part, err := parts.NextPart()
			if part == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
				return
			}
			p.walk(part, depth+1)
		}
	}
	body := bufio.NewReader(io.LimitReader(e.Body, maxPart))
	switch kind {
	case "message/delivery-status", "message/global-delivery-status":
		p.readStatus(body)
	case "message/rfc822", "message/global", "text/rfc822-headers", "message/rfc822-headers", "message/global-headers":
		if h, err := textproto.ReadHeader(body); err == nil || h.Len() > 0 {
			p.quote(&h)
		}
	case "text/plain", "text/html":
		if p.text == "" {
			p.text = readable(body, kind == "text/html")
		}
	}
}

// recipientStatus are the fields about one recipient (RFC 3464, section 2.3).
type recipientStatus struct{ action, status, diagnostic string }

// readStatus reads the fields about the mail, and then those of each recipient.
func (p *parser) readStatus(body *bufio.Reader) {
	for range maxGroups {
		h, err := textproto.ReadHeader(body)
		for _, name := range []string{"Original-Recipient", "Final-Recipient", "Original-Envelope-Id", "X-Original-Sender"} {
			for field := h.FieldsByKey(name); field.Next(); {
				p.quoted = append(p.quoted, Tokens(field.Value())...)
			}
		}
		if h.Has("Action") || h.Has("Status") {
			p.status = append(p.status, recipientStatus{
				action: strings.ToLower(firstWord(h.Get("Action"))), status: firstWord(h.Get("Status")), diagnostic: h.Get("Diagnostic-Code"),
			})
		}
		if err != nil {
			return
		}
	}
}

func firstWord(s string) string {
	if words := strings.Fields(s); len(words) > 0 {
		return words[0]
	}
	return ""
}

// report decides what all parts together say.
func (p *parser) report(h *textproto.Header) Report {
	r := Report{}
	for _, token := range append(p.tokens, p.quoted...) {
		if token != "" && len(r.Tokens) < maxTokens {
			r.Tokens = append(r.Tokens, token)
		}
	}
	if p.foreign {
		return r
	}
	for _, s := range p.status {
		if verdict, reason := s.judge(); verdict > r.Verdict {
			r.Verdict, r.Reason = verdict, reason
		}
	}
	if len(p.status) == 0 && returned(h) {
		r.Verdict, r.Reason = judgeText(p.text)
	}
	return r
}
