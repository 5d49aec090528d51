package privacy

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// finder looks for an address in files as they were received: in any encoding in
// which ASCII is itself, which is all but UTF-16 of what an upload may have, and
// in both kinds of UTF-16. The case of letters does not matter.
//
// It needs no CSV, so a file that was refused as a whole, or a row that is
// broken, hides nothing.
type finder struct {
	needles [][]byte
	longest int
}

// newFinder makes a finder for spellings of one address. Of a spelling with
// letters beyond ASCII only the part up to the @ is looked for: the rest is
// other bytes in each encoding. That may find somebody else's file too.
func newFinder(spellings ...string) finder {
	var f finder
	for _, s := range spellings {
		s = strings.ToLower(s)
		if !isASCII(s) {
			at := strings.LastIndexByte(s, '@')
			s = s[:at+1]
		}
		if s == "" {
			continue
		}
		var little, big []byte
		for i := range len(s) {
			little, big = append(little, s[i], 0), append(big, 0, s[i])
		}
		f.needles = append(f.needles, []byte(s), little, big)
	}
	for _, n := range f.needles {
		f.longest = max(f.longest, len(n))
	}
	return f
}

// window is how much of a file is looked at at once, in bytes.
const window = 256 << 10

// in tells whether the address stands in a file.
func (f finder) in(r io.Reader) (bool, error) {
	buffer := make([]byte, 0, f.longest+window)
	for {
		n, err := io.ReadFull(r, buffer[len(buffer):cap(buffer)])
		lower(buffer[len(buffer) : len(buffer)+n])
		buffer = buffer[:len(buffer)+n]
		for _, needle := range f.needles {
			if bytes.Contains(buffer, needle) {
				return true, nil
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		// What may be the beginning of an address goes into the next window.
		kept := min(len(buffer), f.longest-1)
		copy(buffer[:kept], buffer[len(buffer)-kept:])
		buffer = buffer[:kept]
	}
}

func lower(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
