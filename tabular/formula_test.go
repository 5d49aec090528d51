package tabular_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/tabular"
)

func TestEscapeFormula(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"":                     "",
		"Ada":                  "Ada",
		"a=b":                  "a=b",
		"'":                    "'",
		"'Ada":                 "'Ada",
		"O'Brien":              "O'Brien",
		"=1+1":                 "'=1+1",
		"+49 30 1":             "'+49 30 1",
		"-":                    "'-",
		"@SUM(A1)":             "'@SUM(A1)",
		"\tx":                  "'\tx",
		"\rx":                  "'\rx",
		"\nx":                  "'\nx",
		" =1":                  "' =1",
		"\u00a0\u200b\uFEFF=1": "'\u00a0\u200b\uFEFF=1",
		"\x00=1":               "'\x00=1",
		"＝1":                   "'＝1",
		"＋1":                   "'＋1",
		"－1":                   "'－1",
		"＠1":                   "'＠1",
		"'=1":                  "''=1",
		"'' =1":                "''' =1",
		"' '=1":                "' '=1", // shown as text as it is

		// Behind what begins another cell in some spreadsheet.
		"x;=1":            "x;'=1",
		"x,=1":            "x,'=1",
		"x|=1|y":          "x|'=1|y",
		"x\t=1":           "x\t'=1",
		"x\n=1":           "x\n'=1",
		"x\r\n+1\r\n-1":   "x\r\n'+1\r\n'-1",
		"x; =1":           "x;' =1",
		"x;\u00a0＝1":      "x;'\u00a0＝1",
		"x;\"=1\"":        "x;'\"=1\"",
		"x;\"\"@SUM(A1)":  "x;'\"\"@SUM(A1)",
		"x;'=1":           "x;''=1",
		"x;'y":            "x;'y",
		"=1;=2;3":         "'=1;'=2;3",
		";;@a":            ";;'@a",
		"Sales; Ops, R+D": "Sales; Ops, R+D",
	} {
		if got := tabular.EscapeFormula(cell); got != want {
			t.Errorf("Guard(%q) = %q, want %q", cell, got, want)
		}
		if got := tabular.UnescapeFormula(want); got != cell {
			t.Errorf("Unguard(%q) = %q, want %q", want, got, cell)
		}
	}
}

// TestUnescapeFormulaLeavesOthers shows that only an apostrophe in front of a formula goes.
func TestUnescapeFormulaLeavesOthers(t *testing.T) {
	t.Parallel()
	for _, cell := range []string{"", "'", "''", "'Ada", "=1", "' Ada"} {
		if got := tabular.UnescapeFormula(cell); got != cell {
			t.Errorf("Unguard(%q) = %q", cell, got)
		}
	}
}

func TestEscapeFormulaIsReversible(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.StringOf(rapid.SampledFrom([]rune("'=+-@\t\r\n,;|\"＝ \u00a0\u200b\x00a"))).Draw(t, "cell")
		expectReversible(t, cell)
	})
}

func FuzzEscapeFormula(f *testing.F) {
	for _, seed := range []string{"", "=1", "'=1", "' =", "''+", "\xff=", "'\xff-", "a;=1", "a,'=1", "a\n\"=1", "a|'\"'=", ";;\xff="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cell string) { expectReversible(t, cell) })
}

func expectReversible(t interface{ Fatalf(string, ...any) }, cell string) {
	guarded := tabular.EscapeFormula(cell)
	if got := tabular.UnescapeFormula(guarded); got != cell {
		t.Fatalf("%q, guarded %q, comes back as %q", cell, guarded, got)
	}
	text := tabular.EscapeText(cell)
	if got := tabular.UnescapeFormula(text); got != cell {
		t.Fatalf("%q, written as the text %q, comes back as %q", cell, text, got)
	}
	if !strings.Contains(cell, "'") && text != cell {
		t.Fatalf("%q without an apostrophe is written as the text %q", cell, text)
	}
	if guarded != "" {
		switch guarded[0] {
		case '=', '+', '-', '@', '\t', '\r', '\n':
			t.Fatalf("%q, guarded %q, is still a formula", cell, guarded)
		}
	}
	for i, part := range strings.FieldsFunc(guarded, func(r rune) bool { return strings.ContainsRune(",;|\t\r\n", r) }) {
		cut := "\" "
		if i == 0 && strings.HasPrefix(guarded, part) {
			cut = " " // the writer doubles quotes at the start of a cell, so they begin no quoted cell
		}
		if part = strings.TrimLeft(part, cut); part != "" && strings.ContainsRune("=+-@", rune(part[0])) {
			t.Fatalf("%q, guarded %q, has a formula in part %d", cell, guarded, i)
		}
	}
}
