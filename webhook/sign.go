package webhook

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// secretPrefix and secretSize define the form of a symmetric secret and its
// length in bytes; the specification asks for 24 to 64.
const (
	secretPrefix = "whsec_"
	secretSize   = 32
)

// ErrSecret is returned for a text that is not a secret.
var ErrSecret = errors.New("webhook: not a secret")

// NewSecret makes a secret of 256 random bits: "whsec_" and base64.
func NewSecret() string {
	key := make([]byte, secretSize)
	rand.Read(key) // never fails: the program ends first (crypto/rand)
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// SecretContext binds the sealed secret of a webhook to its row.
func SecretContext(id uuid.UUID) string { return "webhooks.secret." + id.String() }

// Sign returns one signature: "v1," and the base64 of the HMAC-SHA256 over id,
// time in seconds and body, joined by dots. The error is ErrSecret.
func Sign(secret, id string, at time.Time, body []byte) (string, error) {
	// The library also accepts a secret without the prefix, and an empty one.
	if text, ok := strings.CutPrefix(secret, secretPrefix); !ok || strings.Trim(text, "=\r\n") == "" {
		return "", ErrSecret
	}
	key, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return "", ErrSecret
	}
	return key.Sign(id, at, body)
}

// signatures returns the signatures with every secret, separated by spaces:
// during a rotation the receiver knows one or the other.
func signatures(m Message, at time.Time) (string, error) {
	all := make([]string, len(m.Secrets))
	for i, secret := range m.Secrets {
		var err error
		if all[i], err = Sign(secret, m.ID, at, m.Body); err != nil {
			return "", err
		}
	}
	return strings.Join(all, " "), nil
}
