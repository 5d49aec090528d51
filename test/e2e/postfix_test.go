//go:build unix

package e2e_test

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"rollcall/internal/i18n"
	"rollcall/test/postfixtest"
	"rollcall/test/proxytest"
)

const postfixBrand = "Łódź Übersee & Söhne"

// people of the tests with Postfix, one for each language.
var postfixPeople = map[string]string{
	"en": "Ada O’Neil", "de": "Jürgen Groß", "fr": "Zoë Lefèvre", "es": "Íñigo Muñoz", "it": "Niccolò Alò", "pt": "João Conceição", "nl": "Daniël de Vries", "pl": "Łucja Wójcik",
}

func personAddress(lang string) string { return lang + "@customer.example" }

// newPostfixEnv is an installation whose mails go through a Postfix at relay.
func newPostfixEnv(t *testing.T, relay *postfixtest.Server, more ...string) *testEnv {
	t.Helper()
	h := newTestEnv(t, smallRedis(t))
	h.throughPostfix(relay, more...)
	return h
}

func (h *testEnv) throughPostfix(relay *postfixtest.Server, more ...string) {
	h.env = append(h.env, "SMTP_URL=smtp://"+relay.Address+"?tls=none", "ROLLCALL_MAIL_FROM=hr@example.com", "ROLLCALL_BRAND="+postfixBrand,
		"ROLLCALL_PUBLIC_URL=https://accounts.example.com", "ROLLCALL_BOUNCE_ADDRESS=bounces@mail.example.com")
	h.env = append(h.env, more...)
}

// customer is a Postfix that delivers to the people of a domain.
func customer(t *testing.T) *postfixtest.Server {
	t.Helper()
	mailboxes := []string{"ops@customer.example"}
	for lang := range postfixPeople {
		mailboxes = append(mailboxes, personAddress(lang))
	}
	return postfixtest.Start(t, postfixtest.Config{Name: "mx.customer.example", Domain: "customer.example", Mailboxes: mailboxes})
}

// TestMailThroughPostfix: invitations, reminders and renewals in each language, and a
// notice, are delivered through two Postfix as they were written, and SpamAssassin
// has nothing against them.
func TestMailThroughPostfix(t *testing.T) {
	t.Parallel()
	mx := customer(t)
	relay := postfixtest.Start(t, postfixtest.Config{Name: "relay.example.com", Next: mx.Address})
	h := newPostfixEnv(t, relay, "ROLLCALL_INVITATION_REMINDERS=1h", "ROLLCALL_INVITATION_TTL=72h")
	h.startAPI()
	h.startWorker()
	var file strings.Builder
	file.WriteString("email,name,locale\n")
	for lang, name := range postfixPeople {
		fmt.Fprintf(&file, "%s,%s,%s\n", personAddress(lang), name, lang)
	}
	var i imported
	h.post(file.String(), nil, "notify", "ops@customer.example").read(&i)
	if len(postfixPeople) != len(i18n.Languages()) || i.Imported != int64(len(postfixPeople)) {
		t.Fatalf("%d languages: %+v", len(i18n.Languages()), i)
	}
	h.until(i.ID, 30*time.Second, mailed)
	db := h.database()
	older := func(hours int) {
		t.Helper()
		if _, err := db.Exec(`UPDATE invitations SET sent_at = sent_at - make_interval(hours => $1), expires_at = expires_at - make_interval(hours => $1)`, hours); err != nil {
			t.Fatal(err)
		}
	}
	n := len(postfixPeople)
	mx.AwaitMails(t, n+1)
	older(2)
	sent := mx.AwaitMails(t, 2*n+1)
	older(100)
	for _, raw := range sent {
		if m := readDelivered(t, raw); m.kind == "invitation" {
			if a := h.ask("POST", invitePath.FindString(m.text)+"/renew", strings.NewReader(""), "Content-Type", "application/x-www-form-urlencoded"); a.status != 200 {
				t.Errorf("renewing a link: %d", a.status)
			}
		}
	}
	sent = mx.AwaitMails(t, 3*n+1)
	kinds, ids := map[string]int{}, h.userIDs()
	for _, raw := range sent {
		m := readDelivered(t, raw)
		kinds[m.kind]++
		m.check(t, ids)
	}
	if kinds["invitation"] != n || kinds["reminder"] != n || kinds["renewal"] != n || kinds["notice"] != 1 {
		t.Errorf("delivered %v", kinds)
	}
	checkSpamScores(t, sent)
}

