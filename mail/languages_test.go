package mail_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/emersion/go-message/charset"
	gomessage "github.com/emersion/go-message/mail"
	"golang.org/x/net/html"

	"rollcall/internal/i18n"
	"rollcall/mail"
)

// kinds are the mails that there are texts for in all languages.
var kinds = map[string]func(mail.Invitation) (mail.Message, error){
	"invitation": mail.RenderInvitation,
	"reminder":   mail.RenderReminder,
	"renewal": func(i mail.Invitation) (mail.Message, error) {
		i.Kind = mail.Renewal
		return mail.RenderInvitation(i)
	},
	"reset": func(i mail.Invitation) (mail.Message, error) { return mail.RenderReset(mail.Reset(i)) },
}

// arrived is a mail as a mail program understands it.
type arrived struct{ subject, from, text, html, id, auto string }

// parse reads a mail with a library that did not write it.
func parse(t *testing.T, m mail.Message) arrived {
	t.Helper()
	wire, ok := mail.Wire(m)
	if !ok {
		t.Fatal("the mail cannot be sent")
	}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(wire.Content, []byte("\r\n")), []byte("\r\n")) {
		if len(line) > 78 || bytes.ContainsFunc(line, func(r rune) bool { return r >= 0x80 || r == '\r' || r == '\n' || r == 0 }) {
			t.Errorf("not a short 7-bit line: %q", line)
		}
	}
	reader, err := gomessage.CreateReader(bytes.NewReader(wire.Content))
	if err != nil {
		t.Fatal(err)
	}
	var a arrived
	if a.subject, err = reader.Header.Subject(); err != nil {
		t.Fatal(err)
	}
	from, err := reader.Header.AddressList("From")
	if err != nil || len(from) != 1 {
		t.Fatal(from, err)
	}
	a.from, a.auto = from[0].Name, reader.Header.Get("Auto-Submitted")
	if a.id, err = reader.Header.MessageID(); err != nil {
		t.Fatal(err)
	}
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			return a
		}
		if err != nil {
			t.Fatal(err)
		}
		header, ok := part.Header.(*gomessage.InlineHeader)
		if !ok {
			t.Fatalf("an attachment: %v", part.Header)
		}
		media, params, err := header.ContentType()
		if err != nil || !strings.EqualFold(params["charset"], "utf-8") {
			t.Errorf("%s, %v, %v", media, params, err)
		}
		body, err := io.ReadAll(part.Body)
		if err != nil {
			t.Fatal(err)
		}
		switch content := strings.ReplaceAll(string(body), "\r\n", "\n"); media {
		case "text/plain":
			a.text = content
		case "text/html":
			a.html = content
		default:
			t.Errorf("a part of type %s", media)
		}
	}
}

// TestMailsInEveryLanguage: each mail in each language arrives as it was written,
// says which language it is in, when the link ends, and can be read without images.
func TestMailsInEveryLanguage(t *testing.T) {
	t.Parallel()
	subjects := map[string]string{}
	for _, lang := range i18n.Languages() {
		for kind, render := range kinds {
			i := invitation()
			i.Reader, _ = i18n.For(lang)
			i.Brand, i.Name = "Łódź Übersee & Söhne", "Zoë Müller-Lüdenscheidt"
			m, err := render(i)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(lang+"/"+kind, func(t *testing.T) {
				a := parse(t, m)
				want := arrived{m.Subject, i.Brand, m.Text, m.HTML, i.MessageID, "auto-generated"}
				a.text, a.html = strings.TrimRight(a.text, "\n")+"\n", strings.TrimRight(a.html, "\n")+"\n"
				want.text, want.html = strings.TrimRight(want.text, "\n")+"\n", strings.TrimRight(want.html, "\n")+"\n"
				if a != want {
					t.Errorf("arrived as\n%+v\nnot\n%+v", a, want)
				}
				remaining, expires := i.Reader.Remaining(72*time.Hour), i.Reader.Moment(i.ExpiresAt)
				words := strings.Join(strings.Fields(m.Text), " ")
				for _, part := range []string{i.Name, i.Brand, i.Link, remaining, expires} {
					if !strings.Contains(words, part) || !strings.Contains(visible(t, m.HTML), part) {
						t.Errorf("the mail does not say %q:\n%s", part, m.Text)
					}
				}
				if !strings.Contains(m.HTML, `<html lang="`+lang+`"`) {
					t.Error("the HTML does not tell its language")
				}
				if targets := anchors(t, m.HTML); !slices.Equal(targets, []string{i.Link, i.Link}) {
					t.Errorf("links to %q", targets)
				}
				if strings.ContainsAny(words+m.HTML, "\ue000") || strings.Contains(words, "%!") || strings.Contains(words, "{") {
					t.Errorf("an unfilled text:\n%s", m.Text)
				}
			})
			if other, ok := subjects[m.Subject]; ok {
				t.Errorf("%s in %s has the subject of %s", kind, lang, other)
			}
			subjects[m.Subject] = kind + " in " + lang
		}
	}
}

