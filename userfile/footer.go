package userfile

import (
	"bytes"
	"strings"
)

// footerWords begin rows that are no people: sums, and what exports write below
// the last row.
var footerWords = []string{"total", "totals", "sum", "subtotal", "grand total", "summe", "gesamt", "gesamtsumme", "anzahl", "count", "rows", "records",
	"end of", "exported", "export", "generated", "created", "printed", "report", "page ", "somme", "suma", "totale", "totaal", "合計", "总计", "итого"}

// isFooter reports whether a row is a total or a footer.
func isFooter(cells [][]byte) bool {
	for _, c := range cells {
		text := strings.ToLower(strings.Trim(string(bytes.TrimSpace(c[:min(len(c), 100)])), "*-#=(\" "))
		if text == "" {
			continue
		}
		for _, word := range footerWords {
			if rest, ok := strings.CutPrefix(text, word); ok && (rest == "" || strings.HasSuffix(word, " ") || strings.ContainsAny(rest[:1], " :=-.0123456789")) {
				return !bytes.Contains(bytes.Join(cells, nil), []byte("@"))
			}
		}
		return false
	}
	return false
}

// tellFooter says of a refused row that it is a total or a footer, if it is.
func (s *Reader) tellFooter(r *Row) {
	if !isFooter(r.Cells) {
		return
	}
	s.notes.count(&s.notes.footer, r.Row)
	p := &r.Problems[0]
	p.Message = "This looks like a total or a footer, not like a person. " + p.Message
	p.Fix = "Remove the row"
}
