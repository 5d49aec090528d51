package config

import (
	"fmt"
	"log/slog"
	"strings"
)

// Secret is a value that must not be shown. Printing, logging or marshaling it
// only says whether it is set; Reveal returns it. The zero value is not set.
type Secret string

// Reveal returns the value itself.
func (s Secret) Reveal() string { return string(s) }

// String returns "(set)" or "(not set)".
func (s Secret) String() string {
	if s == "" {
		return "(not set)"
	}
	return "(set)"
}

// Format prints String for every verb, %#v, %q and %x too.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText returns String, for JSON and its like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue returns String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Secrets is a list of values that must not be shown.
type Secrets []Secret

// UnmarshalText reads values separated by commas or line breaks. White space
// around them is dropped, and so are empty ones. It never fails.
func (s *Secrets) UnmarshalText(text []byte) error {
	*s = nil
	for _, value := range strings.FieldsFunc(string(text), separatesSecrets) {
		if value = strings.TrimSpace(value); value != "" {
			*s = append(*s, Secret(value))
		}
	}
	return nil
}

// Reveal returns the values themselves.
func (s Secrets) Reveal() []string {
	values := make([]string, len(s))
	for i, secret := range s {
		values[i] = secret.Reveal()
	}
	return values
}

// String returns how many there are.
func (s Secrets) String() string { return fmt.Sprintf("(%d set)", len(s)) }

// Format prints String for every verb.
func (s Secrets) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue returns String.
func (s Secrets) LogValue() slog.Value { return slog.StringValue(s.String()) }

func separatesSecrets(r rune) bool { return r == ',' || r == '\n' || r == '\r' }
