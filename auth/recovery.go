package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// RecoveryCodes is how many recovery codes a user gets at once.
const RecoveryCodes = 10

const (
	recoverySize  = 15 // bytes: exactly 24 characters
	recoveryGroup = 4  // characters
)

// recoveryEncoding has neither 0 nor 1, so a typed 0 or 1 can be read as o or
// l.
var recoveryEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewRecoveryCodes makes codes that each replace a lost authenticator app once.
// The codes are shown to their owner; only their hashes are stored. A code has
// 120 random bits, so a fast hash is enough (NIST SP 800-63B-4 §3.1.2.2 asks
// for a salted, slow one below 112).
func NewRecoveryCodes() (codes []string, hashes [][32]byte) {
	for range RecoveryCodes {
		var random [recoverySize]byte
		rand.Read(random[:]) // never fails: the program ends first (crypto/rand)
		text := recoveryEncoding.EncodeToString(random[:])
		var groups []string
		for i := 0; i < len(text); i += recoveryGroup {
			groups = append(groups, text[i:i+recoveryGroup])
		}
		codes, hashes = append(codes, strings.Join(groups, "-")), append(hashes, sha256.Sum256([]byte(text)))
	}
	return codes, hashes
}

// ParseRecoveryCode checks the format of a recovery code, in any way of typing
// it, and returns the hash to look it up by. ok is false for text that
// NewRecoveryCodes cannot have made.
func ParseRecoveryCode(typed string) (hash [32]byte, ok bool) {
	if len(typed) > 200 {
		return hash, false
	}
	text := strings.NewReplacer("-", "", "0", "o", "1", "l").Replace(strings.ToLower(strings.Join(strings.Fields(typed), "")))
	raw, err := recoveryEncoding.DecodeString(text)
	if err != nil || len(raw) != recoverySize || len(text) != recoveryEncoding.EncodedLen(recoverySize) {
		return hash, false
	}
	return sha256.Sum256([]byte(text)), true
}
