package roster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ValueMap says what values of a file mean: our column -> value in the file ->
// our value. A value that is not in it means itself. It is applied before the
// rules, so nothing gets in by it that could not be in the file.
type ValueMap map[Column]map[string]string

// maxMappedValues bounds the values of a map, over all columns.
const maxMappedValues = 2000

// mappable reports whether values of a column can be mapped: not those that say
// who a row is about.
func mappable(c Column) bool {
	return c != ColumnEmail && c != ColumnName && c != ColumnExternalID
}

// ParseValueMap reads a value map for files with these columns from JSON. Values
// are trimmed. The error is a sentence about value_map, without its end. Nothing means no
// map.
func ParseValueMap(raw string, columns []Column) (ValueMap, error) {
	if strings.TrimSpace(raw) == "" {
		return nil, nil
	}
	given, err := decodeValueMap(raw)
	if err != nil {
		return nil, err
	}
	m, n := ValueMap{}, 0
	for _, g := range given {
		if err := checkMappedColumn(g.column, columns); err != nil {
			return nil, err
		}
		if n++; n > maxMappedValues {
			return nil, fmt.Errorf("value_map has more than %d values", maxMappedValues)
		}
		from, to := strings.TrimSpace(g.from), strings.TrimSpace(g.to)
		if m[g.column] == nil {
			m[g.column] = map[string]string{}
		}
		_, again := m[g.column][from]
		switch problem := mappedProblem(g.column, to); {
		case from == "":
			return nil, fmt.Errorf("value_map has a blank value for %s; what a blank cell means can't be mapped", g.column)
		case strings.Contains(from, "\x00"): // no file has it, and the database cannot store it
			return nil, fmt.Errorf("value_map has a NUL in a value for %s", g.column)
		case again:
			return nil, fmt.Errorf("value_map has %q twice for %s", TruncateValue(from), g.column)
		case problem != nil:
			return nil, fmt.Errorf("value_map maps %q to %q, which %s can't be: %s", TruncateValue(from), TruncateValue(to), g.column, strings.TrimSuffix(problem.Message, "."))
		}
		m[g.column][from] = to
	}
	if len(m) == 0 {
		return nil, nil
	}
	return m, nil
}

func checkMappedColumn(c Column, columns []Column) error {
	var names []string
	for _, known := range columns {
		if mappable(known) {
			names = append(names, string(known))
		}
	}
	switch {
	case !slices.Contains(columns, c):
		return fmt.Errorf("value_map contains an unknown column %q; values can be mapped in %s", TruncateValue(string(c)), strings.Join(names, ", "))
	case !mappable(c):
		return fmt.Errorf("value_map can't map values of %s; values can be mapped in %s", c, strings.Join(names, ", "))
	}
	return nil
}

// mappedProblem is what is wrong with a value of ours, judged like a cell.
func mappedProblem(c Column, value string) *Problem {
	if !slices.Contains(Columns[:], c) {
		return AttributeProblem(string(c), value)
	}
	cells := Cells{Email: "user@example.com", Name: "User"}
	switch c {
	case ColumnRole:
		cells.Role = value
	case ColumnStatus:
		cells.Status = value
	case ColumnDepartment:
		cells.Department = value
	case ColumnLocale:
		cells.Locale = value
	default: // a column that was added, and that userfile does not map
		p := problem(c, MalformedRow, value, "values of %s can't be mapped.", c)
		return &p
	}
	if _, problems := CheckRow(cells); len(problems) > 0 {
		return &problems[0]
	}
	return nil
}

// mappedValue is a value as it is in the JSON of a value map.
type mappedValue struct {
	column   Column
	from, to string
}

var errValueMapForm = errors.New(`value_map must be a JSON object that gives for each column an object of strings, such as {"role": {"Manager": "admin", "Staff": "user"}}`)

// decodeValueMap reads the JSON token by token: the usual way would take the last
// of two equal names, which nobody can be sure is the one that is meant.
func decodeValueMap(raw string) (values []mappedValue, err error) {
	dec := json.NewDecoder(bytes.NewReader([]byte(raw)))
	if err := expectDelim(dec, '{'); err != nil {
		return nil, err
	}
	seen := map[Column]bool{}
	for dec.More() {
		name, err := textToken(dec)
		if err != nil {
			return nil, err
		}
		column := Column(name)
		if seen[column] {
			return nil, fmt.Errorf("value_map has the column %q twice", TruncateValue(name))
		}
		seen[column] = true
		if err := expectDelim(dec, '{'); err != nil {
			return nil, err
		}
		for dec.More() {
			from, err := textToken(dec)
			if err != nil {
				return nil, err
			}
			to, err := textToken(dec)
			if err != nil {
				return nil, err
			}
			values = append(values, mappedValue{column, from, to})
		}
		if err := expectDelim(dec, '}'); err != nil {
			return nil, err
		}
	}
	if err := expectDelim(dec, '}'); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errValueMapForm
	}
	return values, nil
}

func expectDelim(dec *json.Decoder, want json.Delim) error {
	if token, err := dec.Token(); err != nil || token != want {
		return errValueMapForm
	}
	return nil
}

func textToken(dec *json.Decoder) (string, error) {
	token, err := dec.Token()
	s, ok := token.(string)
	if err != nil || !ok {
		return "", errValueMapForm
	}
	return s, nil
}
