package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
)

// An API token has the form
//
//	rc_ <43 characters: the secret> <6 characters: CRC-32 of all before>
//
// in base62, so that a double click selects all of it, a secret scanner can
// recognize it by the prefix and the checksum without asking the server, and a
// mistyped or truncated token can be told from a revoked one without a query.
const (
	tokenPrefix       = "rc_"
	tokenSecretLength = 43 // 62^43 > 2^256
	tokenCheckLength  = 6  // 62^6 > 2^32
	tokenLength       = len(tokenPrefix) + tokenSecretLength + tokenCheckLength

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// ErrMalformedToken is returned for text that cannot be an API token.
var ErrMalformedToken = errors.New("auth: not an API token")

// NewToken makes an API token of 256 random bits. The secret is shown once to
// its owner; only its hash is stored.
func NewToken() (secret string, hash [32]byte) {
	body := tokenPrefix + randomBase62(tokenSecretLength)
	secret = body + tokenCheck(body)
	return secret, HashToken(secret)
}

// HashToken returns the SHA-256 of a token, the form it is stored and looked up
// in. A fast hash is enough, because a token has 256 random bits. It takes any
// text, so that a token set by the operator can be compared the same way; see
// SameHash.
func HashToken(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

// SameHash compares two hashes in constant time.
func SameHash(a, b [32]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// ParseToken checks the format and the checksum of an API token, which needs no
// query, and returns its hash, or ErrMalformedToken. It does not check whether
// the token was ever issued.
func ParseToken(secret string) (hash [32]byte, err error) {
	if len(secret) != tokenLength || !strings.HasPrefix(secret, tokenPrefix) {
		return hash, ErrMalformedToken
	}
	body, check := secret[:tokenLength-tokenCheckLength], secret[tokenLength-tokenCheckLength:]
	for _, c := range []byte(body[len(tokenPrefix):]) {
		if strings.IndexByte(base62, c) < 0 {
			return hash, ErrMalformedToken
		}
	}
	if check != tokenCheck(body) {
		return hash, ErrMalformedToken
	}
	return HashToken(secret), nil
}

// tokenCheck is the CRC-32 (IEEE) of the body in base62, most significant
// digit first.
func tokenCheck(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	var check [tokenCheckLength]byte
	for i := len(check) - 1; i >= 0; i-- {
		check[i] = base62[sum%62]
		sum /= 62
	}
	return string(check[:])
}

// randomBase62 draws n digits, all equally likely: bytes that would favor the
// first digits are dropped.
func randomBase62(n int) string {
	const fair = 256 - 256%len(base62)
	digits := make([]byte, 0, n)
	var random [64]byte
	for {
		rand.Read(random[:]) // never fails: the program ends first (crypto/rand)
		for _, b := range random {
			if int(b) >= fair {
				continue
			}
			if digits = append(digits, base62[int(b)%len(base62)]); len(digits) == n {
				return string(digits)
			}
		}
	}
}

// Scope is one permission of an API token.
type Scope string

// The scopes. Allows says which one includes another.
const (
	ScopeImports     Scope = "imports"      // start imports and read one's own
	ScopeImportsRead Scope = "imports:read" // read imports
	ScopeAdmin       Scope = "admin"        // everything
)

// Scopes returns all scopes, narrowest first.
func Scopes() []Scope { return []Scope{ScopeImportsRead, ScopeImports, ScopeAdmin} }

// ErrUnknownScope is returned by ParseScopes.
var ErrUnknownScope = errors.New("auth: unknown scope")

// ParseScopes reads scopes separated by commas or white space and returns them
// sorted, each once. An unknown name returns ErrUnknownScope; an empty text
// returns an empty list, which allows nothing.
func ParseScopes(text string) ([]Scope, error) {
	var scopes []Scope
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		scope := Scope(name)
		if !slices.Contains(Scopes(), scope) {
			return nil, fmt.Errorf("%w %q: known are %v", ErrUnknownScope, name, Scopes())
		}
		scopes = append(scopes, scope)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes), nil
}

// Allows reports whether the granted scopes include the needed one: admin
// includes all, imports includes reading (only the caller's own imports, which
// the caller of Allows has to check). An empty grant allows nothing.
func Allows(granted []Scope, need Scope) bool {
	return slices.ContainsFunc(granted, func(have Scope) bool {
		return have == ScopeAdmin || have == need || have == ScopeImports && need == ScopeImportsRead
	})
}
