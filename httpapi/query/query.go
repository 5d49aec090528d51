// Package query parses the query strings of lists: page size, cursor and
// filters. Each parameter may be given at most once.
package query

import (
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"rollcall/httpapi/problem"
)

// Query is the query of a request, each parameter at most once.
type Query struct{ values url.Values }

// Read parses the query of a URL.
func Read(raw string) (Query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return Query{}, problem.New(problem.InvalidParameter, "Malformed query string.")
	}
	for name, given := range values {
		if len(given) > 1 {
			return Query{}, problem.Parameter(name, "%q is set more than once.", name)
		}
		if !utf8.ValidString(given[0]) || strings.ContainsRune(given[0], 0) {
			return Query{}, problem.Parameter(name, "%q must be UTF-8 text without NUL characters.", name)
		}
	}
	return Query{values}, nil
}

// Get is the value of a parameter, "" if it is not given.
func (q Query) Get(name string) string { return q.values.Get(name) }

// Limit reads the page size.
func (q Query) Limit(otherwise, most int) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, problem.Parameter("limit", "limit must be a number from 1 to %d.", most)
	}
	return n, nil
}

// Cursors are opaque to clients: the last id or row of the previous page.

// IDCursor is the cursor of a list of objects with ids.
func IDCursor(id uuid.UUID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// RowCursor is the cursor of a list of rows.
func RowCursor(row int64) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(row)))
}

// AfterID reads the cursor of a list of objects with ids.
func (q Query) AfterID() (id uuid.UUID, err error) {
	raw, err := q.after(len(id))
	copy(id[:], raw)
	return id, err
}

// AfterRow reads the cursor of a list of rows.
func (q Query) AfterRow() (int64, error) {
	raw, err := q.after(8)
	if err != nil || raw == nil {
		return 0, err
	}
	row := int64(binary.BigEndian.Uint64(raw))
	if row < 0 {
		return 0, badCursor()
	}
	return row, nil
}

// Page reads the page size and the cursor of a list of objects with ids.
func Page(raw string) (q Query, limit int, after uuid.UUID, err error) {
	if q, err = Read(raw); err != nil {
		return q, 0, after, err
	}
	if limit, err = q.Limit(50, 200); err != nil {
		return q, 0, after, err
	}
	after, err = q.AfterID()
	return q, limit, after, err
}

// after decodes a cursor of a fixed size in bytes; nil if none is given.
func (q Query) after(size int) ([]byte, error) {
	text := q.Get("after")
	if text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != size {
		return nil, badCursor()
	}
	return raw, nil
}

func badCursor() error {
	return problem.Parameter("after", "after must be the next value of a page of this list.")
}
