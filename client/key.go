package client

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// Key returns an Idempotency-Key for a file with these options and the client's
// token: the same for the same content, so that an upload can be repeated, even
// by another run of the program, without importing the file twice. It reads
// content to its end. salt, "" for none, makes a key of its own for the same
// file.
func (c *Client) Key(content io.Reader, o Options, salt string) (string, error) {
	file := sha256.New()
	if _, err := io.Copy(file, content); err != nil {
		return "", fmt.Errorf("read the file: %w", err)
	}
	token := sha256.Sum256([]byte(c.token))
	// JSON keeps the values apart, and its maps are sorted.
	all, err := json.Marshal([]any{"rollcall import 1", file.Sum(nil), o, token[:], salt})
	if err != nil {
		return "", fmt.Errorf("make an idempotency key: %w", err)
	}
	key := sha256.Sum256(all)
	return hex.EncodeToString(key[:]), nil
}

// KeyAfter returns the key under which to send the same content again after an
// earlier import of it, which the first key led to. It is the same whoever asks,
// so that this repetition, too, happens once.
func KeyAfter(key string, earlier *Import) string {
	next := sha256.Sum256([]byte(key + " " + earlier.ID))
	return hex.EncodeToString(next[:])
}
