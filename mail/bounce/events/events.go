// Package events reads what mail providers report about the mails sent through them:
// Amazon SES through SNS, SendGrid and Postmark. It verifies their signatures, and
// returns bounces as package bounce does.
package events

import (
	"encoding/json"
	"errors"
	"fmt"

	"rollcall/mail"
	"rollcall/mail/bounce"
)

var (
	// ErrUnsigned: the request does not come from the provider, or from another account.
	ErrUnsigned = errors.New("not signed by the provider")
	// ErrMalformed: the request is not in the provider's format.
	ErrMalformed = errors.New("not an event of the provider")
)

// maxEvents bounds how many events of one request are read.
const maxEvents = 10_000

func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// report makes a report of the parts of an event.
func report(verdict bounce.Verdict, tokens []string, words ...string) bounce.Report {
	r := bounce.Report{Verdict: verdict, Tokens: tokens}
	for _, w := range words {
		if w != "" {
			r.Reason = mail.ReplyLine(w)
			break
		}
	}
	return r
}
