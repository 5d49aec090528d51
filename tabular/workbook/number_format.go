package workbook

import (
	"bytes"
	"strconv"
	"strings"
)

// numberFormat is as much of a cell's number format as decides about its value.
type numberFormat struct {
	date, time bool
	// mask shows a whole number with leading zeros or with text between its digits:
	// 0, # and ? are digits, anything else is shown as it is. "": as a plain number.
	mask string
}

// builtInFormat returns a format that has no code in the file. Some
// are dates only in the language of the program that wrote the file.
func builtInFormat(id int) numberFormat {
	switch {
	case id >= 14 && id <= 17, id >= 27 && id <= 31, id == 36, id >= 50 && id <= 54, id == 57, id == 58:
		return numberFormat{date: true}
	case id == 22:
		return numberFormat{date: true, time: true}
	case id >= 18 && id <= 21, id >= 32 && id <= 35, id >= 45 && id <= 47, id == 55, id == 56:
		return numberFormat{time: true}
	}
	return numberFormat{}
}

// parseFormat reads the code of a number format, such as yyyy-mm-dd or 00000. Only
// its first section counts, which is for positive numbers.
func parseFormat(code string) numberFormat {
	var f numberFormat
	var mask strings.Builder
	zeros, digits, literals, months, plain := 0, 0, 0, false, strings.EqualFold(strings.TrimSpace(code), "general")
	for i := 0; i < len(code); i++ {
		switch c := code[i]; c {
		case ';':
			i = len(code)
		case '"':
			end := strings.IndexByte(code[i+1:], '"')
			if end < 0 {
				end = len(code) - i - 1
			}
			mask.WriteString(quotedMask(code[i+1 : i+1+end]))
			literals += end
			i += end + 1
		case '\\':
			if i++; i < len(code) {
				mask.WriteString(quotedMask(code[i : i+1]))
				literals++
			}
		case '_', '*': // a blank as wide as the next character; the next character, repeated
			i++
		case '[':
			end := strings.IndexByte(code[i:], ']')
			if end < 0 {
				return numberFormat{}
			}
			switch inside := strings.ToLower(code[i+1 : i+end]); strings.Trim(inside, "hms") {
			case "": // elapsed time, as [h]:mm
				f.time = f.time || inside != ""
			}
			i += end
		case '0', '#', '?':
			if digits++; c == '0' {
				zeros++
			}
			mask.WriteByte(c)
		case 'y', 'Y', 'd', 'D', 'g', 'G', 'e', 'b', 'B':
			if !plain {
				f.date = true
			}
		case 'h', 'H', 's', 'S':
			f.time = true
		case 'm', 'M':
			months = true
		case 'A', 'a', 'P', 'p': // AM/PM
			f.time = f.time || strings.HasPrefix(strings.ToUpper(code[i:]), "AM/PM") || strings.HasPrefix(strings.ToUpper(code[i:]), "A/P")
			plain = true
		case '-', '/', ' ', '(', ')', '+', ':':
			mask.WriteByte(c)
			if c == '/' && digits > 0 {
				plain = true // a fraction, or a date
			}
			literals++
		default: // a decimal point, a thousands separator, %, an exponent, @
			plain = true
		}
	}
	f.date = f.date || months && !f.time
	if f.date || f.time || plain || zeros == 0 || zeros < 2 && literals == 0 {
		f.mask = ""
		return f
	}
	f.mask = mask.String()
	return f
}

// maskQuote is put before a character of a mask that is shown as it is although it
// looks like a digit.
const maskQuote = '\\'

func quotedMask(text string) string {
	return strings.NewReplacer(`\`, `\\`, "0", `\0`, "#", `\#`, "?", `\?`).Replace(text)
}

// number writes a number as the format shows it.
func (f numberFormat) number(raw []byte, since1904 bool) []byte {
	if f.date || f.time {
		if serial, err := strconv.ParseFloat(string(raw), 64); err == nil {
			if text, ok := dateText(serial, f.date, f.time, since1904); ok {
				return text
			}
		}
	}
	value := plainNumber(raw)
	if f.mask == "" || !isDigits(value) {
		return value
	}
	return fillMask(f.mask, value)
}

// fillMask puts digits into a mask, from the right. Those for which it has no place
// come where its first place is.
func fillMask(mask string, digits []byte) []byte {
	var reversed []byte
	last := firstPlace(mask)
	for i := len(mask) - 1; i >= 0; i-- {
		c := mask[i]
		if i > 0 && quoted(mask, i) {
			reversed = append(reversed, c)
			i--
			continue
		}
		if c != '0' && c != '#' && c != '?' {
			reversed = append(reversed, c)
			continue
		}
		switch {
		case len(digits) > 0:
			reversed = append(reversed, digits[len(digits)-1])
			digits = digits[:len(digits)-1]
		case c == '0':
			reversed = append(reversed, '0')
		}
		for i == last && len(digits) > 0 {
			reversed = append(reversed, digits[len(digits)-1])
			digits = digits[:len(digits)-1]
		}
	}
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	return bytes.TrimSpace(reversed)
}

// quoted reports whether the character at i of a mask is shown as it is.
func quoted(mask string, i int) bool {
	n := 0
	for i > 0 && mask[i-1] == maskQuote {
		n++
		i--
	}
	return n%2 == 1
}

// firstPlace returns the index of the first place for a digit.
func firstPlace(mask string) int {
	for i := range len(mask) {
		if c := mask[i]; (c == '0' || c == '#' || c == '?') && !quoted(mask, i) {
			return i
		}
	}
	return -1
}
