package mail

import (
	"regexp"
	"strconv"
	"strings"
)

// Words with which servers refuse a client or a sender instead of a recipient,
// and ask it to send less. They are matched in replies of any language that
// servers use in practice, which is English.
var (
	aboutUs  = regexp.MustCompile(`(?i)\b(sender|relay|relaying|client|rcpthosts)\b`)
	tooMany  = regexp.MustCompile(`(?i)\b(too (many|much|fast|quickly)|rate[ -]?limit|rate limited|throttl\w*|exceeded\b.*\b(rate|limit|quota)|(rate|limit|quota)\b.*\bexceeded|slow down|sending rate)\b`)
	inbox    = regexp.MustCompile(`(?i)\b(mailbox|recipient|user)\b`)
	aboutWho = []string{"5.1.", "5.2."} // RFC 3463: the recipient's address and mailbox
)

// systemic reports whether a permanent refusal may concern every mail and not
// its recipient: protocol (5.5), security and policy (5.7), the server itself
// (5.3), or words about the sender, the client or relaying. A server that means
// the recipient says so in the code: "550 5.1.1 User unknown in relay recipient
// table".
func systemic(enhanced, reply string) bool {
	for _, class := range aboutWho {
		if strings.HasPrefix(enhanced, class) {
			return false
		}
	}
	for _, class := range []string{"5.3.", "5.5.", "5.7."} {
		if strings.HasPrefix(enhanced, class) {
			return true
		}
	}
	return aboutUs.MatchString(reply)
}

// throttled reports whether a temporary refusal asks for fewer mails
// altogether. One that names a mailbox or a recipient is about that one:
// "452 4.2.2 Mailbox over quota, limit exceeded".
func throttled(enhanced, reply string) bool {
	if strings.HasPrefix(enhanced, "4.2.") || strings.HasPrefix(enhanced, "4.1.") {
		return false
	}
	return tooMany.MatchString(reply) && !inbox.MatchString(reply)
}

// IsRefusal reports whether the server refused the mail permanently, which
// concerns its recipient unless it refuses all others too.
func (f *Failure) IsRefusal() bool { return f.Class == Permanent && f.Code >= 500 }

// Key names the reply without its words, such as "550 5.7.1".
func (f *Failure) Key() string {
	return strings.TrimSpace(strconv.Itoa(f.Code) + " " + f.Enhanced)
}
