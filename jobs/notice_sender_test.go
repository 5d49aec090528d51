package jobs_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/jobs"
	"rollcall/mail"
	"rollcall/mail/settings"
	"rollcall/storage"
	"rollcall/test/smtptest"
)

// noticesEnv is a test environment with an administrator, Ann, and a sender of
// notices whose mail server is that of the environment.
type noticesEnv struct {
	*testEnv
	ann    uuid.UUID
	sender *jobs.NoticeSender
}

func newNoticesEnv(t *testing.T, server *mail.Server) *noticesEnv {
	t.Helper()
	h := newTestEnv(t)
	ann := h.addAdmin("ann@example.com")
	sealer, err := auth.NewSealer(secret)
	if err != nil {
		t.Fatal(err)
	}
	s := settings.New(h.store, sealer, settings.Defaults{Server: server, From: sender})
	return &noticesEnv{h, ann.ID, jobs.NewNoticeSender(h.store, s, quiet(), "SecureAI", publicURL)}
}

// attempt runs the sender until every notice has been attempted, and returns how
// many are left. All of them are due at once.
func (h *noticesEnv) attempt() (left int) {
	h.Helper()
	if _, err := h.store.DB().Exec(`UPDATE notices SET due_at = now()`); err != nil {
		h.Fatal(err)
	}
	ctx, stop := context.WithCancel(h.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.sender.Run(ctx) }()
	defer func() { stop(); <-done }()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var due, claimed int
		// A claim lasts minutes, the first waits seconds.
		if err := h.store.DB().QueryRow(`SELECT count(*), count(*) FILTER (WHERE due_at <= now()), count(*) FILTER (WHERE due_at > now() + interval '1 minute') FROM notices`).Scan(&left, &due, &claimed); err != nil {
			h.Fatal(err)
		}
		if due+claimed == 0 {
			return left
		}
		if time.Now().After(end) {
			h.Fatalf("%d notices are still due, %d claimed", due, claimed)
		}
	}
}

// add stores a notice of a kind to Ann.
func (h *noticesEnv) add(kind, detail string) {
	h.Helper()
	if _, err := h.store.DB().Exec(`INSERT INTO notices (kind, user_id, email, name, detail) VALUES ($1, $2, 'ann@example.com', 'Ann', $3)`, kind, h.ann, detail); err != nil {
		h.Fatal(err)
	}
}

// TestMailServerNoticeGoesByThePreviousServer, and by the current one only if that
// does not take it.
func TestMailServerNoticeGoesByThePreviousServer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		script        func(*smtptest.Event) // of the previous server
		before, after int                   // mails that each takes
	}{
		{"it is there", nil, 1, 0},
		{"it refuses", at("RCPT", 9, reply("550 5.7.1 No")), 0, 1},
		{"it may have taken it", at(".", 9, func(e *smtptest.Event) { e.Drop = true }), 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			before, after := smtptest.Start(t, smtptest.Config{Script: c.script}), smtptest.Start(t, smtptest.Config{})
			h := newNoticesEnv(t, plain(before))
			h.configure(storage.EmailSettings{Host: smtptest.Host, Port: after.Port(), Security: "none"})
			if left := h.attempt(); left != 0 || len(before.Mails()) != c.before || len(after.Mails()) != c.after {
				t.Fatalf("%d notices left, %d mails by the previous server, %d by the current one", left, len(before.Mails()), len(after.Mails()))
			}
			for _, m := range append(before.Mails(), after.Mails()...) {
				if m.To != "ann@example.com" || !strings.Contains(m.Data, "The mail server of SecureAI was changed") {
					t.Errorf("to %s: %s", m.To, m.Data)
				}
			}
		})
	}
}

// TestNoticeIsRetried after failures that may pass, and otherwise only if it warns
// of an attack.
func TestNoticeIsRetried(t *testing.T) {
	t.Parallel()
	const held = `{"import": "0190a6d1-0000-7000-8000-000000000000", "filename": "hr.csv", "disable": 7, "limit": 2}`
	own := func(h *noticesEnv) string { return `{"user": "` + h.ann.String() + `", "change": "removed"}` }
	for _, c := range []struct {
		name, kind string
		script     func(*smtptest.Event)
		left       int // after the first attempt; none after the second
		mails      int
		text       string
	}{
		{"451 then 250", "import_held", at("RCPT", 1, reply("451 4.7.1 Later")), 1, 1, "https://rollcall.example/admin/imports/0190a6d1-0000-7000-8000-000000000000"},
		{"550", "address_changed", at("RCPT", 1, reply("550 5.1.1 No such person")), 0, 0, ""},
		{"550 for a warning", "second_factor", at("RCPT", 1, reply("550 5.1.1 No such person")), 1, 1, "Two-factor authentication was turned off for your SecureAI account"},
		{"lost after the final dot", "second_factor", at(".", 1, func(e *smtptest.Event) { e.Drop = true }), 0, 1, "turned off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, smtptest.Config{Script: c.script})
			h := newNoticesEnv(t, plain(server))
			detail := held
			if c.kind == "second_factor" {
				detail = own(h)
			}
			h.add(c.kind, detail)
			var id string // the same in all attempts
			if err := h.store.DB().QueryRow(`SELECT id FROM notices`).Scan(&id); err != nil {
				t.Fatal(err)
			}
			if left := h.attempt(); left != c.left {
				t.Fatalf("%d notices left after the first attempt", left)
			}
			if left := h.attempt(); left != 0 || len(server.Mails()) != c.mails {
				t.Fatalf("%d notices left, %d mails", left, len(server.Mails()))
			}
			for _, m := range server.Mails() {
				if text := strings.NewReplacer("=\r\n", "", "\r\n", " ").Replace(m.Data); !strings.Contains(text, c.text) {
					t.Errorf("no %q in %s", c.text, text)
				}
				if !strings.Contains(m.Data, "Message-ID: <"+id+".n@") {
					t.Errorf("not the Message-ID of notice %s: %s", id, m.Data)
				}
			}
		})
	}
}

// TestNoticeWaitsForAServer, and is dropped if it is about nobody any more.
func TestNoticeWaitsForAServer(t *testing.T) {
	t.Parallel()
	h := newNoticesEnv(t, nil)
	h.add("address_changed", "{}")
	if left := h.attempt(); left != 1 {
		t.Errorf("%d notices left without a mail server", left)
	}
	server := smtptest.Start(t, smtptest.Config{})
	h = newNoticesEnv(t, plain(server))
	h.add("second_factor", `{"user": "0190a6d1-0000-7000-8000-000000000000", "change": "set"}`)
	if left := h.attempt(); left != 0 || len(server.Mails()) != 0 {
		t.Errorf("%d notices left, %d mails about an erased user", left, len(server.Mails()))
	}
}
