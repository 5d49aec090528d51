package bounce_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"rollcall/mail/bounce"
)

// token is in the form of a token; two and three as well.
var token, two, three = strings.Repeat("abcd2345", 6), strings.Repeat("efgh2345", 6), strings.Repeat("ijkl2345", 6)

// dsn is a delivery status notification with these fields of a recipient.
func dsn(fields string) string {
	return "From: MAILER-DAEMON@mx.example\nTo: bounces+" + token + "@mail.example\nSubject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied\n" +
		"MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n" +
		"--b\nContent-Type: text/plain\n\nThis is the mail system. 550 5.9.9 in words that do not count.\n\n" +
		"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\nArrival-Date: Tue, 1 Dec 2026 00:00:00 +0000\n\n" + fields + "\n" +
		"--b\nContent-Type: message/rfc822\n\nReturn-Path: <bounces+" + two + "@mail.example>\nX-Rollcall-Token: " + three + "\nSubject: Set your password\n\n4.4.7 is in the mail\n--b--\n"
}

// text is a mail of a server that writes no delivery status.
func text(from, subject, body string) string {
	return "From: " + from + "\nTo: bounces+" + token + "@mail.example\nSubject: " + subject + "\nContent-Type: text/plain\n\n" + body
}

const (
	qmail = `Hi. This is the qmail-send program at mx.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ada@customer.example>:
192.5.1.10 does not like recipient.
Remote host said: 550 5.1.1 <ada@customer.example>: Recipient address rejected
Giving up on 192.5.1.10.

--- Below this line is a copy of the message.

Subject: 4.2.2 is quoted
`
	qmailPlain = `Hi. This is the qmail-send program at mx.example.
<ada@customer.example>:
Sorry, no mailbox here by that name. (#5.1.1)
`
	exchange = `Delivery has failed to these recipients or groups:

ada@customer.example<mailto:ada@customer.example>
The email address you entered couldn't be found. Please check the recipient's email address.

Diagnostic information for administrators:

Generating server: EX1.customer.example

ada@customer.example
#550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup ##

Original message headers:

Received: from EX1 (10.4.1.1) 4.1.1
`
	exim = `This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ada@customer.example
    host mx.customer.example [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<ada@customer.example>:
    550 No such user

------ This is a copy of the message, including all the headers. ------
`
	sendmailWarning = `    **********************************************
    **      THIS IS A WARNING MESSAGE ONLY      **
    **  YOU DO NOT NEED TO RESEND YOUR MESSAGE  **
    **********************************************
   ----- Transcript of session follows -----
451 customer.example: Name server timeout
Warning: message still undelivered after 4 hours
Will keep trying until message is 5 days old
`
	exchangeHTML = `<html><head><style>p {width: 5.1.1}</style></head><body><p>Delivery has failed to these recipients:</p>
<p>ada@customer.example</p><br>Remote Server returned &#39;550 5.4.1 Recipient address rejected: Access denied&#39;</body></html>`
)

