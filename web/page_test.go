package web_test

import (
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// page is a response.
type page struct {
	*testing.T
	status int
	header http.Header
	body   string
}

// want fails the test unless the response has this status.
func (p page) want(status int) page {
	p.Helper()
	if p.status != status {
		p.Fatalf("status %d, want %d\n%s", p.status, status, p.body)
	}
	return p
}

// find returns the elements that a selector matches: compounds of tag, #id,
// .class and [name=value], with spaces for descent.
func (p page) find(selector string) []*html.Node {
	p.Helper()
	root, err := html.ParseWithOptions(strings.NewReader(p.body), html.ParseOptionEnableScripting(false))
	if err != nil {
		p.Fatal(err)
	}
	found := []*html.Node{root}
	for compound := range strings.FieldsSeq(selector) {
		seen := map[*html.Node]bool{}
		var deeper []*html.Node
		for _, above := range found {
			for node := range above.Descendants() {
				if !seen[node] && matches(node, compound) {
					seen[node] = true
					deeper = append(deeper, node)
				}
			}
		}
		found = deeper
	}
	return found
}

func matches(node *html.Node, compound string) bool {
	if node.Type != html.ElementNode {
		return false
	}
	for compound != "" {
		end := len(compound)
		if i := strings.IndexAny(compound[1:], "#.["); i >= 0 {
			end = i + 1
		}
		part := compound[:end]
		compound = compound[end:]
		ok := false
		switch part[0] {
		case '#':
			ok = attribute(node, "id") == part[1:]
		case '.':
			ok = strings.Contains(" "+attribute(node, "class")+" ", " "+part[1:]+" ")
		case '[':
			name, value, valued := strings.Cut(strings.Trim(part, "[]"), "=")
			for _, a := range node.Attr {
				ok = ok || a.Key == name && (!valued || a.Val == value)
			}
		default:
			ok = node.Data == part
		}
		if !ok {
			return false
		}
	}
	return true
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// text returns the text of the matching elements, white space collapsed, joined
// by "|".
func (p page) text(selector string) string {
	p.Helper()
	var texts []string
	for _, node := range p.find(selector) {
		texts = append(texts, nodeText(node))
	}
	return strings.Join(texts, "|")
}

// nodeText returns the text of an element, white space collapsed.
func nodeText(node *html.Node) string {
	var words strings.Builder
	for inner := range node.Descendants() {
		if inner.Type == html.TextNode {
			words.WriteString(inner.Data)
		}
	}
	return strings.Join(strings.Fields(words.String()), " ")
}

// says fails the test unless the text of the matching elements is text.
func (p page) says(selector, text string) page {
	p.Helper()
	if got := p.text(selector); got != text {
		p.Errorf("%s reads %q, want %q", selector, got, text)
	}
	return p
}
