package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rollcall/auth"
)

// expire makes a link of a user one that was sent, and whose time is over.
func (h *testEnv) expire(id uuid.UUID) {
	h.Helper()
	if _, err := h.store.DB().Exec(`
		UPDATE invitations SET status = 'sent', sent_at = now() - interval '3 days', expires_at = now() - interval '1 minute' WHERE user_id = $1`, id); err != nil {
		h.Fatal(err)
	}
}

// generation is the number of links that a user was sent.
func (h *testEnv) generation(id uuid.UUID) (n int) {
	h.Helper()
	if err := h.store.DB().QueryRow(`SELECT generation FROM invitations WHERE user_id = $1`, id).Scan(&n); err != nil {
		h.Fatal(err)
	}
	return n
}

// TestExpiredLinkIsRenewed by the person it was sent to, once an hour; the older
// link then says that there is a newer one.
func TestExpiredLinkIsRenewed(t *testing.T) {
	t.Parallel()
	h, id, link := invited(t)
	h.expire(id)
	b := h.browser()
	p := b.get(link).want(http.StatusGone).says("h1", "This link has expired")
	form := p.find("main form")
	if len(form) != 1 || attribute(form[0], "action") != link+"/renew" {
		t.Fatal("the page offers no new link")
	}
	b.post(link+"/renew").want(http.StatusOK).says("h1", "Check your email")
	if n := h.generation(id); n != 2 {
		t.Fatalf("generation %d, want a fresh link", n)
	}
	b.get(link).want(http.StatusGone).says("h1", "You have a newer link")
	var actions string
	if err := h.store.DB().QueryRow(`SELECT string_agg(action, ',') FROM audit_log WHERE target_id = $1 AND action = 'invitation.renew' AND actor_id = $1`, id).Scan(&actions); err != nil || actions != "invitation.renew" {
		t.Errorf("audit log: %q, %v", actions, err)
	}

	// The fresh one expires too, and an older link can be used to ask again.
	h.expire(id)
	b.get(link).want(http.StatusGone).says("h1", "This link has expired")
	b.post(link+"/renew").want(http.StatusOK).says("h1", "Check your email")
	if n := h.generation(id); n != 2 {
		t.Errorf("generation %d: renewed twice within an hour", n)
	}
	if _, err := h.store.DB().Exec(`UPDATE invitations SET renewed_at = now() - interval '61 minutes'`); err != nil {
		t.Fatal(err)
	}
	b.post(link + "/renew").want(http.StatusOK)
	if n := h.generation(id); n != 3 {
		t.Errorf("generation %d: not renewed after an hour", n)
	}
}

// TestRenewalAnswersTheSameForEveryToken, and sends nothing in place of links that
// were revoked or used, or that still work.
func TestRenewalAnswersTheSameForEveryToken(t *testing.T) {
	t.Parallel()
	h, id, link := invited(t)
	b := h.browser()
	h.expire(id)
	want := b.post(link + "/renew").want(http.StatusOK).body
	stranger, err := auth.NewSigner("another secret that is long enough for this test")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ set, link string }{
		"revoked":         {`UPDATE invitations SET status = 'revoked'`, link},
		"on hold":         {`UPDATE invitations SET status = 'held'`, link},
		"disabled":        {`UPDATE users SET status = 'disabled' WHERE email = 'ada@example.com'`, link},
		"still works":     {`UPDATE invitations SET expires_at = now() + interval '1 hour'`, link},
		"unknown person":  {``, "/invite/" + h.signer.InvitationToken(uuid.New(), 1)},
		"forged":          {``, "/invite/" + stranger.InvitationToken(id, 1)},
		"no token at all": {``, "/invite/x"},
	} {
		reset := func() {
			for _, query := range []string{`UPDATE users SET status = 'invited' WHERE email = 'ada@example.com'`, `UPDATE invitations SET renewed_at = NULL`} {
				if _, err := h.store.DB().Exec(query); err != nil {
					t.Fatal(err)
				}
			}
			h.expire(id)
		}
		reset()
		if c.set != "" {
			if _, err := h.store.DB().Exec(c.set); err != nil {
				t.Fatal(name, err)
			}
		}
		before := h.generation(id)
		got := b.post(c.link + "/renew").want(http.StatusOK).body
		if got != want || strings.Contains(got, "ada@") {
			t.Errorf("%s: another answer", name)
		}
		if n := h.generation(id); n != before {
			t.Errorf("%s: a link was sent", name)
		}
	}
}
