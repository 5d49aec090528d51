package bounce

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/mail"
)

const (
	// TokenHeader carries the token, for servers that return the headers of a mail and
	// rewrite its envelope sender.
	TokenHeader = "X-Rollcall-Token"
	// MetadataKey is what providers call the token in their events.
	MetadataKey = "rollcall_token"

	// maxLocalPart is the most bytes of a local part (RFC 5321, section 4.5.3.1.1).
	maxLocalPart = 64
	// MaxAddressLocalPart is how long the local part of a bounce address may be, so that
	// a plus sign and a token fit behind it.
	MaxAddressLocalPart = maxLocalPart - 1 - auth.BounceTokenLength
)

// Tracking marks mails so that those that come back are recognized.
type Tracking struct {
	// Token makes the token of an invitation; see auth.Signer.BounceToken.
	Token func(userID uuid.UUID, generation int) string
	// Address gets what comes back, such as bounces@mail.example.com; the envelope
	// sender is made from it. "": the envelope sender stays as it is.
	Address string
	// SendGrid and Postmark add the header that makes these providers repeat the token
	// in their events.
	SendGrid, Postmark bool
}

// Mark marks the mail of an invitation. The From header stays as it is.
func (t *Tracking) Mark(m *mail.Message, userID uuid.UUID, generation int) {
	token := t.Token(userID, generation)
	if local, domain, ok := strings.Cut(t.Address, "@"); ok {
		m.Sender = local + "+" + token + "@" + domain
	}
	if m.Header == nil {
		m.Header = map[string]string{}
	}
	m.Header[TokenHeader] = token
	if t.SendGrid {
		m.Header["X-SMTPAPI"] = fmt.Sprintf(`{"unique_args": {%q: %q}}`, MetadataKey, token)
	}
	if t.Postmark {
		m.Header["X-PM-Metadata-"+MetadataKey] = token
	}
}

// inAddress matches the token in an envelope sender, wherever it is quoted.
var inAddress = regexp.MustCompile(fmt.Sprintf(`(?i)\+([a-z2-7]{%d})@`, auth.BounceTokenLength))

// Tokens finds what may be tokens in text that contains addresses.
func Tokens(text string) (tokens []string) {
	for _, found := range inAddress.FindAllStringSubmatch(text, maxTokens) {
		tokens = append(tokens, found[1])
	}
	return tokens
}

// maxTokens bounds how many tokens one mail is looked through for.
const maxTokens = 16
