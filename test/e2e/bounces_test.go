package e2e_test

import (
	"context"
	"net/http"
	"net/smtp"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/test/smtptest"
)

const postmarkPassword = "a-password-for-postmark-of-32-characters"

const returnedMail = "From: MAILER-DAEMON@mx.example\r\nTo: undisclosed\r\nSubject: Undelivered Mail Returned to Sender\r\n\r\n550 5.1.1 no such user\r\n"

// TestBounces: mails come back in each of the three ways, and the invitation of each is
// bounced, with its reason; nothing of them is in a log.
func TestBounces(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Config{})
	h := newTestEnv(t, smallRedis(t), "SMTP_URL=smtp://"+server.Address()+"?tls=none", "ROLLCALL_MAIL_FROM=hr@example.com",
		"ROLLCALL_BOUNCE_ADDRESS=bounces@mail.example.com", "ROLLCALL_POSTMARK_PASSWORD="+postmarkPassword, "ROLLCALL_LOG_LEVEL=debug")
	api := h.startAPI()
	h.env = append(h.env, "ROLLCALL_BOUNCE_LISTEN=127.0.0.1:0")
	worker := h.startWorker()
	listening := regexp.MustCompile(`"listening for returned mail","address":"([^"]+)"`).FindStringSubmatch(worker.Output())
	if listening == nil {
		t.Fatalf("does not listen:\n%s", worker.Output())
	}

	var i imported
	h.post("email,name\nada@example.com,Ada\nbea@example.com,Bea\ncleo@example.com,Cleo\ndora@example.com,Dora\n", nil).read(&i)
	h.until(i.ID, 30*time.Second, mailed)
	senders := map[string]string{}
	for _, m := range server.Mails() {
		senders[m.To] = m.From
	}
	if len(senders) != 4 || !strings.HasPrefix(senders["ada@example.com"], "bounces+") {
		t.Fatalf("envelope senders %v", senders)
	}
	if err := smtp.SendMail(listening[1], nil, "", []string{senders["ada@example.com"]}, []byte(returnedMail)); err != nil {
		t.Error(err)
	}
	h.pipe(0, returnedMail, "--recipient", senders["bea@example.com"])
	h.pipe(0, "Delivered-To: "+strings.Replace(senders["dora@example.com"], "+", "+a", 1)+"\r\n"+returnedMail)
	token, _, _ := strings.Cut(strings.TrimPrefix(senders["cleo@example.com"], "bounces+"), "@")
	event := `{"RecordType":"Bounce","Type":"HardBounce","Details":"550 5.1.1 no such user","Metadata":{"rollcall_token":"` + token + `"}}`
	if a := h.ask("POST", "/hooks/mail/postmark", strings.NewReader(event)); a.status != 403 { // with a token of the API
		t.Errorf("%d %s", a.status, a.body)
	}
	at := strings.Replace(h.url, "http://", "http://rollcall:"+postmarkPassword+"@", 1)
	answer, err := http.Post(at+"/hooks/mail/postmark", "application/json", strings.NewReader(event))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		t.Errorf("status %d", answer.StatusCode)
	}
	h.until(i.ID, 10*time.Second, func(i imported) bool {
		return i.Invitations.Bounced == 3 && i.Invitations.Sent == 1 && i.Invitations.Failed == 0
	})
	list := string(h.ask("GET", "/api/admin/users?invitation=bounced", nil).body)
	if strings.Count(list, `"last_error":"550 5.1.1 no such user"`) != 3 || strings.Contains(list, "dora@") {
		t.Errorf("bounced are %s", list)
	}
	logs := api.Output() + worker.Output()
	for _, secret := range []string{"@example.com", token, "no such user", postmarkPassword} {
		if strings.Contains(logs, secret) {
			t.Errorf("%s is in a log", secret)
		}
	}
	h.env = append(h.env, "DATABASE_URL=postgres://127.0.0.1:1/none")
	h.pipe(75, returnedMail, "--recipient", senders["dora@example.com"])
}

// pipe runs rollcall bounce as a mail server does.
func (h *testEnv) pipe(want int, content string, args ...string) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(binaries, "rollcall"), append([]string{"bounce"}, args...)...)
	cmd.Env, cmd.Dir, cmd.Stdin = h.env, h.TempDir(), strings.NewReader(content)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		h.Errorf("rollcall bounce: %v, want exit code %d\n%s", err, want, out)
	}
}
