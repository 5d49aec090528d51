package auth

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
)

// ErrMalformedHash is returned for a stored password hash that is not argon2id
// in PHC format, or whose cost exceeds the limits below.
var ErrMalformedHash = errors.New("auth: malformed password hash")

// Limits on the cost of a stored hash: an attacker who can write one row must
// not be able to exhaust memory with the next sign-in.
const (
	maxMemoryKiB = 256 * 1024
	maxPasses    = 16
	maxLanes     = 16
	maxSaltSize  = 64
	maxKeySize   = 64
)

// phc is a password hash in the PHC string format
// (https://github.com/P-H-C/phc-string-format).
type phc struct {
	argon2id.Params
	salt, key []byte
}

// String returns $argon2id$v=19$m=…,t=…,p=…$salt$key.
func (h phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.Memory, h.Iterations, h.Parallelism,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.key))
}

// parsePHC parses a hash within the limits. The error is ErrMalformedHash.
func parsePHC(encoded string) (phc, error) {
	params, salt, key, err := argon2id.DecodeHash(encoded)
	if err != nil {
		return phc{}, ErrMalformedHash
	}
	hash := phc{*params, salt, key}
	switch {
	case hash.Memory > maxMemoryKiB, hash.Iterations > maxPasses, hash.Parallelism > maxLanes,
		len(salt) > maxSaltSize, len(key) > maxKeySize, // beyond the limits
		hash.Iterations < 1, hash.Parallelism < 1, hash.Memory < 8*uint32(hash.Parallelism), // RFC 9106 §3.1
		len(salt) < 8, len(key) < 16,
		hash.String() != encoded: // one spelling only: no "+1", no leading zeros, no line breaks
		return phc{}, ErrMalformedHash
	}
	return hash, nil
}
