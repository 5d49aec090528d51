package tabular

import (
	"bytes"
	"strings"
)

// delimiters are the candidates, the likeliest first.
const delimiters = ",;\t|"

// Delimiters are the characters that may stand between cells, the likeliest
// first.
func Delimiters() []string { return strings.Split(delimiters, "") }

// sepLine takes apart a first line such as `sep=;`, with which some programs
// tell a spreadsheet the delimiter. rest is the text behind it.
func sepLine(text []byte) (named string, rest []byte, ok bool) {
	const prefix = "sep="
	head, rest := text, []byte(nil)
	if i := indexLineEnd(text); i >= 0 {
		head, rest = text[:i], text[i+1:]
	}
	s := strings.TrimRight(string(head), " ")
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	if len(s) <= len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", text, false
	}
	named = s[len(prefix):]
	if len([]rune(named)) != 1 {
		return "", text, false
	}
	return named, rest, true
}

// surveyRecords is how many records findDelimiter looks at.
const surveyRecords = 100

// tally counts each candidate outside quotes in one record.
type tally [len(delimiters)]int

// findDelimiter returns the delimiter of a CSV by a sample of its beginning, or
// the whole of it.
// It must stand in the header. Of several that do, it is the one whose number
// is most often the same as in the header, and then the one that makes more
// cells. A single column has no delimiter, so any would do: it is a comma.
func findDelimiter(text []byte, whole bool) byte {
	records := survey(text, whole)
	best, bestScore := delimiters[0], 0.0
	if len(records) == 0 {
		return best
	}
	if inner, ok := unwrapLines(text); ok && records[0] == (tally{}) {
		if unwrapped := survey(inner, whole); len(unwrapped) > 0 {
			records = unwrapped
		}
	}
	for i := range delimiters {
		cells := records[0][i] + 1
		if cells == 1 {
			continue
		}
		same := 0
		for _, t := range records {
			if t[i]+1 == cells {
				same++
			}
		}
		// A few odd rows must not make two columns out of five, nor many odd
		// ones five out of two.
		score := float64(same) / float64(len(records)) * float64(cells-1) / float64(cells)
		if score > bestScore {
			best, bestScore = delimiters[i], score
		}
	}
	return best
}

// survey counts the candidates in the first records of text. A record cut off
// at the end of the sample is left out, unless it is the only one.
func survey(text []byte, whole bool) []tally {
	var records []tally
	for len(text) > 0 && len(records) < surveyRecords {
		t, size, complete := count(text)
		if !complete && !whole && len(records) > 0 {
			break
		}
		if len(bytes.Trim(text[:size], delimiters+"\" \r\n")) > 0 {
			records = append(records, t)
		}
		text = text[size:]
	}
	return records
}

// count tallies the record at the start of text and returns its size with its
// line end. A quoted cell that does not end within the text is taken to end
// with its line, as it is when the file is read.
func count(text []byte) (t tally, size int, complete bool) {
	if t, size, complete = countUntil(text, false); !complete && bytes.IndexByte(text, '"') >= 0 {
		return countUntil(text, true)
	}
	return t, size, complete
}

// countUntil tallies up to the end of the record or, if physical, of the line.
func countUntil(text []byte, physical bool) (t tally, size int, complete bool) {
	quoted, atStart := false, true
	for i, c := range text {
		switch {
		case c == '"' && (quoted || atStart):
			// A doubled quote turns this off and on again.
			quoted, atStart = !quoted, quoted
			continue
		case quoted && !(physical && (c == '\n' || c == '\r')):
			continue
		case c == '\n' || c == '\r':
			return t, i + 1, true
		case c == ' ' && atStart, c == '=' && atStart && i+1 < len(text) && text[i+1] == '"':
			continue
		}
		d := strings.IndexByte(delimiters, c)
		if d >= 0 {
			t[d]++
		}
		atStart = d >= 0
	}
	return t, len(text), false
}
