package client

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// Key returns an Idempotency-Key for a file with these options and the client's
// token. It is the same for the same content, so that an upload can be
// repeated, even by another run of the program, without importing the file
// twice. It reads content to its end. A salt other than "" gives the same file
// a different key.
func (c *Client) Key(content io.Reader, o Options, salt string) (string, error) {
	file := sha256.New()
	if _, err := io.Copy(file, content); err != nil {
		return "", fmt.Errorf("read the file: %w", err)
	}
	token := sha256.Sum256([]byte(c.token))
	// JSON keeps the values apart, and sorts its maps.
	all, err := json.Marshal([]any{"rollcall import 1", file.Sum(nil), o, token[:], salt})
	if err != nil {
		return "", fmt.Errorf("make an idempotency key: %w", err)
	}
	key := sha256.Sum256(all)
	return hex.EncodeToString(key[:]), nil
}

// NextKey returns the key to send the same content again after the import that
// the first key led to. It depends only on its arguments, so that this
// repetition, too, happens only once.
func NextKey(key string, earlier *Import) string {
	next := sha256.Sum256([]byte(key + " " + earlier.ID.String()))
	return hex.EncodeToString(next[:])
}
