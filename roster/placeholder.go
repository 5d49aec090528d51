package roster

import (
	"strings"
	"unicode/utf8"
)

// placeholders are the words that programs write for a missing value, in lower
// case.
var placeholders = map[string]bool{
	"#n/a": true, "n/a": true, "na": true, "#null!": true, "#ref!": true, "#name?": true, "#value!": true, "#nv": true, "#wert!": true, "#bezug!": true,
	"#div/0!": true, "null": true, "nil": true, "none": true, "nan": true, "undefined": true, "[object object]": true, "(null)": true, "<null>": true,
	"(none)": true, "(blank)": true, "(empty)": true, "-": true, "--": true, "---": true, "–": true, "—": true, ".": true, "?": true, "x": true, "0": true,
	"unknown": true, "no name": true, "noname": true, "\\n": true, "true": true, "false": true, "null null": true, "undefined undefined": true,
}

// IsPlaceholder reports whether a value is a word that programs write for a missing one.
func IsPlaceholder(value string) bool {
	return len(value) < 20 && (len(value) < 4 || strings.IndexByte("#[(<-nNuUtTfF", value[0]) >= 0 || value[0] >= utf8.RuneSelf) &&
		placeholders[strings.ToLower(value)]
}