// visible is the text of a page.
func visible(t *testing.T, page string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for node := range root.Descendants() {
		if node.Type == html.TextNode && node.Parent.Data != "style" {
			b.WriteString(node.Data)
		}
	}
	return b.String()
}

// TestOwnTexts: an organization's subject and opening are in place of the usual ones,
// with their placeholders filled, and only in a first invitation.
func TestOwnTexts(t *testing.T) {
	t.Parallel()
	i := invitation()
	i.Reader, _ = i18n.For("de")
	i.Custom = mail.CustomText{Subject: "Willkommen bei {brand} – bitte binnen {remaining}", Opening: "Schön, dass Sie dabei sind & bleiben! Bis {expires} ist Zeit."}
	m := render(t, i)
	if want := "Willkommen bei SecureAI – bitte binnen 3 Tagen"; m.Subject != want {
		t.Errorf("%q", m.Subject)
	}
	const opening = "Schön, dass Sie dabei sind & bleiben! Bis Mittwoch, 4. März 2026 um 05:07 Uhr (UTC) ist Zeit."
	if text := strings.Join(strings.Fields(m.Text), " "); !strings.Contains(text, opening) || !strings.Contains(visible(t, m.HTML), opening) || strings.Contains(text, "Administrator hat") {
		t.Errorf("%s", m.Text)
	}
	if a := parse(t, m); a.subject != m.Subject {
		t.Errorf("%q", a.subject)
	}
	for name, render := range kinds {
		if m, err := render(i); err != nil || name != "invitation" && (strings.Contains(m.Subject, "Willkommen") || strings.Contains(m.Text, "Schön")) {
			t.Errorf("%s: %q, %v", name, m.Subject, err)
		}
	}
}

func TestOwnTextProblems(t *testing.T) {
	t.Parallel()
	for text, problem := range map[string]string{
		"":                                 "",
		"Welcome to {brand}!":              "",
		"Bis {expires}, noch {remaining}.": "",
		"z. B. das Intranet, u.a. mehr; 3.5 Tage": "",
		"Welcome, {name}":                         "{name}",
		"Welcome to {brand":                       "brace",
		"{Brand}":                                 "{Brand}",
		"{brand}":                                 "word",
		"See evil.example for more":               "link",
		"See HTTPS://x":                           "link",
		"ask help@corp":                           "link",
		"see evil．example":                        "link",
		"<b>Hi</b>":                               "plain text",
		"a\u202eb":                                "can't be shown",
		strings.Repeat("é", 151):                  "151 characters; the maximum is 150",
	} {
		got := mail.CustomTextProblem("The subject", text, mail.MaxCustomSubject)
		if (problem == "") != (got == "") || !strings.Contains(got, problem) {
			t.Errorf("%q: %q, want something about %q", text, got, problem)
		}
	}
}

// TestLongTextsAreWrapped: plain text has lines that can be read.
func TestLongTextsAreWrapped(t *testing.T) {
	t.Parallel()
	for _, lang := range i18n.Languages() {
		i := invitation()
		i.Reader, _ = i18n.For(lang)
		i.Custom.Opening = strings.Repeat(fmt.Sprintf("%s wörter ", lang), 50)
		for line := range strings.Lines(render(t, i).Text) {
			if n := len([]rune(line)); n > 77 && !strings.Contains(line, "://") {
				t.Errorf("%s: %d characters: %q", lang, n, line)
			}
		}
	}
}
