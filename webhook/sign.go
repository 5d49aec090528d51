package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// secretPrefix and secretSize are how a symmetric secret is written and how
// long it is, in bytes; the specification asks for 24 to 64.
const (
	secretPrefix = "whsec_"
	secretSize   = 32
)

// ErrSecret: the text is not a secret.
var ErrSecret = errors.New("webhook: not a secret")

// NewSecret makes a secret of 256 random bits: "whsec_" and base64.
func NewSecret() string {
	key := make([]byte, secretSize)
	rand.Read(key) // never fails: the program ends first (crypto/rand)
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// SecretContext binds the sealed secret of a webhook to its row.
func SecretContext(id uuid.UUID) string { return "webhooks.secret." + id.String() }

// Sign returns one signature, "v1," and base64 of the HMAC-SHA256 over id, time
// in seconds and body with dots between them.
func Sign(secret, id string, at time.Time, body []byte) (string, error) {
	text, ok := strings.CutPrefix(secret, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) == 0 {
		return "", ErrSecret
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp(at))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

func timestamp(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// signatures are those under every secret, with spaces between them: during a
// rotation the receiver knows one or the other.
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
