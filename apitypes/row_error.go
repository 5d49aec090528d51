package apitypes

import "rollcall/roster"

// RowError is a row that failed: its first problem, and any others. Email and
// Value are nil once retention has deleted them.
type RowError struct {
	Row     int64          `json:"row"`  // as a spreadsheet numbers it
	Line    int64          `json:"line"` // as a text editor does
	Email   *string        `json:"email"`
	Reason  roster.Code    `json:"reason"`
	Field   *roster.Column `json:"field"` // nil: the row as a whole
	Value   *string        `json:"value"`
	Message string         `json:"message"`
	Fix     string         `json:"fix"`
	// Suggestion is the value probably meant; nil if that is unclear, or
	// deleted.
	Suggestion *string     `json:"suggestion"`
	Also       []AlsoWrong `json:"also"`
}

// AlsoWrong is a further problem of the same row.
type AlsoWrong struct {
	Field   *roster.Column `json:"field"`
	Reason  roster.Code    `json:"reason"`
	Message string         `json:"message"`
}

// RowErrorsOf returns the JSON form of an import's row errors, never nil.
func RowErrorsOf(i *roster.Import, refusals []roster.RowError) []RowError {
	errors := make([]RowError, len(refusals))
	for k, r := range refusals {
		p := r.Problems[0]
		errors[k] = RowError{
			Row: r.Row, Line: r.Line, Reason: p.Code, Field: FieldOf(p), Message: p.Message, Fix: p.Advice(),
			Also: make([]AlsoWrong, len(r.Problems)-1),
		}
		if !i.Purged() {
			errors[k].Email, errors[k].Value, errors[k].Suggestion = &r.Email, &p.Value, Optional(p.Suggestion)
		}
		for n, also := range r.Problems[1:] {
			errors[k].Also[n] = AlsoWrong{FieldOf(also), also.Code, also.Message}
		}
	}
	return errors
}

// FieldOf returns the JSON form of a problem's column; nil for the row as a
// whole.
func FieldOf(p roster.Problem) *roster.Column {
	if p.Field == "" {
		return nil
	}
	return &p.Field
}

// Optional returns s, or nil if it is empty.
func Optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
