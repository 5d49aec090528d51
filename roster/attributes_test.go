package roster_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/roster"
)

func TestParseAttributeNames(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		"": nil, " ": nil, "phone": {"phone"}, " cost_center , phone ": {"cost_center", "phone"},
	} {
		if got, err := roster.ParseAttributeNames(list); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", list, got, err, want)
		}
	}
	many := strings.TrimSuffix(strings.Repeat("a,", 21), ",")
	for k := range 21 {
		many = strings.Replace(many, "a,", "b"+strings.Repeat("x", k)+",", 1)
	}
	for _, list := range []string{
		"phone,", ",phone", "Phone", "cost center", "cost-center", "1st", "_x", "x_", "é", strings.Repeat("x", 41), "phone,phone", "costcenter,cost_center", many,
		"email", "e_mail", "externalid", "status", "locale", "user_id", "error_code", "row", "added_at", "password",
	} {
		if got, err := roster.ParseAttributeNames(list); err == nil {
			t.Errorf("%q is accepted as %q", list, got)
		}
	}
}

// TestAttributesAreComparable: equal values are equal texts, however they came.
func TestAttributesAreComparable(t *testing.T) {
	t.Parallel()
	a := roster.NewAttributes(map[string]string{"phone": `+49 "30" <x>`, "cost_center": "4711", "blank": ""})
	b, err := roster.ParseAttributes([]byte(`{ "cost_center" : "4711", "phone": "+49 \"30\" \u003cx\u003e" }`))
	if err != nil || a != b {
		t.Errorf("%s, then %s, %v", a, b, err)
	}
	if diff := cmp.Diff(map[string]string{"phone": `+49 "30" <x>`, "cost_center": "4711"}, a.Map()); diff != "" {
		t.Error(diff)
	}
	if got := a.With(map[string]string{"phone": "", "cost_center": "1"}); got != `{"cost_center":"1"}` {
		t.Errorf("changed: %s", got)
	}
	if got := a.With(map[string]string{"phone": "", "cost_center": ""}); got != "" {
		t.Errorf("emptied: %q", got)
	}
	for _, none := range []string{"", "{}"} {
		if got, err := roster.ParseAttributes([]byte(none)); got != "" || err != nil {
			t.Errorf("%q: %q, %v", none, got, err)
		}
	}
	if p := roster.AttributeProblem("phone", "a\x00b"); p == nil || p.Field != "phone" || p.Code != roster.MalformedRow {
		t.Errorf("a NUL: %+v", p)
	}
	if p := roster.AttributeProblem("phone", strings.Repeat("é", 500)); p != nil {
		t.Errorf("500 characters: %+v", p)
	}
}
