package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"

	"rollcall/internal/i18n"
)

// deliveredMail is a mail as it is in a mailbox.
type deliveredMail struct {
	raw             []byte
	header          mail.Header
	to, id          string
	kind            string // told by the Message-ID
	subject         string
	text, html      string
	parts, charsets []string
}

var messageIDs = map[string]*regexp.Regexp{
	"invitation": regexp.MustCompile(`^<[0-9a-f-]{36}\.1@example\.com>$`), "renewal": regexp.MustCompile(`^<[0-9a-f-]{36}\.2@example\.com>$`),
	"reminder": regexp.MustCompile(`^<[0-9a-f-]{36}\.r@example\.com>$`), "notice": regexp.MustCompile(`^<[0-9a-f-]{36}\.n@example\.com>$`),
}

// readDelivered reads a mail with a library that did not write it.
func readDelivered(t *testing.T, raw []byte) deliveredMail {
	t.Helper()
	parsed, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	m := deliveredMail{raw: raw, header: parsed.Header, to: strings.Trim(parsed.Header.Get("To"), "<>"), id: parsed.Header.Get("Message-Id")}
	for kind, pattern := range messageIDs {
		if pattern.MatchString(m.id) {
			m.kind = kind
		}
	}
	entity, err := message.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if m.subject, err = entity.Header.Text("Subject"); err != nil {
		t.Fatal(err)
	}
	if err := entity.Walk(func(_ []int, part *message.Entity, err error) error {
		if err != nil {
			return err
		}
		kind, params, err := part.Header.ContentType()
		if err != nil {
			return err
		}
		m.parts = append(m.parts, kind)
		if strings.HasPrefix(kind, "multipart/") {
			return nil
		}
		m.charsets = append(m.charsets, strings.ToLower(params["charset"]))
		body, err := io.ReadAll(part.Body)
		if kind == "text/html" {
			m.html = string(body)
		} else {
			m.text = string(body)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return m
}

var (
	signedSender = regexp.MustCompile(`^<bounces\+([a-z2-7]{48})@mail\.example\.com>$`)
	// remoteContent is what a mail program shows only after asking.
	remoteContent = regexp.MustCompile(`(?i)<img|<link|<script|@import|url\(|background=|src=`)
)

// check checks that a mail arrived as it was written, with what receivers want of it.
// ids are those of the users.
func (m deliveredMail) check(t *testing.T, ids map[string]string) {
	t.Helper()
	m.checkForm(t)
	switch lang, _, _ := strings.Cut(m.to, "@"); m.kind {
	case "invitation", "renewal", "reminder":
		m.checkLanguage(t, lang)
		if m.kind != "reminder" && !strings.HasPrefix(m.id, "<"+ids[m.to]+".") {
			t.Errorf("%s: Message-ID %s, of user %s", m.to, m.id, ids[m.to])
		}
		sender := signedSender.FindStringSubmatch(m.header.Get("Return-Path"))
		if sender == nil || sender[1] != m.header.Get("X-Rollcall-Token") {
			t.Errorf("%s: returned to %s, token %s", m.to, m.header.Get("Return-Path"), m.header.Get("X-Rollcall-Token"))
		}
	case "notice":
		if m.to != "ops@customer.example" || m.header.Get("Return-Path") != "<hr@example.com>" || m.subject != "An import into "+postfixBrand+" is complete" {
			t.Errorf("a notice to %s, returned to %s: %s", m.to, m.header.Get("Return-Path"), m.subject)
		}
	default:
		t.Errorf("Message-ID %s", m.id)
	}
}

// checkForm checks the headers and the MIME structure.
func (m deliveredMail) checkForm(t *testing.T) {
	t.Helper()
	for line := range bytes.SplitSeq(m.raw, []byte("\n")) {
		if len(line) > 998 || bytes.ContainsFunc(line, func(r rune) bool { return r >= 0x80 || r == '\r' || r == 0 }) {
			t.Errorf("%s: not a line of 7-bit text: %q", m.to, line)
		}
	}
	for name, want := range map[string]string{
		"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "DR, RN, NRN, OOF, AutoReply", "Mime-Version": "1.0", "Delivered-To": m.to,
		"List-Unsubscribe": "", "Precedence": "", // of lists, which these are not
	} {
		if got := m.header.Get(name); got != want {
			t.Errorf("%s: %s: %q, want %q", m.to, name, got, want)
		}
	}
	for _, name := range []string{"Return-Path", "From", "To", "Subject", "Date", "Message-Id", "Content-Type"} {
		if len(m.header[name]) != 1 {
			t.Errorf("%s: %s: %q", m.to, name, m.header[name])
		}
	}
	if from, err := mail.ParseAddress(m.header.Get("From")); err != nil || *from != (mail.Address{Name: postfixBrand, Address: "hr@example.com"}) {
		t.Errorf("%s: from %v, %v", m.to, from, err)
	}
	if date, err := m.header.Date(); err != nil || time.Since(date).Abs() > time.Hour {
		t.Errorf("%s: date %v, %v", m.to, date, err)
	}
	if !slices.Equal(m.parts, []string{"multipart/alternative", "text/plain", "text/html"}) || !slices.Equal(m.charsets, []string{"utf-8", "utf-8"}) {
		t.Errorf("%s: parts %v in %v", m.to, m.parts, m.charsets)
	}
	boundary := regexp.MustCompile(`boundary="?([^";\s]+)`).FindStringSubmatch(m.header.Get("Content-Type"))
	if boundary == nil || !bytes.HasSuffix(bytes.TrimSpace(m.raw), []byte("--"+boundary[1]+"--")) {
		t.Errorf("%s: cut off: %.80q", m.to, m.raw[max(0, len(m.raw)-80):])
	}
	if found := remoteContent.FindString(m.html); found != "" {
		t.Errorf("%s: not all is shown with images off: %s", m.to, found)
	}
}

// checkLanguage checks that both parts say what they should in a language.
func (m deliveredMail) checkLanguage(t *testing.T, lang string) {
	t.Helper()
	r, ok := i18n.For(lang)
	if want := oneLine(r.Text(m.kind+".subject", postfixBrand)); !ok || oneLine(m.subject) != want {
		t.Errorf("%s: subject %q, want %q", m.to, m.subject, want)
	}
	text := oneLine(m.text)
	link := invitePath.FindString(m.text)
	for _, want := range []string{r.Text("mail.greeting", postfixPeople[lang]), r.Text(m.kind+".opening", postfixBrand), "https://accounts.example.com" + link} {
		if !strings.Contains(text, oneLine(want)) {
			t.Errorf("%s: the text does not say %q:\n%s", m.to, want, m.text)
		}
	}
	for _, want := range []string{`<html lang="` + lang + `"`, postfixPeople[lang], `href="https://accounts.example.com` + link + `"`, `charset="utf-8"`} {
		if !strings.Contains(m.html, want) {
			t.Errorf("%s: the HTML does not contain %q", m.to, want)
		}
	}
	if len(link) < len("/invite/")+20 {
		t.Errorf("%s: link %q", m.to, link)
	}
}

// oneLine has one ordinary space wherever there is white space.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// spamLimit is the score that a mail has to stay below; 5 is spam.
const spamLimit = 2

// gtube is a mail that every spam filter has to find.
const gtube = "From: a@example.com\nTo: b@example.com\nSubject: GTUBE\nMessage-ID: <gtube@example.com>\n\n" +
	"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\n"

var spamStatus = regexp.MustCompile(`score=(-?[0-9.]+) .*tests=(\S*)`)

// checkSpamScores checks what SpamAssassin's own rules, without any lookup and without
// what it has learned, say about delivered mails.
func checkSpamScores(t *testing.T, mails [][]byte) {
	t.Helper()
	if _, err := exec.LookPath("spamassassin"); err != nil {
		if os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	const from = "From sender@example.com Thu Jan  1 00:00:00 1970\n"
	var box bytes.Buffer
	for _, m := range append(slices.Clone(mails), []byte(gtube)) {
		fmt.Fprintf(&box, "%s%s\n", from, bytes.ReplaceAll(m, []byte("\nFrom "), []byte("\n>From ")))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "spamassassin", "-L", "-t", "-x", "--mbox", "--siteconfigpath", spamRules(t))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + t.TempDir()}
	cmd.Stdin = &box
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("spamassassin: %v\n%s", err, complaints.String())
	}
	judged := strings.Split("\n"+string(out), "\nFrom sender@example.com ")[1:]
	if len(judged) != len(mails)+1 {
		t.Fatalf("%d of %d mails were judged\n%s", len(judged), len(mails)+1, complaints.String())
	}
	fired, found := map[string]int{}, false
	for _, one := range judged { // in any order
		_, one, _ = strings.Cut(one, "\n")
		m, err := mail.ReadMessage(strings.NewReader(one))
		if err != nil {
			t.Fatal(err)
		}
		status := spamStatus.FindStringSubmatch(strings.ReplaceAll(m.Header.Get("X-Spam-Status"), ", ", ","))
		if status == nil {
			t.Fatalf("X-Spam-Status: %q", m.Header.Get("X-Spam-Status"))
		}
		score, err := strconv.ParseFloat(status[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("Message-Id") == "<gtube@example.com>" {
			found = score >= 5
			continue
		}
		if score >= spamLimit {
			t.Errorf("to %s, %s: %q", m.Header.Get("To"), m.Header.Get("Message-Id"), status[0])
		}
		for rule := range strings.SplitSeq(status[2], ",") {
			fired[rule]++
		}
	}
	if !found {
		t.Error("the rules find no spam")
	}
	t.Logf("rules that match, and how many of %d mails: %v", len(mails), fired)
}

// spamRules is a configuration with the plugins of the system's and nothing that
// speaks for a mail because of where it comes from.
func spamRules(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	plugins, err := filepath.Glob("/etc/spamassassin/*.pre")
	if err != nil || len(plugins) == 0 {
		t.Fatalf("no plugins in /etc/spamassassin (%v)", err)
	}
	for _, file := range plugins {
		if err := os.Symlink(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			t.Fatal(err)
		}
	}
	const local = "use_bayes 0\nreport_safe 0\nscore ALL_TRUSTED 0\nscore NO_RELAYS 0\nscore NO_RECEIVED 0\n"
	if err := os.WriteFile(filepath.Join(dir, "local.cf"), []byte(local), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
