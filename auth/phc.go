package auth

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ErrMalformedHash is returned for a stored password hash that is not argon2id
// in PHC format, or whose cost is beyond what this program would ever pay.
var ErrMalformedHash = errors.New("auth: malformed password hash")

// Caps on what a stored hash may ask for: whoever can write one row must not
// be able to take all memory with the next sign-in.
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
	memoryKiB uint32
	passes    uint32
	lanes     uint8
	salt      []byte
	key       []byte
}

var phcEncoding = base64.RawStdEncoding.Strict()

// newPHC returns today's cost, but for the memory, with a fresh salt and no key.
func newPHC(memoryKiB uint32) phc {
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails: the program ends first (crypto/rand)
	return phc{memoryKiB: memoryKiB, passes: hashPasses, lanes: hashLanes, salt: salt}
}

func (h phc) cost() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", h.memoryKiB, h.passes, h.lanes)
}

// String returns $argon2id$v=19$m=…,t=…,p=…$salt$key.
func (h phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$%s$%s$%s", argon2.Version, h.cost(),
		phcEncoding.EncodeToString(h.salt), phcEncoding.EncodeToString(h.key))
}

func parsePHC(encoded string) (phc, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, ErrMalformedHash
	}
	hash, ok := parseCost(parts[3])
	if !ok {
		return phc{}, ErrMalformedHash
	}
	var saltErr, keyErr error
	hash.salt, saltErr = phcEncoding.DecodeString(parts[4])
	hash.key, keyErr = phcEncoding.DecodeString(parts[5])
	if saltErr != nil || keyErr != nil ||
		len(hash.salt) < 8 || len(hash.salt) > maxSaltSize ||
		len(hash.key) < 16 || len(hash.key) > maxKeySize ||
		hash.String() != encoded { // one spelling only: no "+1", no leading zeros, no line breaks
		return phc{}, ErrMalformedHash
	}
	return hash, nil
}

// parseCost reads "m=…,t=…,p=…" within the caps.
func parseCost(text string) (phc, bool) {
	fields := strings.Split(text, ",")
	if len(fields) != 3 {
		return phc{}, false
	}
	var cost [3]uint64
	for i, spec := range []struct {
		prefix string
		cap    uint64
	}{{"m=", maxMemoryKiB}, {"t=", maxPasses}, {"p=", maxLanes}} {
		digits, found := strings.CutPrefix(fields[i], spec.prefix)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !found || err != nil || n < 1 || n > spec.cap {
			return phc{}, false
		}
		cost[i] = n
	}
	if cost[0] < 8*cost[2] { // RFC 9106 §3.1
		return phc{}, false
	}
	return phc{memoryKiB: uint32(cost[0]), passes: uint32(cost[1]), lanes: uint8(cost[2])}, true
}
