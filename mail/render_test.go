package mail_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"rollcall/mail"
	"rollcall/roster"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func invitation() mail.Invitation {
	return mail.Invitation{
		Brand:     "SecureAI",
		From:      "no-reply@example.com",
		To:        "ada@example.org",
		Name:      "Ada Lovelace",
		Link:      "https://app.example.com/invite/abc-DEF_123?from=mail&x=1",
		ExpiresAt: time.Date(2026, 3, 4, 6, 7, 8, 0, time.FixedZone("", 3600)),
		MessageID: "fixed@example.com",
		Date:      time.Date(2026, 3, 1, 5, 7, 9, 0, time.UTC),
	}
}

func render(tb testing.TB, i mail.Invitation) mail.Message {
	tb.Helper()
	m, err := mail.RenderInvitation(i)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; if that is right, run the test with -update (-want +got):\n%s", path, diff)
	}
}

func TestRenderGolden(t *testing.T) {
	t.Parallel()
	test := mail.Test{Brand: "SecureAI", From: "no-reply@example.com", To: "ada@example.org", Date: invitation().Date}
	notice := mail.Notice{Brand: test.Brand, From: test.From, To: test.To, Name: "Ada Lovelace", Date: test.Date}
	factor := mail.SecondFactorChange{Account: "jane@example.com", Change: "reset", ChangedAt: test.Date}
	own := factor
	own.Own, own.Change = true, "set"
	for name, do := range map[string]func() (mail.Message, error){
		"invitation": func() (mail.Message, error) { return mail.RenderInvitation(invitation()) },
		"reminder":   func() (mail.Message, error) { return mail.RenderReminder(invitation()) },
		"reset":      func() (mail.Message, error) { return mail.RenderReset(mail.Reset(invitation())) },
		"test":       func() (mail.Message, error) { return mail.RenderTest(test) },
		"mail_server": func() (mail.Message, error) {
			return mail.RenderServerChange(notice, mail.ServerChange{
				Actor: "eve@example.org", After: "smtp.evil.example\r\nBcc: x", ChangedAt: test.Date, Link: "https://app.example.com/admin/audit",
			})
		},
		"second_factor":     func() (mail.Message, error) { return mail.RenderSecondFactorChange(notice, factor) },
		"second_factor_own": func() (mail.Message, error) { return mail.RenderSecondFactorChange(notice, own) },
		"address_changed":   func() (mail.Message, error) { return mail.RenderAddressChanged(notice) },
		"import_ended": func() (mail.Message, error) {
			return mail.RenderImportEnded(notice, mail.EndedImport{
				Status: roster.Completed, StartedAt: test.Date, Imported: 1, Updated: 1200, Disabled: 3, Failed: 2, Link: "https://app.example.com/admin/imports/1",
			})
		},
		"import_failed": func() (mail.Message, error) {
			return mail.RenderImportEnded(notice, mail.EndedImport{Status: roster.Failed, Failure: roster.MissingColumn, StartedAt: test.Date, Link: "https://app.example.com/admin/imports/1"})
		},
		"import_missed": func() (mail.Message, error) {
			return mail.RenderImportMissed(notice, mail.MissedImport{
				Token: "HR <nightly>\r\nBcc: x", Source: "hr", Every: 26 * time.Hour, Since: test.Date, Link: "https://app.example.com/admin/settings/tokens",
			})
		},
		"import_held": func() (mail.Message, error) {
			return mail.RenderImportHeld(notice, mail.HeldImport{Filename: "<roster>\r\n.csv", Disable: 1, Limit: 2, Link: "https://app.example.com/admin/imports/1"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := do()
			if err != nil {
				t.Fatal(err)
			}
			if m.From != "no-reply@example.com" || m.FromName != "SecureAI" || m.To != "ada@example.org" || !m.Date.Equal(test.Date) {
				t.Errorf("message %+v", m)
			}
			golden(t, name+".txt", "Subject: "+m.Subject+"\n\n"+m.Text)
			golden(t, name+".html", m.HTML)
		})
	}
}

// anchors returns the targets of all links of a page, and fails on anything
// that a mail program would have to fetch or run.
func anchors(t *testing.T, page string) []string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for node := range root.Descendants() {
		if node.Type != html.ElementNode {
			continue
		}
		switch node.Data {
		case "img", "script", "link", "iframe", "form", "object", "svg":
			t.Errorf("the mail holds <%s>", node.Data)
		}
		for _, attribute := range node.Attr {
			if attribute.Key == "href" {
				targets = append(targets, attribute.Val)
			}
			if attribute.Key == "src" || strings.HasPrefix(attribute.Key, "on") {
				t.Errorf("the mail holds %s=%q", attribute.Key, attribute.Val)
			}
		}
	}
	return targets
}

func TestRenderGreetsByNameOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]string{ // name: greeting in the text
		"Ada Lovelace":                                 "Hello Ada Lovelace,",
		"  Ada\t\nLovelace ":                           "Hello Ada Lovelace,",
		"J. R. R. Tolkien":                             "Hello J. R. R. Tolkien,",
		"J.R.R. Tolkien":                               "Hello J.R.R. Tolkien,",
		"Seán O’Neill-Smith Jr.":                       "Hello Seán O’Neill-Smith Jr.,",
		"Jean-Luc d'Arc":                               "Hello Jean-Luc d'Arc,",
		"Z\u0308oe Nguye\u0302\u0303n":                 "Hello Z\u0308oe Nguye\u0302\u0303n,",
		"अनिता कुमार":                                  "Hello अनिता कुमार,",
		strings.Repeat("é", 40):                        "Hello " + strings.Repeat("é", 40) + ",",
		strings.Repeat("é", 41):                        "Hello,",
		"Seán O'Neill-Smith, Jr.":                      "Hello,", // a comma may begin a sentence
		"Ada! You have won":                            "Hello,",
		"Ada (see below)":                              "Hello,",
		"your account will be closed unless you reply": "Hello,",
		"山田 太郎":                                        "Hello 山田 太郎,",
		"Ludwig XIV 2":                                 "Hello,",
		"<b>Ada</b> & Co":                              "Hello,",
		"<script>":                                     "Hello,",
		"Ada\u202eevil":                                "Hello Adaevil,",
		"":                                             "Hello,",
		"http://evil.example":                          "Hello,",
		"Click evil.example now":                       "Hello,",
		"evil．example":                                 "Hello,",
		"evil.example":                                 "Hello,",
		"evil。example":                                 "Hello,",
		"evil\u200b.exam\u200bple":                     "Hello,",
		"WWW.evil":                                     "Hello,",
		"javascript:alert(1)":                          "Hello,",
		"eve@evil":                                     "Hello,",
		"10.0.0.1":                                     "Hello,",
		"call 0800 555 123":                            "Hello,",
		`\\evil\share`:                                 "Hello,",
		strings.Repeat("Ada ", 30):                     "Hello,",
		"Ada\r\n\r\nhttps://evil.co":                   "Hello,",
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := invitation()
			i.Name = name
			m := render(t, i)
			if got, _, _ := strings.Cut(m.Text, "\n"); got != want {
				t.Errorf("greeting %q, want %q", got, want)
			}
			for _, target := range anchors(t, m.HTML) {
				if target != i.Link {
					t.Errorf("a link to %q", target)
				}
			}
			if strings.Contains(m.HTML, "<script>") || strings.Contains(m.HTML, "<b>Ada") {
				t.Error("the name is not escaped")
			}
		})
	}
}

func TestRenderShowsLinkTwice(t *testing.T) {
	t.Parallel()
	i := invitation()
	m := render(t, i)
	if got, want := anchors(t, m.HTML), []string{i.Link, i.Link}; !cmp.Equal(got, want) {
		t.Errorf("links %q, want %q", got, want)
	}
	if !strings.Contains(m.Text, "\n"+i.Link+"\n") {
		t.Error("the link is not on a line of its own in the text")
	}
}

func TestRenderRefusesLinks(t *testing.T) {
	t.Parallel()
	for _, link := range []string{
		"", "/invite/abc", "javascript:alert(1)", "ftp://example.com/x", "https://", "https://user:pass@example.com/",
		"https://example.com/a b", "https://example.com/\r\nx", "https://example.com/\"onclick=", "https://example.com/ü",
	} {
		i := invitation()
		i.Link = link
		for name, do := range map[string]func() (mail.Message, error){
			"invitation": func() (mail.Message, error) { return mail.RenderInvitation(i) },
			"reset":      func() (mail.Message, error) { return mail.RenderReset(mail.Reset(i)) },
			"mail_server": func() (mail.Message, error) {
				return mail.RenderServerChange(mail.Notice{}, mail.ServerChange{Link: link})
			},
			"import_held": func() (mail.Message, error) {
				return mail.RenderImportHeld(mail.Notice{}, mail.HeldImport{Link: link})
			},
		} {
			if _, err := do(); !errors.Is(err, mail.ErrLink) || link != "" && strings.Contains(err.Error(), link) {
				t.Errorf("%s with %q: %v", name, link, err)
			}
		}
	}
}

func TestRenderTellsRemainingTime(t *testing.T) {
	t.Parallel()
	tests := map[time.Duration]string{
		-time.Hour:                    "1 minute",
		30 * time.Second:              "1 minute",
		time.Hour:                     "60 minutes",
		2*time.Hour - time.Second:     "2 hours",
		24 * time.Hour:                "24 hours",
		72*time.Hour - 90*time.Second: "3 days",
		7 * 24 * time.Hour:            "7 days",
	}
	for remaining, want := range tests {
		i := invitation()
		i.ExpiresAt = i.Date.Add(remaining)
		m := render(t, i)
		for _, body := range []string{m.Text, m.HTML} {
			if !strings.Contains(body, "expires in "+want+",") {
				t.Errorf("%v is not told as %q", remaining, want)
			}
		}
	}
}