// userIDs are the ids of all users by address.
func (h *testEnv) userIDs() map[string]string {
	h.Helper()
	var list struct{ Items []struct{ ID, Email string } }
	h.ask("GET", "/api/admin/users", nil).read(&list)
	ids := map[string]string{}
	for _, u := range list.Items {
		ids[u.Email] = u.ID
	}
	return ids
}

// database is a connection to the installation's database.
func (h *testEnv) database() *sql.DB {
	h.Helper()
	db, err := sql.Open("postgres", h.variable("DATABASE_URL"))
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { db.Close() })
	return db
}

// TestPostfixReturnsMail: a Postfix that learns from the next one that there is no such
// person returns the mail, by a pipe or over SMTP as docs/configuration.md describes
// it, and the invitation is bounced.
func TestPostfixReturnsMail(t *testing.T) {
	t.Parallel()
	mx := customer(t)
	ways := map[string]func(*testEnv, postfixtest.Config) *postfixtest.Server{"by a pipe": returnedByPipe, "over SMTP": returnedOverSMTP}
	for name, start := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestEnv(t, smallRedis(t))
			relay := start(h, postfixtest.Config{Name: "relay.example.com", Next: mx.Address})
			h.throughPostfix(relay)
			h.startAPI()
			h.startWorker()
			var i imported
			h.post("email,name\n"+personAddress("en")+",Ada\nno.such.person@customer.example,Bea\n", nil).read(&i)
			h.until(i.ID, 30*time.Second, func(i imported) bool { return i.Invitations.Bounced == 1 && i.Invitations.Sent == 1 })
			list := string(h.ask("GET", "/api/admin/users?invitation=bounced", nil).body)
			const reason = `"last_error":"550 5.1.1 <no.such.person@customer.example>: Recipient address rejected: User unknown in virtual mailbox table"`
			if !strings.Contains(list, reason) || strings.Contains(list, personAddress("en")) {
				t.Errorf("bounced are %s", list)
			}
		})
	}
	t.Cleanup(func() {
		if got := len(mx.Mails(t)); !t.Failed() && got != len(ways) {
			t.Errorf("%d mails were delivered, want %d", got, len(ways))
		}
	})
}

// returnedByPipe is a relay that pipes returned mail to `rollcall bounce`.
func returnedByPipe(h *testEnv, c postfixtest.Config) *postfixtest.Server {
	h.Helper()
	dir := postfixtest.Dir(h)
	program, err := os.ReadFile(filepath.Join(binaries, "rollcall"))
	if err != nil {
		h.Fatal(err)
	}
	_, database := proxytest.Postgres(h, h.variable("DATABASE_URL")) // another account cannot enter the directory of its socket
	for name, content := range map[string]string{"rollcall": string(program), "database-url": database, "secret": h.variable("ROLLCALL_SECRET")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			h.Fatal(err)
		}
	}
	c.Transport = map[string]string{"bounces@mail.example.com": "rollcall-bounce:"}
	c.Services = []string{"rollcall-bounce unix - n n - 4 pipe flags=q user=" + postfixtest.Account,
		"  argv=/usr/bin/env DATABASE_URL_FILE=" + dir + "/database-url ROLLCALL_SECRET_FILE=" + dir + "/secret",
		"  " + dir + "/rollcall bounce --recipient ${recipient}"}
	return postfixtest.Start(h, c)
}

// returnedOverSMTP is a relay that sends returned mail to the worker.
func returnedOverSMTP(h *testEnv, c postfixtest.Config) *postfixtest.Server {
	h.Helper()
	address := postfixtest.FreeAddress(h)
	h.env = append(h.env, "ROLLCALL_BOUNCE_LISTEN="+address)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		h.Fatal(err)
	}
	c.Transport = map[string]string{"mail.example.com": "smtp:[" + host + "]:" + port}
	return postfixtest.Start(h, c)
}
