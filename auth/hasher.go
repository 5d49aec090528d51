package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// ErrBusy is returned when more passwords are waiting to be hashed than the
// queue holds. The caller should answer 503 with Retry-After.
var ErrBusy = errors.New("auth: too many passwords are being hashed")

const (
	// Cost of a new hash: argon2id with 19 MiB, two passes, one lane, the first
	// recommendation of the OWASP Password Storage Cheat Sheet. RFC 9106 §4
	// asks for 64 MiB and three passes in four lanes, which lets a handful of
	// sign-ins at once starve a machine of two cores and little memory.
	hashMemoryKiB = 19 * 1024
	hashPasses    = 2
	hashLanes     = 1

	saltSize = 16 // RFC 9106 §3.1
	keySize  = 32
)

// HasherConfig bounds the work of a Hasher.
type HasherConfig struct {
	// Concurrency is how many passwords are hashed at the same time, 19 MiB
	// each. 0: one for each CPU, at most 8.
	Concurrency int

	// Queue is how many more may wait for their turn before ErrBusy.
	// 0: 64. -1: none.
	Queue int

	// MemoryKiB is what a new hash takes. 0: 19 MiB; tests that are about
	// something else take less.
	MemoryKiB uint32
}

// Hasher hashes and verifies passwords with argon2id (RFC 9106), a bounded
// number at a time, so that a rush of sign-ins costs neither all memory nor
// all CPUs. It is safe for concurrent use.
type Hasher struct {
	running chan struct{} // holds a token for each hash under way
	waiting atomic.Int64
	queue   int64
	memory  uint32 // KiB
	nobody  phc    // what VerifyNobody compares with
}

// NewHasher makes a Hasher. The zero config is a good one.
func NewHasher(cfg HasherConfig) *Hasher {
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = min(runtime.GOMAXPROCS(0), 8)
	}
	switch {
	case cfg.Queue == 0:
		cfg.Queue = 64
	case cfg.Queue < 0:
		cfg.Queue = 0
	}
	if cfg.MemoryKiB == 0 {
		cfg.MemoryKiB = hashMemoryKiB
	}
	nobody := newPHC(cfg.MemoryKiB)
	nobody.key = make([]byte, keySize)
	rand.Read(nobody.key)
	return &Hasher{
		running: make(chan struct{}, cfg.Concurrency),
		queue:   int64(cfg.Queue),
		memory:  cfg.MemoryKiB,
		nobody:  nobody,
	}
}

// Hash returns the password's hash under a fresh salt as a PHC string:
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>
//
// The password is normalised first (see CheckPassword, which the caller asks
// before). Errors: ErrBusy, the context's, and ErrPasswordText for text
// CheckPassword refuses as too long or not text.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	text, code := normalize(password)
	if code != "" {
		return "", fmt.Errorf("hash password: %w", ErrPasswordText)
	}
	hash := newPHC(h.memory)
	key, err := h.derive(ctx, hash, text)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	hash.key = key
	return hash.String(), nil
}

// Verify tells whether the password is the one that was hashed. Errors:
// ErrBusy, the context's, and ErrMalformedHash when encoded is not a hash this
// package may have made.
func (h *Hasher) Verify(ctx context.Context, encoded, password string) (bool, error) {
	hash, err := parsePHC(encoded)
	if err != nil {
		return false, fmt.Errorf("verify password: %w", err)
	}
	return h.verify(ctx, hash, password)
}

// VerifyNobody does the work of Verify for an account that does not exist or
// has no password, so that the time of the answer does not tell. Errors:
// ErrBusy and the context's.
func (h *Hasher) VerifyNobody(ctx context.Context, password string) error {
	_, err := h.verify(ctx, h.nobody, password)
	return err
}

func (h *Hasher) verify(ctx context.Context, hash phc, password string) (bool, error) {
	// Text that cannot be a password costs the work of one all the same.
	text, code := normalize(password)
	key, err := h.derive(ctx, hash, text)
	if err != nil {
		return false, fmt.Errorf("verify password: %w", err)
	}
	return subtle.ConstantTimeCompare(key, hash.key) == 1 && code == "", nil
}

// NeedsRehash tells whether a hash was made at another cost than today's, so
// that it should be replaced while the password is at hand: right after a
// successful sign-in. It is true for text that is no hash.
func (h *Hasher) NeedsRehash(encoded string) bool {
	hash, err := parsePHC(encoded)
	return err != nil || hash.cost() != newPHC(h.memory).cost() || len(hash.salt) != saltSize || len(hash.key) != keySize
}

// derive waits for its turn and computes the key.
func (h *Hasher) derive(ctx context.Context, hash phc, text []byte) ([]byte, error) {
	if err := h.acquire(ctx); err != nil {
		return nil, err
	}
	defer func() { <-h.running }()
	size := uint32(keySize)
	if hash.key != nil { // verifying: as long as the stored one
		size = uint32(len(hash.key))
	}
	return argon2.IDKey(text, hash.salt, hash.passes, hash.memoryKiB, hash.lanes, size), nil
}

func (h *Hasher) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case h.running <- struct{}{}:
		return nil
	default:
	}
	if h.waiting.Add(1) > h.queue {
		h.waiting.Add(-1)
		return ErrBusy
	}
	defer h.waiting.Add(-1)
	select {
	case h.running <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
