package cli_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"rollcall/apitypes"
	"rollcall/cli"
	"rollcall/client"
	"rollcall/roster"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with testdata/name.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, text, want)
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	stages := []cli.Stage{
		{Phase: "Uploading", Done: 0, Total: 512},
		{Phase: "Uploading", Done: 12_300_000, Total: 27_000_000, Spent: 4 * time.Second},
		{Phase: "Waiting for a worker", Total: -1, Spent: time.Minute},
		{Phase: "Checking", Done: 120_000, Total: -1, Spent: 2 * time.Second},
		{Phase: "Importing", Done: 0, Total: 1_000_000},
		{Phase: "Importing", Done: 450_000, From: 250_000, Total: 1_000_000, Spent: 8 * time.Second},
		{Phase: "Importing", Done: 999_999, Total: 1_000_000, Spent: 100 * time.Second},
		{Phase: "Importing", Done: 1, Total: 1, Spent: time.Millisecond},
		{Phase: "Importing", Done: 450_000, Total: 1_000_000, Spent: 8 * time.Second, Away: 7 * time.Second},
	}
	var all strings.Builder
	for _, width := range []int{0, 120, 80, 40, 12, 1} {
		fmt.Fprintf(&all, "== width %d\n", width)
		for _, s := range stages {
			line := s.Line()
			if width > 0 {
				line = s.Draw(width)
			}
			if n := utf8.RuneCountInString(line); width > 0 && n >= width {
				t.Errorf("%d columns in a width of %d: %q", n, width, line)
			}
			all.WriteString(line + "|\n")
		}
	}
	golden(t, "lines.txt", all.String())
}

func TestSummary(t *testing.T) {
	t.Parallel()
	total := func(n int64) *int64 { return &n }
	refused := func(row int64, field roster.Column, value, message string) apitypes.RowError {
		return apitypes.RowError{Row: row, Field: &field, Value: &value, Message: message, Fix: "Correct it"}
	}
	var seven []apitypes.RowError
	for row := range int64(7) {
		seven = append(seven, refused(row+2, "email", "bad", "The address has no @."))
	}
	hostile := refused(1234567, "email", "\x1b]0;owned\a\u202egpj.exe\n"+strings.Repeat("é", 100), "A sentence.\r\nAnother.")
	also := refused(3, "", "", "The row has 3 cells where the header has 2.")
	also.Field = nil
	also.Also = append(also.Also, apitypes.AlsoWrong{Reason: "invalid_role", Message: "The role must be user or admin."})

	var all strings.Builder
	for _, c := range []struct {
		name string
		i    apitypes.Import
	}{
		{"all in", apitypes.Import{Status: roster.Completed, Total: total(1), Processed: 1, Imported: 1, Invitations: apitypes.InvitationCounts{Sent: 1}}},
		{"empty", apitypes.Import{Status: roster.Completed, Total: total(0)}},
		{"some in", apitypes.Import{Status: roster.Completed, Total: total(1_234_567), Imported: 1_234_000, Updated: 560, Failed: 7, Errors: seven,
			Invitations: apitypes.InvitationCounts{Pending: 1_233_990, Sent: 9, Failed: 1},
			Warnings:    []roster.Warning{{Message: "The column Phone is not known and was ignored."}}}},
		{"hostile cells", apitypes.Import{Status: roster.Completed, Total: total(5), Imported: 3, Failed: 2, Errors: []apitypes.RowError{also, hostile}}},
		{"dry run", apitypes.Import{Status: roster.Ready, DryRun: true, Total: total(50), Checked: 50, Valid: 50, Admins: 2}},
		{"canceled", apitypes.Import{Status: roster.Canceled, Total: total(50), Processed: 20, Imported: 15, Updated: 3, Failed: 2, Unprocessed: total(30)}},
		{"failed", apitypes.Import{Status: roster.Failed, Failure: &roster.Failure{Code: "missing_column", Message: "The file has no column email.", Fix: "Add the column"}}},
		{"not waited for", apitypes.Import{Status: roster.Queued}},
	} {
		ended := c.i.CreatedAt.Add(75 * time.Second)
		if c.i.FinishedAt = &ended; c.name == "all in" {
			ended = c.i.CreatedAt.Add(time.Second / 2)
		}
		report := ""
		if c.i.Failed > 0 {
			report = "Error report: users-errors.csv"
		}
		fmt.Fprintf(&all, "== %s\n%s", c.name, cli.Summary(&client.Import{Import: c.i}, report))
	}
	golden(t, "summaries.txt", all.String())
}

