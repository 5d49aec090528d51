package devstack_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/smtp"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/devstack"
	"rollcall/mail"
)

func startMailbox(tb testing.TB, dir string) *devstack.Mailbox {
	tb.Helper()
	mailbox, err := devstack.StartMailbox(tb.Context(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	return mailbox
}

func stopMailbox(tb testing.TB, mailbox *devstack.Mailbox) {
	tb.Helper()
	if err := mailbox.Stop(); err != nil {
		tb.Error(err)
	}
}

// mailPool is the ordinary way to send mail, pointed at the mailbox.
func mailPool(tb testing.TB, mailbox *devstack.Mailbox, size int) *mail.Pool {
	tb.Helper()
	server, err := mail.ParseURL(mailbox.SMTPURL())
	if err != nil {
		tb.Fatal(err)
	}
	pool, err := mail.NewPool(server, mail.PoolConfig{Size: size})
	if err != nil {
		tb.Fatal(err)
	}
	return pool
}

func capturedInvitation(tb testing.TB, number int) mail.Message {
	tb.Helper()
	m, err := mail.RenderInvitation(mail.Invitation{
		Brand:     "SecureÄI",
		From:      "no-reply@localhost",
		To:        fmt.Sprintf("user%d@example.org", number),
		Name:      "Ada & Søn",
		Link:      fmt.Sprintf("http://localhost:8080/invite/%d?a=1&b=2", number),
		ExpiresAt: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func sendInvitation(tb testing.TB, mailbox *devstack.Mailbox, number int) {
	tb.Helper()
	pool := mailPool(tb, mailbox, 1)
	defer pool.Close()
	if err := pool.Send(tb.Context(), capturedInvitation(tb, number)); err != nil {
		tb.Fatal(err)
	}
}

func sendRaw(tb testing.TB, mailbox *devstack.Mailbox, raw string) error {
	tb.Helper()
	server, err := mail.ParseURL(mailbox.SMTPURL())
	if err != nil {
		tb.Fatal(err)
	}
	address := server.Host + ":" + strconv.Itoa(server.Port)
	return smtp.SendMail(address, nil, "from@example.com", []string{"one@example.com", "two@example.com"}, []byte(raw))
}

func list(tb testing.TB, mailbox *devstack.Mailbox, limit int) []devstack.Captured {
	tb.Helper()
	mails, err := mailbox.List(limit)
	if err != nil {
		tb.Fatal(err)
	}
	return mails
}

func TestMailboxCapturesInvitation(t *testing.T) {
	t.Parallel()
	mailbox := startMailbox(t, t.TempDir())
	defer stopMailbox(t, mailbox)
	if mails := list(t, mailbox, 10); mails == nil || len(mails) != 0 {
		t.Errorf("a new mailbox holds %v", mails)
	}
	before := time.Now()
	sendInvitation(t, mailbox, 7)

	got := list(t, mailbox, 10)
	if len(got) != 1 {
		t.Fatalf("%d mails, want 1", len(got))
	}
	sent := capturedInvitation(t, 7)
	if at := got[0].ReceivedAt; at.Before(before) || at.After(time.Now()) || at.Location() != time.UTC {
		t.Errorf("received at %v", at)
	}
	want := devstack.Captured{
		ID: "1", To: "user7@example.org", From: "SecureÄI <no-reply@localhost>", Subject: sent.Subject,
		ReceivedAt: got[0].ReceivedAt, Text: sent.Text, HTML: sent.HTML,
		Links: []string{"http://localhost:8080/invite/7?a=1&b=2"},
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("captured mail (-want +got):\n%s", diff)
	}
	byID, err := mailbox.Get("1")
	if err != nil || !cmp.Equal(byID, got[0]) {
		t.Errorf("Get: %v, %v", byID, err)
	}
	for _, id := range []string{"", "0", "2", "-1", "x"} {
		if _, err := mailbox.Get(id); !errors.Is(err, devstack.ErrNoMail) {
			t.Errorf("Get(%q): %v", id, err)
		}
	}
}

func TestMailboxJSON(t *testing.T) {
	t.Parallel()
	encoded, err := json.Marshal(devstack.Captured{ID: "1", Links: []string{}, ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
	want := `{"id":"1","to":"","from":"","subject":"","received_at":"2026-01-02T03:04:05Z","text":"","html":"","links":[]}`
	if err != nil || string(encoded) != want {
		t.Errorf("got %s, %v\nwant %s", encoded, err, want)
	}
}

func TestMailboxDecodes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		raw  string
		want devstack.Captured
	}{
		"base64 and another charset": {
			"From: =?iso-8859-1?q?J=FCrgen?= <j@example.com>\r\nSubject: =?iso-8859-1?q?Gr=FC=DFe?=\r\n" +
				"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n\r\nR3L832U=\r\n",
			devstack.Captured{From: "Jürgen <j@example.com>", Subject: "Grüße", Text: "Grüße", Links: []string{}}},
		"nested multiparts": {
			"Subject: x\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n" +
				"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nplain https://a.example/1.\r\n--b\r\n" +
				"Content-Type: text/html\r\n\r\n<a href='https://a.example/1'>x</a><a href=\"https://b.example/?x=1&amp;y=2\">y</a><a href='javascript:x'>z</a>\r\n--b--\r\n--a--\r\n",
			devstack.Captured{From: "from@example.com", Subject: "x", Text: "plain https://a.example/1.",
				HTML:  `<a href='https://a.example/1'>x</a><a href="https://b.example/?x=1&amp;y=2">y</a><a href='javascript:x'>z</a>`,
				Links: []string{"https://a.example/1", "https://b.example/?x=1&y=2"}}},
		"not a mail": {"no header here\r\n", devstack.Captured{From: "from@example.com", Text: "no header here\r\n", Links: []string{}}},
		"unending multipart": {
			"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\ncut",
			devstack.Captured{From: "from@example.com", Text: "cut", Links: []string{}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mailbox := startMailbox(t, t.TempDir())
			defer stopMailbox(t, mailbox)
			if err := sendRaw(t, mailbox, test.raw); err != nil {
				t.Fatal(err)
			}
			got := list(t, mailbox, 1)[0]
			test.want.ID, test.want.To, test.want.ReceivedAt = "1", "one@example.com, two@example.com", got.ReceivedAt
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMailboxRefusesHugeMail(t *testing.T) {
	t.Parallel()
	mailbox := startMailbox(t, t.TempDir())
	defer stopMailbox(t, mailbox)
	raw := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 16<<10)
	if err := sendRaw(t, mailbox, raw); err == nil || !strings.HasPrefix(err.Error(), "552") {
		t.Errorf("got %v, want 552", err)
	}
	sendInvitation(t, mailbox, 1)
	if mailbox.Len() != 1 {
		t.Errorf("%d mails, want 1", mailbox.Len())
	}
}

func TestMailboxSurvivesRestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mail")
	mailbox := startMailbox(t, dir)
	sendInvitation(t, mailbox, 1)
	sendInvitation(t, mailbox, 2)
	before := list(t, mailbox, 0)
	stopMailbox(t, mailbox)

	// A crash in the middle of a write leaves part of a mail.
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v, %v", files, err)
	}
	whole, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.Replace(files[1], "2.json", "3.json.part", 1), whole[:len(whole)/4], 0o600); err != nil {
		t.Fatal(err)
	}

	mailbox = startMailbox(t, dir)
	defer stopMailbox(t, mailbox)
	if diff := cmp.Diff(before, list(t, mailbox, 0)); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	sendInvitation(t, mailbox, 3)
	after := list(t, mailbox, 2)
	if len(after) != 2 || after[0].ID != "3" || after[0].To != "user3@example.org" || !cmp.Equal(after[1], before[0]) {
		t.Errorf("after another mail: %v", after)
	}
}

func TestMailboxKeepsTheNewest(t *testing.T) {
	t.Parallel()
	const kept, sent = 100, 330
	dir := t.TempDir()
	open := func() *devstack.Mailbox {
		mailbox, err := devstack.StartMailboxWithin(t.Context(), dir, kept, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		return mailbox
	}
	mailbox := open()
	pool := mailPool(t, mailbox, 4)
	template := mail.Message{From: "no-reply@localhost", To: "ada@example.org", Subject: "x", Text: "x"}
	var senders sync.WaitGroup
	for n := range sent {
		senders.Go(func() {
			if err := pool.Send(context.Background(), template); err != nil {
				t.Errorf("mail %d: %v", n, err)
			}
		})
	}
	senders.Wait()
	pool.Close()
	check := func() {
		t.Helper()
		if mailbox.Len() != kept {
			t.Errorf("%d mails, want %d", mailbox.Len(), kept)
		}
		if newest := list(t, mailbox, 1); newest[0].ID != strconv.Itoa(sent) {
			t.Errorf("the newest is %s", newest[0].ID)
		}
		if _, err := mailbox.Get(strconv.Itoa(sent - kept + 1)); err != nil {
			t.Errorf("the oldest kept: %v", err)
		}
		if _, err := mailbox.Get(strconv.Itoa(sent - kept)); !errors.Is(err, devstack.ErrNoMail) {
			t.Errorf("one more: %v", err)
		}
	}
	check()
	stopMailbox(t, mailbox)
	mailbox = open()
	defer stopMailbox(t, mailbox)
	check()
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != kept {
		t.Errorf("%d files, want %d", len(files), kept)
	}
}

func TestMailboxStaysWithinItsBytes(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	dir := t.TempDir()
	mailbox, err := devstack.StartMailboxWithin(t.Context(), dir, 1000, limit)
	if err != nil {
		t.Fatal(err)
	}
	defer stopMailbox(t, mailbox)
	raw := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 200)
	for range 9 { // some 20 kB each
		if err := sendRaw(t, mailbox, raw); err != nil {
			t.Fatal(err)
		}
	}
	var bytes int64
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	if mailbox.Len() != 5 || len(files) != 5 || bytes > limit || list(t, mailbox, 1)[0].ID != "9" {
		t.Errorf("%d mails in %d files of %d bytes; want the newest 5 in at most %d bytes", mailbox.Len(), len(files), bytes, limit)
	}
}

func BenchmarkMailbox(b *testing.B) {
	mailbox := startMailbox(b, b.TempDir())
	defer stopMailbox(b, mailbox)
	pool := mailPool(b, mailbox, 4)
	defer pool.Close()
	m := capturedInvitation(b, 1)
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := pool.Send(context.Background(), m); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}
