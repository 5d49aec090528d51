package privacy

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"

	"rollcall/storage"
)

// maxRecord is the maximum size of a record with line breaks within quotes, in
// bytes. A longer one is the result of a stray quote, and each of its lines
// counts as a record.
const maxRecord = 1 << 20

// recordsOf extends matches, at least one, to the records that contain them:
// the other values of a row are about the same person. In a sheet, records are
// numbered instead of lines.
func recordsOf(r io.Reader, matches []match, sheet bool) ([]storage.RecordRange, error) {
	slices.SortFunc(matches, func(a, b match) int { return cmp.Compare(a.from, b.from) })
	s := splitter{unit: matches[0].unit, matches: matches, line: 1, cellStart: true, sheet: sheet}
	buffer, kept := make([]byte, window), 0
	for {
		n, err := io.ReadFull(r, buffer[kept:])
		rest := buffer[:kept+n]
		for ; len(rest) >= s.unit.size; rest = rest[s.unit.size:] {
			s.next(s.unit.at(rest))
		}
		kept = copy(buffer, rest)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			s.at += int64(kept)
			return s.end(), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// splitter splits a file with any delimiter into records and keeps those with a
// match.
type splitter struct {
	unit    unit
	matches []match // not yet reached, in order
	found   []storage.RecordRange

	at    int64                 // bytes of the file read
	start int64                 // of the line being read
	line  int64                 // its number
	sheet bool                  // records are numbered, not lines
	row   int64                 // records so far
	lines []storage.RecordRange // earlier lines of the same record

	cr        bool // a CR was read, which may be the first half of a line break
	cellStart bool // no text in the cell so far
	quoted    bool // within quotes
	closed    bool // directly after the closing quote
}

// next reads one character.
func (s *splitter) next(c uint16) {
	if s.cr {
		s.cr = false
		if c == '\n' {
			s.at += int64(s.unit.size)
			s.endLine()
			return
		}
		s.endLine()
	}
	s.at += int64(s.unit.size)
	switch {
	case c == '\r':
		s.cr = true
	case c == '\n':
		s.endLine()
	case c == '"' && (s.quoted || s.closed || s.cellStart): // a doubled quote closes and reopens the quoted part
		s.closed, s.quoted, s.cellStart = s.quoted, !s.quoted, false
	case s.quoted:
	default:
		s.closed = false
		mark := c == 0xFFFF && s.at <= 3 // the byte order mark
		s.cellStart = strings.ContainsRune(",;\t|", rune(c)) || s.cellStart && (c == ' ' || mark)
	}
}

func (s *splitter) endLine() {
	s.lines = append(s.lines, storage.RecordRange{From: s.start, To: s.at, FirstLine: s.line, LastLine: s.line})
	s.start = s.at
	s.line++
	s.closed = false
	if !s.quoted || s.at-s.lines[0].From > maxRecord {
		s.endRecord()
	}
}

// endRecord ends a record. One that ends within quotes is split into its lines.
func (s *splitter) endRecord() {
	s.row++
	if !s.quoted {
		last := s.lines[len(s.lines)-1]
		s.lines = append(s.lines[:0], storage.RecordRange{From: s.lines[0].From, To: last.To, FirstLine: s.lines[0].FirstLine, LastLine: last.LastLine})
	}
	if s.sheet {
		s.lines[0].FirstLine, s.lines[0].LastLine = s.row, s.row
	}
	for _, r := range s.lines {
		had := len(s.matches)
		for len(s.matches) > 0 && s.matches[0].from < r.To {
			s.matches = s.matches[1:]
		}
		if len(s.matches) < had {
			s.found = append(s.found, r)
		}
	}
	s.lines, s.quoted, s.cellStart = s.lines[:0], false, true
}

func (s *splitter) end() []storage.RecordRange {
	if s.at > s.start {
		s.endLine()
	}
	if len(s.lines) > 0 {
		s.endRecord()
	}
	return s.found
}

// mask overwrites data, which starts at an offset of the file, but keeps what
// separates the cells: delimiters, quotes, white space.
func (u unit) mask(data []byte, offset int64) {
	if u.size == 2 && offset%2 != 0 && len(data) > 0 {
		data = data[1:] // half a character, which no record starts with
	}
	for ; len(data) >= u.size; data = data[u.size:] {
		if !strings.ContainsRune(",;\t| \"\r\n", rune(u.at(data))) {
			clear(data[:u.size])
			data[u.size-1-u.high] = '*' // the less significant byte
		}
	}
}
