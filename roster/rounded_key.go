package roster

import "strings"

// keptDigits is how many digits of a number spreadsheets keep.
const keptDigits = 15

// IsRoundedKey reports whether a key looks like a long number that a spreadsheet has
// rounded: 1.23457E+11, as it shows numbers of twelve digits and more, or more than
// 15 digits of which all further ones are zeros. Different keys may have become one.
func IsRoundedKey(key string) bool {
	if len(key) < 4 || key[0] < '0' || key[0] > '9' {
		return false
	}
	mantissa, exponent, shown := strings.Cut(strings.ToUpper(key), "E+")
	if !shown {
		return len(key) > keptDigits && isDigits(key) && strings.Trim(key[keptDigits:], "0") == ""
	}
	whole, fraction, _ := strings.Cut(strings.Replace(mantissa, ",", ".", 1), ".")
	return len(whole) == 1 && isDigits(whole+fraction) && isDigits(exponent)
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
