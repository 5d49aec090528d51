package bounce

import (
	"bufio"
	"html"
	"io"
	"regexp"
	"strings"

	"github.com/emersion/go-message/textproto"

	"rollcall/mail"
)

var (
	// enhancedCode is a status code (RFC 3463) that is no part of an IP address.
	enhancedCode = regexp.MustCompile(`(?:^|[^\d.])([245])\.\d{1,3}\.\d{1,3}(?:[^\d.]|\.?$|\.\s)`)
	// replyCode is an SMTP reply code where servers write it.
	replyCode = regexp.MustCompile(`(?:^|[#:;(]\s*|said:?\s+|\serror:?\s+)([45])\d\d(?:[ -]|$)`)
)

// judge decides what the status of a recipient means.
func (s recipientStatus) judge() (Verdict, string) {
	_, words, typed := strings.Cut(s.diagnostic, ";")
	if !typed {
		words = s.diagnostic
	}
	reason := mail.ReplyLine(words)
	if s.status != "" && !strings.Contains(reason, s.status) {
		reason = mail.ReplyLine(s.status + " " + words)
	}
	class := s.status
	if class == "" {
		class = strings.TrimSpace(words)
	}
	switch s.action {
	case "delivered", "relayed", "expanded":
		return None, ""
	case "delayed":
		return Delayed, reason
	}
	switch {
	case strings.HasPrefix(class, "4"):
		return Delayed, reason
	case strings.HasPrefix(class, "5"), s.action == "failed":
		return Permanent, reason
	}
	return None, ""
}

// returned reports whether a mail without a delivery status was written by a mail
// server, and not by a person or an absence notice.
func returned(h *textproto.Header) bool {
	if h.Has("X-Failed-Recipients") { // Exim
		return true
	}
	from, subject := strings.ToLower(h.Get("From")), strings.ToLower(strings.TrimSpace(h.Get("Subject")))
	for _, name := range []string{"mailer-daemon", "postmaster@", "mail delivery", "microsoftexchange", "system administrator"} {
		if strings.Contains(from, name) {
			return true
		}
	}
	for _, start := range []string{
		"undeliver", "undelivered mail", "delivery status notification", "mail delivery", "failure notice", "returned mail", "delivery failure", "delivery has failed", "unzustellbar", "non remis",
	} {
		if strings.HasPrefix(subject, start) {
			return true
		}
	}
	return false
}

// originals begin the copy of the mail that is returned, whose words say nothing.
var originals = []string{
	"--- Below this line is a copy of the message",                                  // qmail (QSBMF)
	"------ This is a copy of the message", "------ This is a copy of your message", // Exim
	"Original message headers:", "----- Original message -----", "---- Original message ----", "   ----- Message header follows -----", "--- Unsent message follows",
}

// What servers write that name no code.
var (
	delayWords = []string{
		"still undelivered", "not yet been delivered", "will continue to try", "will be retried", "keep trying", "delivery is delayed", "has been delayed", "you do not need to resend",
	}
	permanentWords = []string{
		"permanent error", "permanent fatal error", "permanently", "user unknown", "unknown user", "no such user", "does not exist", "doesn't exist", "no mailbox here",
		"address not found", "wasn't found", "couldn't be found", "couldn't be delivered", "could not be delivered", "did not reach",
	}
)

// judgeText decides what the text of a mail server means: by the code in it, else by its
// words. The line that has them is the reason.
func judgeText(text string) (Verdict, string) {
	for _, mark := range originals {
		text, _, _ = strings.Cut(text, mark)
	}
	lower := strings.ToLower(text)
	for _, words := range delayWords {
		if strings.Contains(lower, words) {
			return Delayed, lineWith(text, words)
		}
	}
	for _, code := range []*regexp.Regexp{enhancedCode, replyCode} {
		for line := range strings.SplitSeq(text, "\n") {
			found := code.FindStringSubmatch(strings.TrimSpace(line))
			switch {
			case found == nil || found[1] == "2":
			case found[1] == "4":
				return Delayed, mail.ReplyLine(line)
			default:
				return Permanent, mail.ReplyLine(line)
			}
		}
	}
	for _, words := range permanentWords {
		if strings.Contains(lower, words) {
			return Permanent, lineWith(text, words)
		}
	}
	return None, ""
}

func lineWith(text, words string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if strings.Contains(strings.ToLower(line), words) {
			return mail.ReplyLine(line)
		}
	}
	return words // across two lines
}

var (
	tag       = regexp.MustCompile(`(?s)<[^>]*>`)
	unseen    = regexp.MustCompile(`(?is)<(style|script)\b.*?</(style|script)>`)
	lineBreak = regexp.MustCompile(`(?i)<(br|p|div|tr|li|h\d)\b`)
)

// readable reads the text of a part.
func readable(body *bufio.Reader, isHTML bool) string {
	raw, _ := io.ReadAll(body) // a broken end is no text
	text := strings.ToValidUTF8(string(raw), "\uFFFD")
	if isHTML {
		text = unseen.ReplaceAllString(text, " ")
		text = lineBreak.ReplaceAllString(text, "\n$0")
		text = html.UnescapeString(tag.ReplaceAllString(text, " "))
	}
	return text
}
