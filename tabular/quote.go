package tabular

import "bytes"

// stop says what a cell ends at.
type stop uint8

const (
	atDelimiter stop = iota
	atLineEnd
	atEnd        // of the window
	withinQuotes // at the end of the window
	strayInside  // a quote in an unquoted cell
	strayBehind  // something else than a delimiter behind a closing quote
)

// parseQuoted finds the record at the start of w, whose first physical line
// has a quote, by RFC 4180, section 2, rules 5 to 7, and a little more: white
// space is allowed around the quotes.
func (r *Reader) parseQuoted(w []byte, first line, ended, full bool) (extent, bool) {
	limit := r.format.MaxRecordBytes
	r.cells, r.text = r.cells[:0], r.text[:0]
	count, next := 0, 0
	surplus := false // a cell beyond the limit that is not empty
	for {
		value, end, s := r.cell(w, next)
		if s == atEnd && ended {
			s = atLineEnd
		}
		if s == atLineEnd || s == atDelimiter {
			if count++; count <= r.format.MaxCells {
				r.cells = append(r.cells, value)
			} else if len(bytes.TrimSpace(value)) > 0 {
				surplus = true
			}
		}
		switch s {
		case atDelimiter:
			next = end + 1
		case atLineEnd:
			size, ok := lineEnd(w, end, ended || full)
			switch {
			case !ok:
				return extent{}, false
			case end > limit:
				return r.faulty(first, Fault{Kind: FaultTooLong, Cell: -1, Limit: limit}), true
			}
			e := extent{size: size, lines: 1}
			if end > len(first.text) {
				e.lines += lineEnds(w[:end])
			}
			if surplus {
				e.fault = Fault{Kind: FaultTooManyCells, Cell: -1, Limit: r.format.MaxCells}
			}
			return r.checked(e, w[:end]), true
		case strayInside, strayBehind:
			return r.faulty(first, Fault{Kind: FaultStrayQuote, Cell: count}), true
		default:
			switch {
			case !ended && !full:
				return extent{}, false
			case s == withinQuotes:
				return r.faulty(first, Fault{Kind: FaultUnbalancedQuote, Cell: count, Limit: limit}), true
			}
			return r.faulty(first, Fault{Kind: FaultTooLong, Cell: -1, Limit: limit}), true
		}
	}
}

// lineEnd returns what comes behind the line end at w[i], or at the end of w.
// It reports false for a CR at the end of w that may be half of one, unless
// the window is final.
func lineEnd(w []byte, i int, final bool) (size int, ok bool) {
	switch {
	case i == len(w):
		return i, true
	case w[i] == '\n':
		return i + 1, true
	case i+1 == len(w):
		return i + 1, final
	case w[i+1] == '\n':
		return i + 2, true
	default:
		return i + 1, true
	}
}

// lineEnds counts the line ends in b.
func lineEnds(b []byte) int64 {
	n := bytes.Count(b, []byte{'\n'})
	for i := range b {
		if b[i] == '\r' && (i+1 == len(b) || b[i+1] != '\n') {
			n++
		}
	}
	return int64(n)
}

// cell reads the cell that starts at w[i]. It returns the value and the index
// of what the cell ends at; the value only if that is sound. `="0042"`, with
// which programs keep a spreadsheet from dropping zeros, is read as "0042".
func (r *Reader) cell(w []byte, i int) (value []byte, end int, s stop) {
	open := r.skipBlanks(w, i)
	if open < len(w) && w[open] == '"' {
		return r.quotedCell(w, open+1)
	}
	if open+1 < len(w) && w[open] == '=' && w[open+1] == '"' {
		return r.quotedCell(w, open+2)
	}
	for end = i; end < len(w); end++ {
		switch w[end] {
		case r.delim:
			return w[i:end], end, atDelimiter
		case '\r', '\n':
			return w[i:end], end, atLineEnd
		case '"':
			return nil, end, strayInside
		}
	}
	return w[i:], end, atEnd
}

// quotedCell reads a cell whose opening quote is at w[i-1].
func (r *Reader) quotedCell(w []byte, i int) (value []byte, end int, s stop) {
	kept := len(r.text)
	from, end := i, i // w[from:end] is passed, but not yet in text
	for {
		q := bytes.IndexByte(w[end:], '"')
		if q < 0 {
			r.text = r.text[:kept]
			return nil, len(w), withinQuotes
		}
		end += q
		if end+1 == len(w) || w[end+1] != '"' {
			break
		}
		r.text = append(r.text, w[from:end+1]...)
		end += 2
		from = end
	}
	value = w[from:end]
	if from > i {
		r.text = append(r.text, value...)
		value = r.text[kept:]
	}
	end = r.skipBlanks(w, end+1)
	switch {
	case end == len(w):
		return value, end, atEnd
	case w[end] == r.delim:
		return value, end, atDelimiter
	case w[end] == '\r' || w[end] == '\n':
		return value, end, atLineEnd
	default:
		return nil, end, strayBehind
	}
}

// skipBlanks returns the index of the first byte from w[i] on that is neither
// a space nor a tab, or that is the delimiter.
func (r *Reader) skipBlanks(w []byte, i int) int {
	for i < len(w) && (w[i] == ' ' || w[i] == '\t') && w[i] != r.delim {
		i++
	}
	return i
}

// salvage cuts the text of one physical line into cells as well as may be. A
// cell with a quote inside is taken as it stands. From the first quoted cell
// on that does not end as it should, all are: what is within quotes and what
// without is then anyone's guess.
func (r *Reader) salvage(text []byte) {
	r.cells, r.text = r.cells[:0], r.text[:0]
	literal := false
	for next := 0; len(r.cells) < r.format.MaxCells; {
		if !literal {
			value, end, s := r.cell(text, next)
			switch s {
			case atDelimiter:
				r.cells = append(r.cells, value)
				next = end + 1
				continue
			case atEnd:
				r.cells = append(r.cells, value)
				return
			case withinQuotes, strayBehind:
				literal = true
			}
		}
		i := bytes.IndexByte(text[next:], r.delim)
		if i < 0 {
			r.cells = append(r.cells, text[next:])
			return
		}
		r.cells = append(r.cells, text[next:next+i])
		next += i + 1
	}
}
