package privacy

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/unicode/norm"

	"rollcall/storage"
)

// finder searches uploaded files for an address, with the domain in its A-label
// and its U-label form, in every encoding that an upload may have. Letter case
// does not matter. A longer address that contains this one is a different
// address and is not found.
//
// It does not parse CSV, so it also finds addresses in files that could not be
// imported and in broken rows.
type finder struct {
	needles []needle
	longest int // bytes
}

// needle is one spelling of the address.
type needle struct {
	text []byte
	unit unit
}

// unit is how the file's encoding represents ASCII: one byte, or two for
// UTF-16.
type unit struct {
	size int // bytes
	high int // index of the more significant of two bytes
}

var (
	single = unit{1, 0}
	little = unit{2, 1}
	big    = unit{2, 0}
)

// at is the unit at the start of b; 0xFFFF for non-ASCII, and 0, which counts
// as a border, if b is too short.
func (u unit) at(b []byte) uint16 {
	if len(b) < u.size {
		return 0
	}
	c := uint16(b[0])
	if u.size == 2 {
		c = uint16(b[u.high])<<8 | uint16(b[1-u.high])
	}
	if c >= 0x80 {
		return 0xFFFF
	}
	return c
}

// match is the position of an address in a file, in bytes.
type match struct {
	from, to int64
	unit     unit
}

// newFinder makes a finder for a user's address.
func newFinder(p storage.DataSubject) finder { return finderOf(spellings(p)...) }

// finderOf makes a finder for a text in any of its spellings.
func finderOf(spellings ...string) finder {
	var f finder
	for _, spelling := range spellings {
		for _, n := range encoded(spelling) {
			lower(n.text)
			if !slices.ContainsFunc(f.needles, func(o needle) bool { return bytes.Equal(o.text, n.text) }) {
				f.needles = append(f.needles, n)
				f.longest = max(f.longest, len(n.text))
			}
		}
	}
	return f
}

// spellings returns the ways to write an address: as typed, as compared
// (A-label), and with the U-label of its domain, composed and decomposed.
func spellings(p storage.DataSubject) []string {
	all := []string{p.EmailKey, p.Email}
	at := strings.LastIndexByte(p.EmailKey, '@') + 1
	if domain, err := idna.Lookup.ToUnicode(p.EmailKey[at:]); err == nil && domain != p.EmailKey[at:] {
		for _, d := range []string{domain, strings.ToUpper(domain), norm.NFD.String(domain)} {
			all = append(all, p.EmailKey[:at]+d)
		}
	}
	return all
}

// encoded returns a spelling in all encodings in which it differs.
func encoded(spelling string) []needle {
	all := []needle{{[]byte(spelling), single}}
	add := func(e encoding.Encoding, u unit) {
		if text, err := e.NewEncoder().Bytes([]byte(spelling)); err == nil {
			all = append(all, needle{text, u})
		}
	}
	add(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), little)
	add(unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), big)
	if strings.ContainsFunc(spelling, func(r rune) bool { return r >= 0x80 }) {
		for _, e := range slices.Concat(charmap.All, japanese.All, korean.All, simplifiedchinese.All, traditionalchinese.All) {
			add(e, single)
		}
	}
	return all
}

// window is how much of a file is searched at once, in bytes.
const window = 256 << 10

// border is how many bytes on each side of an address decide whether it ends
// there.
const border = 4

// in reports whether a file contains the address.
func (f finder) in(r io.Reader) (found bool, err error) {
	err = f.each(r, func(match) bool { found = true; return false })
	return found, err
}

// matches returns all positions of the address in a file, in no particular
// order.
func (f finder) matches(r io.Reader) (all []match, err error) {
	err = f.each(r, func(m match) bool { all = append(all, m); return true })
	return all, err
}

// each calls yield for every match, until it returns false.
func (f finder) each(r io.Reader, yield func(match) bool) error {
	buffer := make([]byte, 0, f.longest+2*border+window)
	var base int64 // where the buffer starts in the file
	from := 0      // where in the buffer the search continues
	for {
		n, err := io.ReadFull(r, buffer[len(buffer):cap(buffer)])
		lower(buffer[len(buffer) : len(buffer)+n])
		buffer = buffer[:len(buffer)+n]
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !ended {
			return err
		}
		until := len(buffer) // addresses that start here or later are left to the next window
		if !ended {
			until -= f.longest + border
		}
		for _, needle := range f.needles {
			for at := from; ; at++ {
				i := bytes.Index(buffer[at:], needle.text)
				if at += i; i < 0 || at >= until {
					break
				}
				m := match{base + int64(at), base + int64(at+len(needle.text)), needle.unit}
				if m.from%int64(m.unit.size) == 0 && needle.bordered(buffer, at) && !yield(m) {
					return nil
				}
			}
		}
		if ended {
			return nil
		}
		kept := max(0, until-border)
		from = until - kept
		base += int64(kept)
		buffer = buffer[:copy(buffer, buffer[kept:])]
	}
}

// bordered reports whether a match is a whole address, and not the start or end
// of a longer one.
func (n needle) bordered(buffer []byte, at int) bool {
	u := n.unit
	if at >= u.size {
		if before := u.at(buffer[at-u.size:]); alphanumeric(before) || strings.ContainsRune("._+-", rune(before)) {
			return false
		}
	}
	rest := buffer[at+len(n.text):]
	after := u.at(rest)
	if after == '.' || after == '-' { // the end of a sentence, or of a label
		after = u.at(rest[u.size:])
		return !alphanumeric(after) && after != 0xFFFF
	}
	return !alphanumeric(after)
}

func alphanumeric(c uint16) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func lower(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}
