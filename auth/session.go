package auth

import (
	"crypto/rand"
	"crypto/sha256"
)

const sessionSize = 32

// NewSession makes a session token of 256 random bits, as 43 characters of
// base64url. The secret goes into the cookie; only its hash is stored.
func NewSession() (secret string, hash [32]byte) {
	var random [sessionSize]byte
	rand.Read(random[:]) // never fails: the program ends first (crypto/rand)
	secret = linkEncoding.EncodeToString(random[:])
	return secret, sha256.Sum256([]byte(secret))
}

// ParseSession checks the format of a session token, which needs no query, and
// returns the hash to look it up by. ok is false for text NewSession cannot
// have made.
func ParseSession(secret string) (hash [32]byte, ok bool) {
	raw, err := linkEncoding.DecodeString(secret)
	if err != nil || len(raw) != sessionSize || len(secret) != linkEncoding.EncodedLen(sessionSize) {
		return hash, false
	}
	return sha256.Sum256([]byte(secret)), true
}
