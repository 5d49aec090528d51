package storage

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/json"
	"fmt"
	"slices"

	"rollcall/roster"
)

const (
	// blockErrors is how many failed rows one block holds at most.
	blockErrors = 2000
	// blockBytes bounds the addresses and values of one block, in bytes.
	blockBytes = 512 << 10
)

// errorBlock is failed rows of an import in row order as they are stored: one
// column after the other, for then they compress to a fraction of the file that
// they are about, however short its rows are.
type errorBlock struct {
	Rows   []int64  `json:"rows"`  // each less the one before; the first less 0
	Lines  []int64  `json:"lines"` // each less its row
	Emails []string `json:"emails"`
	Counts []int    `json:"counts"` // problems of each row
	// Problems and Values are those of all rows, one row's after another's:
	// indices of Kinds, and values, null where it is the row's address.
	Problems []int     `json:"problems"`
	Values   []*string `json:"values"`
	// Suggestions by the index of the problem: few have one.
	Suggestions map[int]string `json:"suggestions,omitempty"`
	Kinds       []errorKind    `json:"kinds"`
}

// errorKind is a problem without its value: few rows have one of their own.
type errorKind struct {
	Field   roster.Column `json:"field"`
	Reason  roster.Code   `json:"reason"`
	Message string        `json:"message"`
	Fix     string        `json:"fix,omitempty"`
}

// packedErrors is an errorBlock as an entry of import_errors.
type packedErrors struct {
	first, last int64
	counts      string // JSON: rows by reason
	data        []byte
}

// packErrors makes blocks of failed rows, which it sorts.
func packErrors(rowErrors []roster.RowError) ([]packedErrors, error) {
	slices.SortFunc(rowErrors, func(a, b roster.RowError) int { return cmp.Compare(a.Row, b.Row) })
	var blocks []packedErrors
	var zip *flate.Writer
	for len(rowErrors) > 0 {
		var b errorBlock
		n := b.take(rowErrors)
		counts := map[roster.Code]int{}
		for _, r := range rowErrors[:n] {
			counts[r.Reason()]++
		}
		countsJSON, err := json.Marshal(counts)
		if err != nil {
			return nil, err
		}
		var data bytes.Buffer
		if zip == nil {
			if zip, err = flate.NewWriter(&data, flate.DefaultCompression); err != nil {
				return nil, err
			}
		} else {
			zip.Reset(&data)
		}
		if err := json.NewEncoder(zip).Encode(&b); err != nil {
			return nil, err
		}
		if err := zip.Close(); err != nil {
			return nil, err
		}
		blocks = append(blocks, packedErrors{rowErrors[0].Row, rowErrors[n-1].Row, string(countsJSON), data.Bytes()})
		rowErrors = rowErrors[n:]
	}
	return blocks, nil
}

// take fills the block with the first of the failed rows and returns how many.
func (b *errorBlock) take(rowErrors []roster.RowError) (n int) {
	kinds := map[errorKind]int{}
	var before int64
	size := 0
	for n < len(rowErrors) && n < blockErrors && size < blockBytes {
		r := &rowErrors[n]
		n++
		email := roster.TruncateValue(r.Email)
		b.Rows = append(b.Rows, r.Row-before)
		b.Lines = append(b.Lines, r.Line-r.Row)
		b.Emails = append(b.Emails, email)
		b.Counts = append(b.Counts, len(r.Problems))
		before = r.Row
		size += len(email)
		for _, p := range r.Problems {
			kind := errorKind{p.Field, p.Code, p.Message, p.Fix}
			at, known := kinds[kind]
			if !known {
				at = len(b.Kinds)
				kinds[kind] = at
				b.Kinds = append(b.Kinds, kind)
			}
			if p.Suggestion != "" {
				if b.Suggestions == nil {
					b.Suggestions = map[int]string{}
				}
				b.Suggestions[len(b.Problems)] = p.Suggestion
				size += len(p.Suggestion)
			}
			b.Problems = append(b.Problems, at)
			if p.Value == email {
				b.Values = append(b.Values, nil)
				continue
			}
			b.Values = append(b.Values, &p.Value)
			size += len(p.Value)
		}
	}
	return n
}

// unpackErrors reads a block.
func unpackErrors(data []byte) ([]roster.RowError, error) {
	var b errorBlock
	if err := unpack(data, &b); err != nil {
		return nil, err
	}
	rowErrors := make([]roster.RowError, len(b.Rows))
	problems := make([]roster.Problem, len(b.Problems))
	var row int64
	used := 0
	for i := range rowErrors {
		row += b.Rows[i]
		r := &rowErrors[i]
		r.Row, r.Line, r.Email = row, row+b.Lines[i], b.Emails[i]
		end := used + b.Counts[i]
		for k := used; k < end; k++ {
			kind := b.Kinds[b.Problems[k]]
			problems[k] = roster.Problem{Field: kind.Field, Code: kind.Reason, Value: r.Email, Message: kind.Message, Fix: kind.Fix, Suggestion: b.Suggestions[k]}
			if v := b.Values[k]; v != nil {
				problems[k].Value = *v
			}
		}
		r.Problems, used = problems[used:end:end], end
	}
	return rowErrors, nil
}

// unpackRows reads the row numbers of a block and nothing else.
func unpackRows(data []byte) ([]int64, error) {
	var b struct {
		Rows []int64 `json:"rows"`
	}
	if err := unpack(data, &b); err != nil {
		return nil, err
	}
	var row int64
	for i, less := range b.Rows {
		row += less
		b.Rows[i] = row
	}
	return b.Rows, nil
}

func unpack(data []byte, b any) error {
	if err := json.NewDecoder(flate.NewReader(bytes.NewReader(data))).Decode(b); err != nil {
		return fmt.Errorf("read a block of failed rows: %w", err)
	}
	return nil
}