func TestExplain(t *testing.T) {
	t.Parallel()
	var all bytes.Buffer
	for _, err := range []error{
		errors.New("nothing special"),
		errors.New("a\x1b[31mred\nline"),
		&client.Problem{Title: "Invalid parameter", Status: 400, Detail: "A parameter cannot be used.", Code: "invalid_parameter", RequestID: "0198"},
		&client.Problem{Title: "Not ready", Status: 503, Detail: "Not ready"},
		fmt.Errorf("upload: %w", &client.Problem{Title: "File too large", Fix: "Split the file", ImportID: "7"}),
	} {
		cli.Explained(&all, err)
	}
	golden(t, "errors.txt", all.String())
}

func TestQuantities(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "0 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 01 s", 3661 * time.Second: "1 h 01 min"} {
		if got := cli.Span(d); got != want {
			t.Errorf("Span(%v) = %q, want %q", d, got, want)
		}
	}
	for address, want := range map[string]bool{
		"http://localhost:8080": false, "http://127.0.0.1": false, "http://[::1]:80": false,
		"https://example.com": false, "http://example.com": true, "http://10.0.0.1": true,
	} {
		if got := cli.InClear(address); got != want {
			t.Errorf("InClear(%q) = %v", address, got)
		}
	}
}

func TestProgressOnTerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var screen paper
		p := cli.NewProgress(&screen, 80)
		time.Sleep(time.Second)
		if screen.String() != "" {
			t.Errorf("drawn before anything happens: %q", screen.String())
		}
		for bytes := range int64(1000) { // a second of it
			p.Sent(bytes, 1000)
			time.Sleep(time.Millisecond)
		}
		synctest.Wait() // a drawing may be due at this very moment
		if n := strings.Count(screen.String(), "\r"); n < 5 || n > 10 {
			t.Errorf("drawn %d times in a second", n)
		}
		screen.Reset()
		p.Note("a \x1b[31mnote")
		if got := screen.String(); got != "\r\x1b[Ka \ufffd[31mnote\n" {
			t.Errorf("the note: %q", got)
		}
		for range 3 { // of an upload that is tried again
			p.Retrying(&client.Problem{Status: 503, Title: "Service Unavailable"}, 3*time.Second)
			time.Sleep(200 * time.Millisecond)
			if !strings.Contains(screen.String(), "no response, retrying in 3 s") {
				t.Errorf("the line does not show the retry: %q", screen.String())
			}
			p.Sent(1, 1000)
		}
		if n := strings.Count(screen.String(), "The server answered 503 Service Unavailable. Retrying.\n"); n != 1 {
			t.Errorf("told of the retry %d times, want once: %q", n, screen.String())
		}
		p.Stop()
		p.Stop()
		if !strings.HasSuffix(screen.String(), "\r\x1b[K") {
			t.Errorf("the line is left: %q", screen.String())
		}
	})
}

func TestProgressElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log paper
		p := cli.NewProgress(&log, 0)
		total := int64(1_000_000)
		time.Sleep(time.Second / 2) // so that no change falls on a line's moment
		for second := range int64(12) {
			p.Follow(&client.Import{Import: apitypes.Import{Status: roster.Importing, Total: &total, Processed: 10_000 * second}})
			time.Sleep(time.Second)
		}
		p.Stop()
		want := "Importing    4%  40,000 of 1,000,000 rows  8,888 rows/s  1 min 48 s left\n" +
			"Importing    9%  90,000 of 1,000,000 rows  9,473 rows/s  1 min 36 s left\n"
		if log.String() != want {
			t.Errorf("%q\nwant\n%q", log.String(), want)
		}
	})
}

// paper is a buffer that may be read while it is written to.
type paper struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func (p *paper) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Reset()
}
