package cli

import (
	"strconv"
	"strings"

	"rollcall/cli/termtext"
	"rollcall/roster"
)

// suggestedFlags are the flags, as typed, for the settings that the server
// suggests for a file; "" for none.
func suggestedFlags(mapping map[roster.Column]roster.Headers, encoding, delimiter string, headerRow int64) string {
	var flags []string
	for _, column := range roster.Columns {
		for _, header := range mapping[column].List() {
			flags = append(flags, "--mapping "+string(column)+"="+shellWord(header))
		}
	}
	if encoding != "" {
		flags = append(flags, "--encoding "+shellWord(encoding))
	}
	if delimiter == "\t" {
		delimiter = "tab"
	}
	if delimiter != "" {
		flags = append(flags, "--delimiter "+shellWord(delimiter))
	}
	if headerRow > 0 {
		flags = append(flags, "--header-row "+strconv.FormatInt(headerRow, 10))
	}
	return strings.Join(flags, " ")
}

// shellWord quotes a word for a shell if needed: in double quotes, which all
// shells support, or in a POSIX shell's single quotes if those are not enough.
func shellWord(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.@%+,:/"
	word = termtext.Sanitize(word)
	switch {
	case word != "" && strings.Trim(word, plain) == "":
		return word
	case !strings.ContainsAny(word, "\"\\$`!"):
		return `"` + word + `"`
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// warning describes a warning with an example and what to try.
func warning(w roster.Warning) []string {
	lines := []string{"Warning: " + termtext.Sanitize(w.Message)}
	if w.Sample != "" {
		lines = append(lines, "    Example: “"+termtext.Sanitize(w.Sample)+"”")
	}
	encoding := w.Encoding
	if w.Code == roster.WarnReadAs { // it reports what was done; there is nothing to try
		encoding = ""
	}
	if flags := suggestedFlags(w.Mapping, encoding, "", 0); flags != "" {
		lines = append(lines, "    Try: "+flags)
	}
	return lines
}
