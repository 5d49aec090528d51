package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"rollcall/auth"
)

const goodPassword = "marble otter violin kiosk"

func TestHashAndVerify(t *testing.T) {
	t.Parallel()
	hasher := auth.NewHasher(auth.HasherConfig{})
	hash, err := hasher.Hash(t.Context(), goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash is %q", hash)
	}
	if hasher.NeedsRehash(hash) {
		t.Error("a fresh hash needs rehashing")
	}
	again, err := hasher.Hash(t.Context(), goodPassword)
	if err != nil || again == hash {
		t.Errorf("a second hash is the same, or failed: %v", err)
	}
	for _, tt := range []struct {
		name, password string
		want           bool
	}{
		{"the same", goodPassword, true},
		{"full-width spelling of the same", "ｍarble otter violin kiosk", true},
		{"other case", "Marble otter violin kiosk", false},
		{"cut off", goodPassword[:len(goodPassword)-1], false},
		{"empty", "", false},
		{"not UTF-8", goodPassword + "\xff", false},
	} {
		ok, err := hasher.Verify(t.Context(), hash, tt.password)
		if err != nil || ok != tt.want {
			t.Errorf("%s: Verify = %v, %v; want %v", tt.name, ok, err, tt.want)
		}
	}
}

// Vectors of the reference implementation (github.com/P-H-C/phc-winner-argon2,
// src/test.c, argon2id, version 0x13).
func TestVerifyKnownAnswers(t *testing.T) {
	t.Parallel()
	hasher := auth.NewHasher(auth.HasherConfig{})
	for _, tt := range []struct{ password, hash string }{
		{"password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
		{"password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
		{"password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"},
	} {
		if ok, err := hasher.Verify(t.Context(), tt.hash, tt.password); err != nil || !ok {
			t.Errorf("Verify(%s) = %v, %v", tt.hash, ok, err)
		}
		if !hasher.NeedsRehash(tt.hash) {
			t.Errorf("NeedsRehash(%s) = false", tt.hash)
		}
	}
}

func TestVerifyRefusesMalformedHashes(t *testing.T) {
	t.Parallel()
	hasher := auth.NewHasher(auth.HasherConfig{})
	const salt, key = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHApl8ArZWb2GRPPc"
	for name, hash := range map[string]string{
		"empty":             "",
		"not PHC":           "5f4dcc3b5aa765d61d8327deb882cf99",
		"other function":    "$argon2i$v=19$m=256,t=2,p=1$" + salt + "$" + key,
		"other version":     "$argon2id$v=16$m=256,t=2,p=1$" + salt + "$" + key,
		"no version":        "$argon2id$m=256,t=2,p=1$" + salt + "$" + key,
		"too much memory":   "$argon2id$v=19$m=4194304,t=2,p=1$" + salt + "$" + key,
		"too many passes":   "$argon2id$v=19$m=256,t=1000000,p=1$" + salt + "$" + key,
		"too many lanes":    "$argon2id$v=19$m=4096,t=2,p=255$" + salt + "$" + key,
		"no passes":         "$argon2id$v=19$m=256,t=0,p=1$" + salt + "$" + key,
		"no lanes":          "$argon2id$v=19$m=256,t=2,p=0$" + salt + "$" + key,
		"memory for lanes":  "$argon2id$v=19$m=15,t=2,p=2$" + salt + "$" + key,
		"overflow":          "$argon2id$v=19$m=4294967552,t=2,p=1$" + salt + "$" + key,
		"leading zero":      "$argon2id$v=19$m=0256,t=2,p=1$" + salt + "$" + key,
		"other order":       "$argon2id$v=19$t=2,m=256,p=1$" + salt + "$" + key,
		"more parameters":   "$argon2id$v=19$m=256,t=2,p=1,x=1$" + salt + "$" + key,
		"short salt":        "$argon2id$v=19$m=256,t=2,p=1$c2FsdA$" + key,
		"short key":         "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$c2FsdA",
		"no key":            "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$",
		"padding":           "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key + "=",
		"line break":        "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key + "\n",
		"long key":          "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + strings.Repeat("QUJD", 100),
		"something behind":  "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key + "$",
		"something before":  "x$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key,
		"not base64 at all": "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$****************************",
	} {
		if ok, err := hasher.Verify(t.Context(), hash, "password"); ok || !errors.Is(err, auth.ErrMalformedHash) {
			t.Errorf("%s: Verify = %v, %v; want ErrMalformedHash", name, ok, err)
		}
		if !hasher.NeedsRehash(hash) {
			t.Errorf("%s: NeedsRehash = false", name)
		}
	}
}

func TestHashRefusesWhatIsNoPassword(t *testing.T) {
	t.Parallel()
	hasher := auth.NewHasher(auth.HasherConfig{})
	for _, password := range []string{"\xff", "a\nb", strings.Repeat("x", auth.MaxPasswordBytes+1)} {
		if hash, err := hasher.Hash(t.Context(), password); !errors.Is(err, auth.ErrPasswordText) || hash != "" {
			t.Errorf("Hash = %q, %v; want ErrPasswordText", hash, err)
		}
	}
}

// Every entry point does the work: none returns without waiting for a slot, not
// even for an account that does not exist or for text that cannot be a
// password.
func TestHasherRefusesWhenBusy(t *testing.T) {
	t.Parallel()
	hasher := auth.NewHasher(auth.HasherConfig{Concurrency: 2, Queue: -1})
	hash, err := hasher.Hash(t.Context(), goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	ways := map[string]func() error{
		"Hash":              func() error { _, err := hasher.Hash(t.Context(), goodPassword); return err },
		"Verify":            func() error { _, err := hasher.Verify(t.Context(), hash, goodPassword); return err },
		"Verify of nothing": func() error { _, err := hasher.Verify(t.Context(), hash, "\xff"); return err },
		"VerifyNobody":      func() error { return hasher.VerifyDummy(t.Context(), goodPassword) },
	}
	release := hasher.Occupy()
	for name, call := range ways {
		if err := call(); !errors.Is(err, auth.ErrBusy) {
			t.Errorf("%s: %v, want ErrBusy", name, err)
		}
	}
	release()
	for name, call := range ways {
		if err := call(); err != nil {
			t.Errorf("%s once there is room: %v", name, err)
		}
	}
}

func TestHasherQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hasher := auth.NewHasher(auth.HasherConfig{Concurrency: 1, Queue: 2})
		release := hasher.Occupy()
		patient, hurried := make(chan error, 1), make(chan error, 1)
		go func() { patient <- hasher.VerifyDummy(t.Context(), goodPassword) }()
		ctx, cancel := context.WithCancel(t.Context())
		go func() { hurried <- hasher.VerifyDummy(ctx, goodPassword) }()
		synctest.Wait()

		if err := hasher.VerifyDummy(t.Context(), goodPassword); !errors.Is(err, auth.ErrBusy) {
			t.Errorf("beyond the queue: %v, want ErrBusy", err)
		}
		cancel()
		if err := <-hurried; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while waiting: %v, want context.Canceled", err)
		}
		release()
		if err := <-patient; err != nil {
			t.Errorf("who waits gets a turn: %v", err)
		}
		if err := hasher.VerifyDummy(ctx, goodPassword); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before: %v, want context.Canceled", err)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	hasher := auth.NewHasher(auth.HasherConfig{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := hasher.Hash(b.Context(), goodPassword); err != nil {
			b.Fatal(err)
		}
	}
}

// TestHasherReservesPlaces: when unknown clients fill their share of the queue,
// known users can still wait in the reserved places.
func TestHasherReservesPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hasher := auth.NewHasher(auth.HasherConfig{Concurrency: 1, Queue: 4, MemoryKiB: 64})
		release := hasher.Occupy()
		done := make(chan error, 4)
		for range 3 {
			go func() { done <- hasher.VerifyDummy(t.Context(), goodPassword) }()
		}
		synctest.Wait()
		if err := hasher.VerifyDummy(t.Context(), goodPassword); !errors.Is(err, auth.ErrBusy) {
			t.Errorf("a stranger beyond the share: %v, want ErrBusy", err)
		}
		go func() { done <- hasher.Reserved().VerifyDummy(t.Context(), goodPassword) }()
		synctest.Wait()
		if err := hasher.Reserved().VerifyDummy(t.Context(), goodPassword); !errors.Is(err, auth.ErrBusy) {
			t.Errorf("beyond the whole queue: %v, want ErrBusy", err)
		}
		release()
		for range 4 {
			if err := <-done; err != nil {
				t.Errorf("in the queue: %v", err)
			}
		}
	})
}
