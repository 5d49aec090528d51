package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Signer makes and checks values that only a holder of the server secret can
// make: the links in mail. It signs with the current secret and accepts the
// previous ones too. It is safe for concurrent use.
type Signer struct {
	roots []rootKey // current first, never empty
	keys  sync.Map  // of keyName: []byte, those derived so far
}

type keyName struct {
	root    int
	purpose Purpose
}

// NewSigner makes a Signer from the current secret and the earlier ones that
// are still accepted. Secrets shorter than MinSecretLength return
// ErrWeakSecret.
func NewSigner(current string, previous ...string) (*Signer, error) {
	roots, err := rootKeys(current, previous)
	if err != nil {
		return nil, err
	}
	return &Signer{roots: roots}, nil
}

// Purpose separates the uses of signed tokens: a token signed for one purpose
// is rejected for every other. It is a constant in the code, never input.
type Purpose string

const (
	purposeInvitation Purpose = "invitation"
	purposeReset      Purpose = "reset"
	purposePseudonym  Purpose = "pseudonym"
	purposeBounce     Purpose = "bounce"
)

// linkEncoding is strict, so that each token has exactly one spelling.
var linkEncoding = base64.RawURLEncoding.Strict()

// Sign returns base64url(body ‖ MAC), where MAC is the full HMAC-SHA-256 (RFC
// 2104) of the body under the purpose's own key. It is deterministic. The body
// is authenticated, not encrypted.
func (s *Signer) Sign(purpose Purpose, body []byte) string {
	return linkEncoding.EncodeToString(append(body[:len(body):len(body)], s.mac(0, purpose, body)...))
}

// Verify returns the body of a token made by Sign for the same purpose with the
// current secret or a previous one. ok is false for anything else. The time
// taken does not reveal which secret signed it.
func (s *Signer) Verify(purpose Purpose, token string) (body []byte, ok bool) {
	raw, err := linkEncoding.DecodeString(token)
	// The decoder skips line breaks; the length check rules them out.
	if err != nil || len(raw) < sha256.Size || len(token) != linkEncoding.EncodedLen(len(raw)) {
		return nil, false
	}
	body, given := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	for root := range s.roots {
		ok = hmac.Equal(given, s.mac(root, purpose, body)) || ok
	}
	if !ok {
		return nil, false
	}
	return body, true
}

// Pseudonym replaces a text, such as the address of an erased user, with 128
// bits of a keyed hash, in hex. The same text has the same pseudonym as long as
// the secret is the same; without the secret the text cannot be found by
// trying.
func (s *Signer) Pseudonym(text string) string {
	return hex.EncodeToString(s.mac(0, purposePseudonym, []byte(text))[:16])
}

func (s *Signer) mac(root int, purpose Purpose, body []byte) []byte {
	h := hmac.New(sha256.New, s.key(root, purpose))
	h.Write([]byte(purpose))
	h.Write([]byte{0}) // ends the label, so that label and body cannot run together
	h.Write(body)
	return h.Sum(nil)
}

// key returns the key for one purpose, which is derived once.
func (s *Signer) key(root int, purpose Purpose) []byte {
	name := keyName{root, purpose}
	if key, ok := s.keys.Load(name); ok {
		return key.([]byte)
	}
	key, _ := s.keys.LoadOrStore(name, s.roots[root].derive("link "+string(purpose)))
	return key.([]byte)
}

// InvitationToken is the secret part of a set-password link. It depends only on
// the user, the generation and the server secret: every retry of the same mail
// carries the same link, and only the generation needs to be stored. Raising
// the user's generation invalidates all earlier links.
func (s *Signer) InvitationToken(userID uuid.UUID, generation int) string {
	body := make([]byte, 0, 24)
	body = append(body, userID[:]...)
	body = binary.BigEndian.AppendUint64(body, uint64(generation))
	return s.Sign(purposeInvitation, body)
}

// ParseInvitationToken returns what InvitationToken was given. ok is false for
// any token not made by it. It says nothing about expiry or use: the caller
// compares the generation with the user's current one.
func (s *Signer) ParseInvitationToken(token string) (userID uuid.UUID, generation int, ok bool) {
	body, ok := s.Verify(purposeInvitation, token)
	if !ok || len(body) != 24 {
		return uuid.Nil, 0, false
	}
	return uuid.UUID(body[:16]), int(binary.BigEndian.Uint64(body[16:])), true
}

// ResetToken is the secret part of a password-reset link. counter is the user's
// count of password changes: once the password changes, earlier links no longer
// match. expires is rounded down to the second.
func (s *Signer) ResetToken(userID uuid.UUID, counter int, expires time.Time) string {
	body := make([]byte, 0, 32)
	body = append(body, userID[:]...)
	body = binary.BigEndian.AppendUint64(body, uint64(counter))
	body = binary.BigEndian.AppendUint64(body, uint64(expires.Unix()))
	return s.Sign(purposeReset, body)
}

// ParseResetToken returns what ResetToken was given, the expiry in UTC. ok is
// false for any token not made by it. The caller decides, by the database's
// clock and the user's current counter, whether the link is still valid.
func (s *Signer) ParseResetToken(token string) (userID uuid.UUID, counter int, expires time.Time, ok bool) {
	body, ok := s.Verify(purposeReset, token)
	if !ok || len(body) != 32 {
		return uuid.Nil, 0, time.Time{}, false
	}
	return uuid.UUID(body[:16]),
		int(binary.BigEndian.Uint64(body[16:24])),
		time.Unix(int64(binary.BigEndian.Uint64(body[24:])), 0).UTC(),
		true
}
