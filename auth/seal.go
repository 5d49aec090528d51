package auth

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

var (
	// ErrNotSealed is returned by Open for text that is not in Seal's format.
	ErrNotSealed = errors.New("auth: not a sealed value")

	// ErrUnknownSealKey is returned by Open for a value sealed under a secret
	// that is neither the current one nor among the previous ones.
	ErrUnknownSealKey = errors.New("auth: sealed under a secret that is no longer configured")

	// ErrSealBroken is returned by Open for a value that was altered, or that
	// was sealed for another context.
	ErrSealBroken = errors.New("auth: sealed value was altered or belongs elsewhere")
)

const (
	sealVersion = "v1"
	sealIDSize  = 6
)

// Sealer encrypts secrets at rest with XChaCha20-Poly1305, whose 192-bit nonces
// can be random (draft-irtf-cfrg-xchacha §3.1). It seals with the current
// secret and opens what any previous one sealed. It is safe for concurrent use.
type Sealer struct {
	keys []sealKey // current first, never empty
}

type sealKey struct {
	id   string
	aead cipher.AEAD
}

// NewSealer makes a Sealer from the current secret and the earlier ones that
// can still open values. Secrets shorter than MinSecretLength return
// ErrWeakSecret.
func NewSealer(current string, previous ...string) (*Sealer, error) {
	roots, err := rootKeys(current, previous)
	if err != nil {
		return nil, err
	}
	keys := make([]sealKey, len(roots))
	for i, root := range roots {
		aead, err := chacha20poly1305.NewX(root.derive("seal key"))
		if err != nil {
			return nil, fmt.Errorf("make cipher: %w", err)
		}
		id := base64.RawURLEncoding.EncodeToString(root.derive("seal key id")[:sealIDSize])
		keys[i] = sealKey{id: id, aead: aead}
	}
	return &Sealer{keys: keys}, nil
}

// Seal encrypts plain. context names the place where the value is stored, such
// as "settings/smtp_password". It is not stored, and Open needs the same one,
// so that a sealed value cannot be moved to another place. The result is the
// printable "v1.<key id>.<base64url of nonce and ciphertext>"; it reveals the
// length of plain. Sealing the same text twice gives two results.
func (s *Sealer) Seal(plain, context string) string {
	key := s.keys[0]
	nonce := make([]byte, key.aead.NonceSize(), key.aead.NonceSize()+len(plain)+key.aead.Overhead())
	rand.Read(nonce) // never fails: the program ends first (crypto/rand)
	header := sealVersion + "." + key.id + "."
	box := key.aead.Seal(nonce, nonce, []byte(plain), []byte(header+context))
	return header + linkEncoding.EncodeToString(box)
}

// Open returns what Seal was given, or ErrNotSealed, ErrUnknownSealKey or
// ErrSealBroken.
func (s *Sealer) Open(sealed, context string) (string, error) {
	id, text, ok := splitSealed(sealed)
	if !ok {
		return "", ErrNotSealed
	}
	for _, key := range s.keys {
		if key.id == id {
			return key.open(sealed, text, context)
		}
	}
	return "", ErrUnknownSealKey
}

func (k sealKey) open(sealed, text, context string) (string, error) {
	box, err := linkEncoding.DecodeString(text)
	if err != nil || len(box) < k.aead.NonceSize() || len(text) != linkEncoding.EncodedLen(len(box)) {
		return "", ErrNotSealed
	}
	header := strings.TrimSuffix(sealed, text)
	plain, err := k.aead.Open(nil, box[:k.aead.NonceSize()], box[k.aead.NonceSize():], []byte(header+context))
	if err != nil {
		return "", ErrSealBroken
	}
	return string(plain), nil
}

// NeedsReseal reports whether a value was sealed with a previous secret and
// should be sealed again before that secret is dropped. It is false for text
// that is not sealed.
func (s *Sealer) NeedsReseal(sealed string) bool {
	id, _, ok := splitSealed(sealed)
	return ok && id != s.keys[0].id
}

func splitSealed(sealed string) (id, text string, ok bool) {
	version, rest, _ := strings.Cut(sealed, ".")
	id, text, ok = strings.Cut(rest, ".")
	return id, text, ok && version == sealVersion
}
