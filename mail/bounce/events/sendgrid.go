package events

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"rollcall/mail/bounce"
)

// Headers of SendGrid's signed event webhook.
const (
	SendGridSignatureHeader = "X-Twilio-Email-Event-Webhook-Signature"
	SendGridTimestampHeader = "X-Twilio-Email-Event-Webhook-Timestamp"
)

// ParseSendGridKey parses the verification key as SendGrid shows it.
func ParseSendGridKey(text string) (*ecdsa.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("not base64: %w", err)
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("not a public key: %w", err)
	}
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T", key)
	}
	return ec, nil
}

// sendGridEvent is one event of SendGrid. The token is a member of it.
type sendGridEvent struct {
	Event  string `json:"event"`
	Status string `json:"status"` // enhanced status code
	Reason string `json:"reason"`
	// Response is the mail server's words in a deferral.
	Response string `json:"response"`
	Token    string `json:"rollcall_token"` // bounce.MetadataKey
}

// ReadSendGrid reads events of SendGrid. The signature is over the timestamp and the
// body.
func ReadSendGrid(key *ecdsa.PublicKey, signature, timestamp string, body []byte) ([]bounce.Report, error) {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return nil, ErrUnsigned
	}
	sum := sha256.New()
	sum.Write([]byte(timestamp))
	sum.Write(body)
	if !ecdsa.VerifyASN1(key, sum.Sum(nil), raw) {
		return nil, ErrUnsigned
	}
	var all []json.RawMessage
	if err := decode(body, &all); err != nil {
		return nil, err
	}
	var reports []bounce.Report
	for _, one := range all[:min(len(all), maxEvents)] {
		var e sendGridEvent
		if json.Unmarshal(one, &e) != nil || e.Token == "" {
			continue // of a mail of something else, which may call anything by our names
		}
		if verdict := e.judge(); verdict != bounce.None {
			reports = append(reports, report(verdict, []string{e.Token}, e.words()))
		}
	}
	return reports, nil
}

func (e sendGridEvent) judge() bounce.Verdict {
	switch {
	case e.Event == "deferred", e.Event == "bounce" && strings.HasPrefix(e.Status, "4"):
		return bounce.Delayed
	case e.Event == "bounce", e.Event == "dropped": // dropped: to an address that bounced before
		return bounce.Permanent
	}
	return bounce.None
}

func (e sendGridEvent) words() string {
	words := e.Reason
	if words == "" {
		words = e.Response
	}
	if e.Status != "" && !strings.Contains(words, e.Status) {
		words = e.Status + " " + words
	}
	if words == "" {
		words = e.Event
	}
	return words
}