func TestParse(t *testing.T) {
	t.Parallel()
	const postfix = "Final-Recipient: rfc822; ada@customer.example\nOriginal-Recipient: rfc822;ada@customer.example\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.customer.example\nDiagnostic-Code: smtp; 550 5.1.1 <ada@customer.example>: Recipient address\n rejected: User unknown\n"
	for name, c := range map[string]struct {
		mail    string
		verdict bounce.Verdict
		reason  string
	}{
		"Postfix":               {dsn(postfix), bounce.Permanent, "550 5.1.1 <ada@customer.example>: Recipient address rejected: User unknown"},
		"CRLF":                  {strings.ReplaceAll(dsn(postfix), "\n", "\r\n"), bounce.Permanent, "550 5.1.1 <ada@customer.example>: Recipient address rejected: User unknown"},
		"delayed":               {dsn("Final-Recipient: rfc822; a@b.example\nAction: delayed\nStatus: 4.4.1\nDiagnostic-Code: X-Postfix; connect to mx: timed out\n"), bounce.Delayed, "4.4.1 connect to mx: timed out"},
		"given up, temporary":   {dsn("Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 4.4.7 (delivery time expired)\n"), bounce.Delayed, "4.4.7"},
		"no status":             {dsn("Final-Recipient: rfc822; a@b.example\nAction: FAILED\nDiagnostic-Code: smtp; 554 no thanks\n"), bounce.Permanent, "554 no thanks"},
		"no status, temporary":  {dsn("Final-Recipient: rfc822; a@b.example\nAction: failed\nDiagnostic-Code: smtp; 452 full\n"), bounce.Delayed, "452 full"},
		"no action":             {dsn("Final-Recipient: rfc822; a@b.example\nStatus: 5.2.2\n"), bounce.Permanent, "5.2.2"},
		"delivered":             {dsn("Final-Recipient: rfc822; a@b.example\nAction: delivered\nStatus: 2.0.0\n"), bounce.None, ""},
		"relayed":               {dsn("Final-Recipient: rfc822; a@b.example\nAction: relayed\nStatus: 2.0.0\n"), bounce.None, ""},
		"the worst of two":      {dsn("Action: delayed\nStatus: 4.0.0\n\nAction: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp; 550 policy\n"), bounce.Permanent, "5.7.1 550 policy"},
		"qmail":                 {text("MAILER-DAEMON@mx.example", "failure notice", qmail), bounce.Permanent, "Remote host said: 550 5.1.1 <ada@customer.example>: Recipient address rejected"},
		"qmail, its own":        {text("MAILER-DAEMON@mx.example", "failure notice", qmailPlain), bounce.Permanent, "Sorry, no mailbox here by that name. (#5.1.1)"},
		"Exchange":              {text("Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@customer.example>", "Undeliverable: Set your password", exchange), bounce.Permanent, "#550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup ##"},
		"Exchange, HTML":        {strings.Replace(text("postmaster@customer.example", "Undeliverable", exchangeHTML), "text/plain", "text/html", 1), bounce.Permanent, "Remote Server returned '550 5.4.1 Recipient address rejected: Access denied'"},
		"Exim":                  {text("Mail Delivery System <Mailer-Daemon@mx.example>", "Mail delivery failed: returning message to sender", exim), bounce.Permanent, "550 No such user"},
		"sendmail warns":        {text("Mail Delivery Subsystem <MAILER-DAEMON@mx.example>", "Warning: could not send message", sendmailWarning), bounce.Delayed, "Warning: message still undelivered after 4 hours"},
		"a code of one kind":    {text("postmaster@mx.example", "Returned mail", "ada@customer.example: 452 4.2.2 mailbox full"), bounce.Delayed, "ada@customer.example: 452 4.2.2 mailbox full"},
		"words alone":           {text("postmaster@mx.example", "Returned mail", "The mailbox\ndoes not exist."), bounce.Permanent, "does not exist."},
		"an absence":            {text("Ada <ada@customer.example>", "Automatic reply: Set your password", "I am away. Error 550 5.1.1 is my favorite number, the user does not exist."), bounce.None, ""},
		"a person":              {text("Ada <ada@customer.example>", "Re: Set your password", "What is this?"), bounce.None, ""},
		"words about something": {text("postmaster@mx.example", "Hello", "We moved to 192.5.1.1 and 5.1.2.3.4."), bounce.None, ""},
		"a read receipt":        {strings.Replace(dsn(postfix), "report-type=delivery-status", "report-type=disposition-notification", 1), bounce.None, ""},
		"a complaint":           {strings.Replace(dsn(postfix), "report-type=delivery-status", "report-type=feedback-report", 1), bounce.None, ""},
		"Latin-1":               {strings.Replace(text("postmaster@mx.example", "Unzustellbar", "550 5.1.1 Empf\xe4nger unbekannt"), "text/plain", "text/plain; charset=iso-8859-1", 1), bounce.Permanent, "550 5.1.1 Empfänger unbekannt"},
		"base64":                {strings.Replace(text("postmaster@mx.example", "Returned mail", "NTUwIDUuMS4xIG5vIHN1Y2ggdXNlcg==\n"), "Content-Type", "Content-Transfer-Encoding: base64\nContent-Type", 1), bounce.Permanent, "550 5.1.1 no such user"},
		"controls":              {dsn("Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 \x1b[31m\u202ered\u202c\n"), bounce.Permanent, "5.0.0 550 [31mred"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := bounce.Parse(strings.NewReader(c.mail))
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != c.verdict || !strings.HasPrefix(r.Reason, c.reason) || (r.Reason == "") != (c.reason == "") {
				t.Errorf("verdict %d, %q; want %d, %q", r.Verdict, r.Reason, c.verdict, c.reason)
			}
			if len(r.Tokens) == 0 || r.Tokens[0] != token {
				t.Errorf("tokens %q", r.Tokens)
			}
		})
	}
}

