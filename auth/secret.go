package auth

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// MinSecretLength is the minimum size of a server secret in bytes: that of the
// SHA-256 output every key is derived with (RFC 2104 §3 advises against shorter
// keys).
const MinSecretLength = 32

// ErrWeakSecret is returned for a server secret shorter than MinSecretLength.
var ErrWeakSecret = errors.New("auth: secret is shorter than 32 bytes")

const derivedKeySize = 32

// rootKey is the HKDF pseudorandom key of one server secret (RFC 5869 §2.2).
// Every other key is expanded from it under a label of its own, so that no two
// purposes ever share a key.
type rootKey []byte

// derive expands the key for one label (RFC 5869 §2.3).
func (k rootKey) derive(label string) []byte {
	key, err := hkdf.Expand(sha256.New, k, "rollcall "+label, derivedKeySize)
	if err != nil {
		// Expand fails only for outputs beyond 255 hashes; ours is one.
		panic("auth: deriving a key: " + err.Error())
	}
	return key
}

// rootKeys converts the current secret and the earlier ones, newest first, to
// root keys in the same order.
func rootKeys(current string, previous []string) ([]rootKey, error) {
	keys := make([]rootKey, 0, 1+len(previous))
	for i, secret := range append([]string{current}, previous...) {
		if len(secret) < MinSecretLength {
			return nil, fmt.Errorf("secret %d of %d: %w", i+1, 1+len(previous), ErrWeakSecret)
		}
		key, err := hkdf.Extract(sha256.New, []byte(secret), nil)
		if err != nil {
			return nil, fmt.Errorf("extract root key: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
