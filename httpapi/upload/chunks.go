package upload

import (
	"errors"
	"io"

	"rollcall/storage"
)

// firstBuffer is the initial size of a chunk's buffer, in bytes: most files are
// small.
const firstBuffer = 32 << 10

// chunks splits a file into pieces of [storage.ChunkSize]. It holds one piece
// in memory, which for a small file is little more than the file.
type chunks struct {
	from  io.Reader
	limit int64        // of the file, in bytes
	size  int64        // read so far
	room  func() error // called once, before more than firstBuffer is held
	buf   []byte
	ended bool
}

// next returns the next chunk, which is shorter than [storage.ChunkSize] only
// at the end of the file, and io.EOF after the last. The slice is valid until
// the next call.
func (c *chunks) next() ([]byte, error) {
	if c.ended {
		return nil, io.EOF
	}
	c.buf = c.buf[:0]
	for len(c.buf) < storage.ChunkSize {
		if err := c.grow(); err != nil {
			return nil, err
		}
		n, err := c.from.Read(c.buf[len(c.buf):min(cap(c.buf), storage.ChunkSize)])
		c.buf = c.buf[:len(c.buf)+n]
		if c.size += int64(n); c.size > c.limit {
			return nil, errTooLarge
		}
		if errors.Is(err, io.EOF) {
			c.ended = true
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if len(c.buf) == 0 {
		return nil, io.EOF
	}
	return c.buf, nil
}

// grow makes room for at least one more byte.
func (c *chunks) grow() error {
	if len(c.buf) < cap(c.buf) {
		return nil
	}
	if cap(c.buf) > 0 && c.room != nil {
		if err := c.room(); err != nil {
			return err
		}
		c.room = nil
	}
	bigger := make([]byte, len(c.buf), min(max(firstBuffer, 4*cap(c.buf)), storage.ChunkSize))
	copy(bigger, c.buf)
	c.buf = bigger
	return nil
}
