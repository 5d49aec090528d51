package roster_test

import (
	"testing"

	"rollcall/roster"
)

func TestIsRoundedKey(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]bool{
		"1.23457E+11": true, "1,23457E+11": true, "1E+12": true, "1.2e+15": true, "9.87654E+19": true,
		"1234567890123450": true, "123456789012345000": true,
		"": false, "0042": false, "E-17": false, "1E5": false, "A1E+2": false, "12.5E+3": false, "1.2.3E+4": false, "1E+": false, "E+12": false,
		"123456789012345": false, "1234567890123456": false, "1234567890123450X": false, "100000000000": false, "0198-77E+1X": false,
	} {
		if got := roster.IsRoundedKey(key); got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
}
