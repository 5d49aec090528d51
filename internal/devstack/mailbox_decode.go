package devstack

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // decodes more than UTF-8
	"github.com/emersion/go-message/mail"
	"golang.org/x/net/html"
)

// maxMailDepth bounds how deep multiparts may nest.
const maxMailDepth = 8

var errTooDeep = errors.New("multiparts nest too deep")

// decodeMail decodes a mail as far as possible: what cannot be decoded is shown
// as it was received, because a broken mail is what a developer wants to look
// at.
func decodeMail(id uint64, m receivedMail) Captured {
	captured := Captured{
		ID:         strconv.FormatUint(id, 10),
		To:         strings.Join(m.To, ", "),
		From:       m.From,
		ReceivedAt: m.ReceivedAt,
		Links:      []string{},
	}
	entity, _ := message.Read(bytes.NewReader(m.Raw)) // an unknown charset still gives the entity
	if entity == nil {
		captured.Text = strings.ToValidUTF8(string(m.Raw), "\uFFFD")
		return captured
	}
	header := mail.Header{Header: entity.Header}
	subject, _ := header.Subject() // as it is if it cannot be decoded
	captured.Subject = strings.ToValidUTF8(subject, "\uFFFD")
	if from := decodeFrom(header); from != "" {
		captured.From = strings.ToValidUTF8(from, "\uFFFD")
	}
	_ = entity.Walk(captured.addPart) // stops at the first unreadable part; the parts before it are shown
	captured.Links = unique(append(textLinks(captured.Text), htmlLinks(captured.HTML)...))
	return captured
}

// addPart takes the first text and the first HTML part.
func (c *Captured) addPart(path []int, part *message.Entity, err error) error {
	switch {
	case part == nil:
		return err
	case len(path) > maxMailDepth:
		return errTooDeep
	}
	mediaType, _, err := part.Header.ContentType()
	if err != nil {
		mediaType = "text/plain" // RFC 2045, section 5.2
	}
	switch {
	case mediaType == "text/plain" && c.Text == "":
		c.Text = readText(part.Body)
	case mediaType == "text/html" && c.HTML == "":
		c.HTML = readText(part.Body)
	}
	return nil
}

// readText returns what can be read before any error, as UTF-8 with LF line ends.
func readText(body io.Reader) string {
	decoded, _ := io.ReadAll(body)
	return strings.ToValidUTF8(strings.ReplaceAll(string(decoded), "\r\n", "\n"), "\uFFFD")
}

// decodeFrom returns the From header as `Name <address>` or the address alone,
// "" if there is none.
func decodeFrom(header mail.Header) string {
	from, err := header.AddressList("From")
	if err != nil || len(from) != 1 {
		text, _ := header.Text("From")
		return text
	}
	if from[0].Name == "" {
		return from[0].Address
	}
	return from[0].Name + " <" + from[0].Address + ">"
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

// unique keeps the first of each link. It never returns nil.
func unique(all []string) []string {
	links := []string{}
	seen := map[string]bool{}
	for _, link := range all {
		if !seen[link] {
			seen[link] = true
			links = append(links, link)
		}
	}
	return links
}
