package web

import (
	"strings"
	"testing"
)

func TestAddressWrapsAtItsSeparators(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"ada.l@mail.example.com":                   `<bdi dir="ltr" class="address">ada<wbr>.l@<wbr>mail<wbr>.example<wbr>.com</bdi>`,
		"mary-ann@example.com":                     `<bdi dir="ltr" class="address">mary-ann@<wbr>example<wbr>.com</bdi>`,
		"a@b.example, c@example":                   `<bdi dir="ltr">a@<wbr>b<wbr>.example, c@<wbr>example</bdi>`,
		"a-very-long-local-part-of-an@example.com": `<bdi dir="ltr">a-very-long-local-part-of-an@<wbr>example<wbr>.com</bdi>`,
		"J. R. R. Tolkien":                         `<bdi>J. R. R. Tolkien</bdi>`,
		`<b>"@x..y.`:                               `<bdi dir="ltr" class="address">&lt;b&gt;&#34;@<wbr>x<wbr>.<wbr>.y<wbr>.</bdi>`,
		"":                                         `<bdi></bdi>`,
	} {
		if got := string(address(value)); got != want {
			t.Errorf("address(%q) = %s, want %s", value, got, want)
		}
	}
}

func TestLongValuesAreClipped(t *testing.T) {
	t.Parallel()
	full := strings.Repeat("ä", 80)
	local, domain := strings.Repeat("x", 60), strings.Repeat("y", 36)+".com"
	for value, want := range map[string]string{
		full:                 `<bdi>` + full + `</bdi>`,
		full + `">`:          `<span title="` + full + `&#34;&gt;"><bdi>` + full + `…</bdi></span>`,
		local + "@" + domain: `<span title="` + local + "@" + domain + `"><bdi>` + local[:40] + "…" + domain + `</bdi></span>`,
	} {
		if got := string(clipped(value)); got != want {
			t.Errorf("clipped(%q) = %s, want %s", value, got, want)
		}
	}
}
