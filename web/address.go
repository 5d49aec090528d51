package web

import (
	"html/template"
	"regexp"
	"strings"
)

// unbrokenPart is the longest part of an address, in bytes, that is kept on one
// line; longer parts break wherever the line is full.
const unbrokenPart = 24

var addressPart = regexp.MustCompile(`@|\.?[^@.]+|\.`)

// address renders an email address, or another value a person typed, isolated
// from the direction of the surrounding text. An address reads from left to
// right and wraps only after its @ and before its dots.
func address(value string) template.HTML {
	if !strings.Contains(value, "@") {
		return template.HTML("<bdi>" + template.HTMLEscapeString(value) + "</bdi>")
	}
	attributes := ` dir="ltr" class="address"`
	if strings.ContainsAny(value, " ,;") {
		attributes = ` dir="ltr"` // more than one address
	}
	var text strings.Builder
	for _, part := range addressPart.FindAllString(value, -1) {
		if len(part) > unbrokenPart {
			attributes = ` dir="ltr"`
		}
		if part[0] == '.' {
			text.WriteString("<wbr>")
		}
		text.WriteString(template.HTMLEscapeString(part))
		if part == "@" {
			text.WriteString("<wbr>")
		}
	}
	return template.HTML("<bdi" + attributes + ">" + text.String() + "</bdi>")
}

// longestShown is how many characters of a file's value a table shows.
const longestShown = 80

// clipped renders a value like address, but cuts a very long one and puts it
// into the title in full. An address keeps its end: that is who gets the mail.
func clipped(value string) template.HTML {
	runes := []rune(value)
	if len(runes) <= longestShown {
		return address(value)
	}
	short := string(runes[:longestShown]) + "…"
	if strings.Contains(value, "@") {
		short = string(runes[:longestShown/2]) + "…" + string(runes[len(runes)-longestShown/2:])
	}
	return `<span title="` + template.HTML(template.HTMLEscapeString(value)) + `">` + address(short) + `</span>`
}
