package sanitize

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// MailPage returns the HTML of a mail as a page of its own, and the allowed
// style sources for its content security policy.
//
// Mail keeps its styles in attributes, because mail programs require that, and
// a policy could only allow all style attributes or none. So they are moved
// into a stylesheet, and the policy allows that one and the mail's own by their
// hashes. Every link opens in a new tab.
func MailPage(document string) (page []byte, styles string, err error) {
	// Parse as in the sandbox, where scripts are off: <noscript> then contains
	// elements.
	root, err := html.ParseWithOptions(strings.NewReader(document), html.ParseOptionEnableScripting(false))
	if err != nil {
		return nil, "", fmt.Errorf("read mail: %w", err)
	}
	var moved moved
	var head *html.Node
	var hashes []string
	for node := range root.Descendants() {
		switch node.DataAtom {
		case atom.A:
			node.Attr = slices.DeleteFunc(node.Attr, func(a html.Attribute) bool { return a.Key == "target" || a.Key == "rel" })
			node.Attr = append(node.Attr,
				html.Attribute{Key: "target", Val: "_blank"}, html.Attribute{Key: "rel", Val: "noreferrer"})
		case atom.Head:
			head = node
		case atom.Style:
			hashes = append(hashes, styleHash(node))
		}
		moved.take(node)
	}
	if sheet := moved.sheet(); sheet != nil {
		head.AppendChild(sheet) // a parsed document always has a head
		hashes = append(hashes, styleHash(sheet))
	}
	var out bytes.Buffer
	if err := html.Render(&out, root); err != nil {
		return nil, "", fmt.Errorf("write mail: %w", err)
	}
	return out.Bytes(), strings.Join(hashes, " "), nil
}

// styleHash is a style element as a policy source (CSP Level 3, §2.3.1).
func styleHash(style *html.Node) string {
	var text strings.Builder
	for child := range style.ChildNodes() {
		text.WriteString(child.Data)
	}
	sum := sha256.Sum256([]byte(text.String()))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// moved collects the styles taken out of attributes, each once.
type moved struct{ declarations []string }

// take replaces an element's style attribute with a class. A style that could
// end the rule or the stylesheet is dropped.
func (m *moved) take(node *html.Node) {
	at := slices.IndexFunc(node.Attr, func(a html.Attribute) bool { return a.Key == "style" })
	if at < 0 {
		return
	}
	style := node.Attr[at].Val
	node.Attr = slices.Delete(node.Attr, at, at+1)
	if strings.ContainsAny(style, "{}<\\") {
		return
	}
	n := slices.Index(m.declarations, style)
	if n < 0 {
		n = len(m.declarations)
		m.declarations = append(m.declarations, style)
	}
	class := styleClass(n)
	if at := slices.IndexFunc(node.Attr, func(a html.Attribute) bool { return a.Key == "class" }); at >= 0 {
		node.Attr[at].Val += " " + class
	} else {
		node.Attr = append(node.Attr, html.Attribute{Key: "class", Val: class})
	}
}

func styleClass(n int) string { return fmt.Sprintf("moved-%d", n) }

// sheet is the stylesheet with the moved styles, nil if there are none. The
// class is named twice so that it outweighs the mail's own classes, as an
// attribute would.
func (m *moved) sheet() *html.Node {
	if len(m.declarations) == 0 {
		return nil
	}
	var rules strings.Builder
	for n, declarations := range m.declarations {
		class := styleClass(n)
		fmt.Fprintf(&rules, ".%s.%s{%s}\n", class, class, declarations)
	}
	sheet := &html.Node{Type: html.ElementNode, Data: "style", DataAtom: atom.Style}
	sheet.AppendChild(&html.Node{Type: html.TextNode, Data: rules.String()})
	return sheet
}
