package auth

import (
	"crypto/hmac"
	"encoding/base32"
	"encoding/binary"
	"strings"

	"github.com/google/uuid"
)

// A bounce token is part of a local part, which has at most 64 bytes. Its MAC is
// therefore cut to 80 bits: a guessed one only makes a mail look returned.
const (
	bounceBody = 16 + 4
	bounceMAC  = 10
	// BounceTokenLength is the length of a bounce token, in ASCII letters and digits.
	BounceTokenLength = (bounceBody + bounceMAC) * 8 / 5
)

// bounceEncoding has one case only: mail servers may change the case of an address.
var bounceEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// BounceToken marks the mails of one invitation, so that one that comes back is
// recognized. It contains nothing of the person but the user's id.
func (s *Signer) BounceToken(userID uuid.UUID, generation int) string {
	body := make([]byte, 0, bounceBody+bounceMAC)
	body = append(body, userID[:]...)
	body = binary.BigEndian.AppendUint32(body, uint32(generation))
	return bounceEncoding.EncodeToString(append(body, s.mac(0, purposeBounce, body)[:bounceMAC]...))
}

// ParseBounceToken returns what BounceToken was given. ok is false for any token not
// made by it with the current secret or a previous one.
func (s *Signer) ParseBounceToken(token string) (userID uuid.UUID, generation int, ok bool) {
	if len(token) != BounceTokenLength {
		return uuid.Nil, 0, false
	}
	raw, err := bounceEncoding.DecodeString(strings.ToLower(token))
	if err != nil || len(raw) != bounceBody+bounceMAC { // the decoder skips line breaks
		return uuid.Nil, 0, false
	}
	body := raw[:bounceBody]
	for root := range s.roots {
		ok = hmac.Equal(raw[bounceBody:], s.mac(root, purposeBounce, body)[:bounceMAC]) || ok
	}
	if !ok {
		return uuid.Nil, 0, false
	}
	return uuid.UUID(body[:16]), int(int32(binary.BigEndian.Uint32(body[16:]))), true
}