// TestTokens: the headers of the delivery come before the mail that is returned.
func TestTokens(t *testing.T) {
	t.Parallel()
	const status = "Original-Recipient: rfc822;ada@customer.example\nAction: failed\nStatus: 5.1.1\n"
	direct := dsn(status)
	for name, c := range map[string]struct {
		mail string
		want []string
	}{
		"all":          {direct, []string{token, three, two}},
		"delivered to": {"Delivered-To: <bounces+" + strings.ToUpper(two) + "@mail.example>\n" + direct, []string{strings.ToUpper(two), token, three, two}},
		"not in To":    {strings.Replace(direct, "bounces+"+token+"@", "bounces@", 1), []string{three, two}},
		"in the status": {strings.Replace(strings.ReplaceAll(direct, token, "x"), "rfc822;ada@customer.example", "rfc822;bounces+"+token+"@mail.example", 1),
			[]string{token, three, two}},
		"headers alone": {strings.Replace(strings.Replace(direct, "bounces+"+token+"@", "bounces@", 1), "message/rfc822", "text/rfc822-headers", 1), []string{three, two}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r, err := bounce.Parse(strings.NewReader(c.mail)); err != nil || !slices.Equal(r.Tokens, c.want) {
				t.Errorf("tokens %q, want %q; %v", r.Tokens, c.want, err)
			}
		})
	}
}

// TestParseIsBounded: nothing of a huge or deep mail is read beyond the limits, and
// what came before them counts.
func TestParseIsBounded(t *testing.T) {
	t.Parallel()
	start := dsn("Action: failed\nStatus: 5.1.1\n")
	read := &counter{r: io.MultiReader(strings.NewReader(strings.TrimSuffix(start, "--b--\n")), &endless{})}
	if r, err := bounce.Parse(read); err != nil || r.Verdict != bounce.Permanent || read.n > bounce.MaxBytes+64<<10 {
		t.Errorf("%+v, %v after %d bytes", r, err, read.n)
	}
	var deep strings.Builder
	deep.WriteString("To: bounces+" + token + "@mail.example\n")
	for range 1000 {
		deep.WriteString("Content-Type: multipart/mixed; boundary=b\n\n--b\n")
	}
	if r, err := bounce.Parse(strings.NewReader(deep.String())); err != nil || r.Verdict != bounce.None || r.Tokens[0] != token {
		t.Errorf("deep: %+v, %v", r, err)
	}
	broken := errors.New("broken")
	if _, err := bounce.Parse(io.MultiReader(strings.NewReader(start[:len(start)-40]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a broken pipe: %v", err)
	}
	if _, err := bounce.Parse(strings.NewReader("\x00\x01 no mail")); err != nil && !errors.Is(err, bounce.ErrUnreadable) {
		t.Errorf("no mail: %v", err)
	}
}

type endless struct{}

func (*endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "a\n"[i%2]
	}
	return len(p), nil
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// FuzzParse: whatever comes in, the reason is one printable line, there is one if and
// only if there is a verdict, and tokens have their form.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		dsn("Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no\n"), dsn("Action: delayed\n"), text("postmaster@mx.example", "failure notice", qmail),
		text("postmaster@mx.example", "Undeliverable", exchange), text("x", "Undeliverable", exchangeHTML), "", "\n\n", "Content-Type: multipart/report; boundary=\"\"\n\n--\n",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n====\n--b--",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, mail string) {
		r, err := bounce.Parse(strings.NewReader(mail))
		if err != nil && !errors.Is(err, bounce.ErrUnreadable) {
			t.Fatal(err)
		}
		if len(r.Reason) > 300 || strings.ContainsAny(r.Reason, "\r\n\x00\x1b") || r.Verdict == bounce.None && r.Reason != "" {
			t.Errorf("verdict %d, reason %q", r.Verdict, r.Reason)
		}
		if len(r.Tokens) > 16 {
			t.Errorf("%d tokens", len(r.Tokens))
		}
	})
}
