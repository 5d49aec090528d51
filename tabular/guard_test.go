package tabular_test

import (
	"testing"

	"pgregory.net/rapid"

	"rollcall/tabular"
)

func TestGuard(t *testing.T) {
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
	} {
		if got := tabular.Guard(cell); got != want {
			t.Errorf("Guard(%q) = %q, want %q", cell, got, want)
		}
		if got := tabular.Unguard(want); got != cell {
			t.Errorf("Unguard(%q) = %q, want %q", want, got, cell)
		}
	}
}

// TestUnguardOther shows that only an apostrophe in front of a formula goes.
func TestUnguardOther(t *testing.T) {
	t.Parallel()
	for _, cell := range []string{"", "'", "''", "'Ada", "=1", "' Ada"} {
		if got := tabular.Unguard(cell); got != cell {
			t.Errorf("Unguard(%q) = %q", cell, got)
		}
	}
}

func TestGuardReversible(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.StringOf(rapid.SampledFrom([]rune("'=+-@\t\r\n＝ \u00a0\u200b\x00a"))).Draw(t, "cell")
		expectReversible(t, cell)
	})
}

func FuzzGuard(f *testing.F) {
	for _, seed := range []string{"", "=1", "'=1", "' =", "''+", "\xff=", "'\xff-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cell string) { expectReversible(t, cell) })
}

func expectReversible(t interface{ Fatalf(string, ...any) }, cell string) {
	guarded := tabular.Guard(cell)
	if got := tabular.Unguard(guarded); got != cell {
		t.Fatalf("%q, guarded %q, comes back as %q", cell, guarded, got)
	}
	if guarded != "" {
		switch guarded[0] {
		case '=', '+', '-', '@', '\t', '\r', '\n':
			t.Fatalf("%q, guarded %q, is still a formula", cell, guarded)
		}
	}
}
