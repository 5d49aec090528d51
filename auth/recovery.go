package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// RecoveryCodes is how many recovery codes a person gets at once.
const RecoveryCodes = 10

const (
	recoverySize  = 15 // bytes: 24 characters without a rest
	recoveryGroup = 4  // characters
)

// recoveryEncoding has neither 0 nor 1, so that they can be read as o and l.
var recoveryEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewRecoveryCodes makes the codes that stand in for a lost authenticator app,
// each once. The codes are shown to their owner; the hashes are what is stored.
// A code has 120 random bits, so that a fast hash is enough (NIST SP 800-63B-4
// §3.1.2.2 asks for a salted, slow one below 112).
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

// ParseRecoveryCode checks the format of a recovery code, however it was typed,
// and returns the hash to look it up by. ok is false for text that NewRecoveryCodes
// cannot have made.
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
