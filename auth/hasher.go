package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
)

// ErrBusy is returned when more passwords are waiting to be hashed than the
// queue holds. The caller should answer 503 with Retry-After.
var ErrBusy = errors.New("auth: too many passwords are being hashed")

const (
	// Cost of a new hash: argon2id with 19 MiB, two passes, one lane, the first
	// recommendation of the OWASP Password Storage Cheat Sheet. With the 64
	// MiB, three passes and four lanes of RFC 9106 §4, a handful of
	// simultaneous sign-ins would starve a machine with two cores and little
	// memory.
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

	// Queue is how many more may wait before ErrBusy. 0: 64. -1: none. A
	// quarter of these places is reserved for [Hasher.Reserved].
	Queue int

	// MemoryKiB is the memory of a new hash. 0: 19 MiB; tests of other things
	// use less.
	MemoryKiB uint32
}

// Hasher hashes and verifies passwords with argon2id (RFC 9106), a bounded
// number at a time, so that a rush of sign-ins cannot exhaust memory or CPU. It
// is safe for concurrent use.
type Hasher struct {
	running chan struct{} // holds a token for each hash being computed
	waiting *atomic.Int64
	queue   int64           // how many may wait before this hasher returns ErrBusy
	most    int64           // how many may wait in total
	params  argon2id.Params // of a new hash
	nobody  phc             // what VerifyDummy compares with
}

// NewHasher makes a Hasher. The zero config has good defaults.
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
	cfg.MemoryKiB = cmp.Or(cfg.MemoryKiB, hashMemoryKiB)
	params := argon2id.Params{Memory: cfg.MemoryKiB, Iterations: hashPasses, Parallelism: hashLanes, SaltLength: saltSize, KeyLength: keySize}
	nobody := phc{params, make([]byte, saltSize), make([]byte, keySize)}
	rand.Read(nobody.salt) // never fails: the program ends first (crypto/rand)
	rand.Read(nobody.key)
	return &Hasher{
		running: make(chan struct{}, cfg.Concurrency),
		waiting: new(atomic.Int64),
		queue:   int64(cfg.Queue - cfg.Queue/4),
		most:    int64(cfg.Queue),
		params:  params,
		nobody:  nobody,
	}
}

// Reserved returns the hasher for users who are known from an earlier sign-in
// or session. It shares its limits with h but may also wait in the places that
// h leaves free, so that a rush of unknown clients does not lock known users
// out.
func (h *Hasher) Reserved() *Hasher {
	reserved := *h
	reserved.queue = h.most
	return &reserved
}

// Hash returns the password's hash with a new salt as a PHC string:
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>
//
// The password is normalized first (see CheckPassword, which the caller runs
// before). Errors: ErrBusy, the context's, and ErrPasswordText for text that
// CheckPassword rejects as too long or invalid.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	text, code := normalize(password)
	if code != "" {
		return "", fmt.Errorf("hash password: %w", ErrPasswordText)
	}
	if err := h.acquire(ctx); err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	defer h.release()
	hash, err := argon2id.CreateHash(string(text), &h.params)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// Verify reports whether the password matches the hash. Errors: ErrBusy, the
// context's, and ErrMalformedHash when encoded is not a hash this package may
// have made.
func (h *Hasher) Verify(ctx context.Context, encoded, password string) (bool, error) {
	hash, err := parsePHC(encoded)
	if err != nil {
		return false, fmt.Errorf("verify password: %w", err)
	}
	return h.verify(ctx, hash, password)
}

// VerifyDummy does the work of Verify for an account that does not exist or has
// no password, so that the response time does not reveal it. Errors: ErrBusy
// and the context's.
func (h *Hasher) VerifyDummy(ctx context.Context, password string) error {
	_, err := h.verify(ctx, h.nobody, password)
	return err
}

func (h *Hasher) verify(ctx context.Context, hash phc, password string) (bool, error) {
	// Even text that cannot be a password must cost the same work.
	text, code := normalize(password)
	if err := h.acquire(ctx); err != nil {
		return false, fmt.Errorf("verify password: %w", err)
	}
	defer h.release()
	key := argon2.IDKey(text, hash.salt, hash.Iterations, hash.Memory, hash.Parallelism, hash.KeyLength)
	return subtle.ConstantTimeCompare(key, hash.key) == 1 && code == "", nil
}

// NeedsRehash reports whether a hash uses other cost parameters than today's,
// so that it should be replaced while the password is available: right after a
// successful sign-in. It is true for text that is not a hash.
func (h *Hasher) NeedsRehash(encoded string) bool {
	hash, err := parsePHC(encoded)
	return err != nil || hash.Params != h.params
}

// acquire waits for a slot to compute in; release frees it.
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

func (h *Hasher) release() { <-h.running }
