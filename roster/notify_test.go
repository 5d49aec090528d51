package roster_test

import (
	"slices"
	"strings"
	"testing"

	"rollcall/roster"
)

func TestParseNotify(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"": nil, " ": nil, "HR@Example.com": {"hr@example.com"}, "a@b.example, c@d.example,A@b.example": {"a@b.example", "c@d.example"},
		"zoë@example.com": nil, "a@bücher.example": {"a@xn--bcher-kva.example"},
	} {
		got, err := roster.ParseNotify(text)
		if !slices.Equal(got, want) || (err != nil) != (text == "zoë@example.com") {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	many := make([]string, roster.MaxNotify+1)
	for n := range many {
		many[n] = string(rune('a'+n)) + "@example.com"
	}
	if got, err := roster.ParseNotify(strings.Join(many[1:], ",")); err != nil || len(got) != roster.MaxNotify {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"a@example.com,", "true", "a@example.com;b@example.com", "a@example.com\r\nBcc: x@example.com", "A <a@example.com>", strings.Join(many, ",")} {
		if got, err := roster.ParseNotify(text); err == nil || strings.Contains(err.Error(), "example.com") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
