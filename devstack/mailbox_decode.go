package devstack

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
)

// maxMailDepth bounds how deep multiparts may nest.
const maxMailDepth = 8

// decodeMail reads a mail as far as it makes sense: what cannot be decoded is
// shown as it stands, since a broken mail is just what one wants to look at.
func decodeMail(head mailHead, raw []byte) Captured {
	captured := Captured{
		ID:         strconv.FormatUint(head.ID, 10),
		To:         strings.Join(head.To, ", "),
		From:       head.From,
		ReceivedAt: head.ReceivedAt,
		Links:      []string{},
	}
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		captured.Text = strings.ToValidUTF8(string(raw), "\uFFFD")
		return captured
	}
	captured.Subject = strings.ToValidUTF8(decodeHeader(message.Header.Get("Subject")), "\uFFFD")
	if from := message.Header.Get("From"); from != "" {
		captured.From = strings.ToValidUTF8(decodeFrom(from), "\uFFFD")
	}
	captured.addPart(textproto.MIMEHeader(message.Header), message.Body, 0)
	captured.Links = unique(textLinks(captured.Text), htmlLinks(captured.HTML))
	return captured
}

func (c *Captured) addPart(header textproto.MIMEHeader, body io.Reader, depth int) {
	mediaType, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		mediaType = "text/plain" // RFC 2045, section 5.2
	}
	switch {
	case strings.HasPrefix(mediaType, "multipart/") && depth < maxMailDepth:
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if err != nil {
				return
			}
			c.addPart(part.Header, part, depth+1)
		}
	case mediaType == "text/plain" && c.Text == "":
		c.Text = decodeBody(header, params["charset"], body)
	case mediaType == "text/html" && c.HTML == "":
		c.HTML = decodeBody(header, params["charset"], body)
	}
}

// decodeBody undoes the transfer encoding and converts to UTF-8 with LF line
// ends. It returns what could be read before any error.
func decodeBody(header textproto.MIMEHeader, label string, body io.Reader) string {
	switch strings.ToLower(strings.TrimSpace(header.Get("Content-Transfer-Encoding"))) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	if label != "" && !strings.EqualFold(label, "utf-8") && !strings.EqualFold(label, "us-ascii") {
		if converted, err := charset.NewReaderLabel(label, body); err == nil {
			body = converted
		}
	}
	decoded, _ := io.ReadAll(body)
	return strings.ToValidUTF8(strings.ReplaceAll(string(decoded), "\r\n", "\n"), "\uFFFD")
}

func headerDecoder() *mime.WordDecoder {
	return &mime.WordDecoder{CharsetReader: charset.NewReaderLabel}
}

func decodeHeader(value string) string {
	decoded, err := headerDecoder().DecodeHeader(value)
	if err != nil {
		return value
	}
	return decoded
}

func decodeFrom(value string) string {
	parser := mail.AddressParser{WordDecoder: headerDecoder()}
	address, err := parser.Parse(value)
	switch {
	case err != nil:
		return decodeHeader(value)
	case address.Name == "":
		return address.Address
	default:
		return address.Name + " <" + address.Address + ">"
	}
}

var (
	webLink    = regexp.MustCompile(`https?://[^\s<>"]+`) // in running text
	leadsToWeb = regexp.MustCompile(`^https?://\S`)       // not: javascript:alert("https://")
)

func textLinks(text string) []string {
	links := webLink.FindAllString(text, -1)
	for i, link := range links {
		links[i] = strings.TrimRight(link, ".,;:!?)'")
	}
	return links
}

func htmlLinks(source string) []string {
	var links []string
	for tokens := html.NewTokenizer(strings.NewReader(source)); tokens.Next() != html.ErrorToken; {
		token := tokens.Token()
		if token.Type != html.StartTagToken || token.Data != "a" {
			continue
		}
		for _, attribute := range token.Attr {
			link := strings.TrimSpace(attribute.Val)
			if attribute.Key == "href" && leadsToWeb.MatchString(link) {
				links = append(links, link)
			}
		}
	}
	return links
}

// unique joins lists, keeping the first of each link. It never returns nil.
func unique(lists ...[]string) []string {
	links := []string{}
	seen := map[string]bool{}
	for _, link := range slices.Concat(lists...) {
		if !seen[link] {
			seen[link] = true
			links = append(links, link)
		}
	}
	return links
}
