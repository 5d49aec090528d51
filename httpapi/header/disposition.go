package header

import (
	"net/url"
	"strings"
)

// Disposition writes Content-Disposition (RFC 6266, section 4): the name in
// ASCII for those who know no better, and as it is (RFC 8187, section 3.2).
func Disposition(filename string) string {
	plain := strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' || r == '%' || r == '/' {
			return '_'
		}
		return r
	}, filename)
	value := `attachment; filename="` + plain + `"`
	if plain != filename {
		value += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(filename), "+", "%20")
	}
	return value
}
