package web_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

const newPassword = "seven tall storks wade"

// invited is a test environment with one invited user and the link.
func invited(t *testing.T) (h *testEnv, id uuid.UUID, link string) {
	t.Helper()
	h = newTestEnv(t)
	id = h.addUser("ada@example.com", "Ada Lovelace", roster.RoleUser, "")
	return h, id, "/invite/" + h.signer.InvitationToken(id, 1)
}

func TestInvitationIsAccepted(t *testing.T) {
	t.Parallel()
	h, id, link := invited(t)
	b := h.browser()
	p := b.get(link).want(http.StatusOK).says("h1", "Choose a password")
	if email := p.find("#email"); len(email) != 1 || attribute(email[0], "value") != "ada@example.com" {
		t.Error("the page does not say whose account it is")
	}
	p = b.post(link, "password", newPassword, "password_again", newPassword).want(http.StatusOK).says("h1", "Your password is set")
	if links := p.find("main a"); len(links) != 1 || attribute(links[0], "href") != "/signin" {
		t.Error("no link to the sign-in")
	}
	user, err := h.store.User(t.Context(), id)
	if err != nil || user.Status != roster.Active {
		t.Fatalf("the user is %v (%v)", user, err)
	}
	b.signIn("ada@example.com", newPassword)
	b.get(link).want(http.StatusGone).says("h1", "This link has already been used")
	b.post(link, "password", userPassword).want(http.StatusGone).says("h1", "This link has already been used")
	b.post("/signin", "email", "ada@example.com", "password", userPassword).want(http.StatusUnauthorized)
}

// TestLookingConsumesNothing requests the page as mail scanners do.
func TestLookingConsumesNothing(t *testing.T) {
	t.Parallel()
	h, _, link := invited(t)
	b := h.browser()
	for range 3 {
		b.get(link).want(http.StatusOK)
		if p := b.do(b.request(http.MethodHead, link, nil)).want(http.StatusOK); p.body != "" {
			t.Error("HEAD has a body")
		}
	}
	b.post(link, "password", newPassword).want(http.StatusOK)
}

func TestInvitationKeepsItsAddressSecret(t *testing.T) {
	t.Parallel()
	h, _, link := invited(t)
	b := h.browser()
	for _, p := range []page{b.get(link), b.get("/invite/nonsense"), b.post(link, "password", "short"), b.post(link, "password", newPassword)} {
		if got := p.header.Get("Referrer-Policy"); got != "no-referrer" {
			t.Errorf("Referrer-Policy %q", got)
		}
		if got := p.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control %q", got)
		}
	}
	if strings.Contains(h.logged.String(), strings.TrimPrefix(link, "/invite/")) {
		t.Error("the token is in the log")
	}
}

// TestInvitationFromNullOrigin posts as a browser does over plain HTTP, where
// there is no Sec-Fetch-Site, from a page with no-referrer.
func TestInvitationFromNullOrigin(t *testing.T) {
	t.Parallel()
	h, _, link := invited(t)
	b := h.browser()
	b.do(b.request(http.MethodPost, link, strings.NewReader("password="+strings.ReplaceAll(newPassword, " ", "+")),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", "null")).want(http.StatusOK)
}

func TestInvitationWorksOnce(t *testing.T) {
	t.Parallel()
	const posts = 15 // each costs a hash, and all must finish in time on a busy machine too
	h, _, link := invited(t)
	statuses := make([]int, posts)
	var wg sync.WaitGroup
	for i := range posts {
		b := h.browser()
		wg.Go(func() { statuses[i] = b.post(link, "password", newPassword).status })
	}
	wg.Wait()
	count := map[int]int{}
	for _, s := range statuses {
		count[s]++
	}
	// Passwords that are checked at once are bounded per account: the rest is told to
	// wait.
	if count[http.StatusOK] != 1 || count[http.StatusGone]+count[http.StatusTooManyRequests] != posts-1 {
		t.Errorf("statuses: %v", count)
	}
	h.browser().signIn("ada@example.com", newPassword)
}

func TestPasswordIsRefused(t *testing.T) {
	t.Parallel()
	h, id, link := invited(t)
	for name, test := range map[string]struct {
		fields []string
		want   string // begins the first complaint
	}{
		"none":             {nil, "Choose a password."},
		"empty":            {[]string{"password", ""}, "Choose a password."},
		"short":            {[]string{"password", "herons"}, "Use at least 15 characters"},
		"common":           {[]string{"password", "passwordpassword1"}, "This is a common or leaked password"},
		"own name":         {[]string{"password", "Ada Lovelace Ada"}, "This is little more than your own name"},
		"service":          {[]string{"password", "secureai secureai ai"}, "This is little more than the name of this service"},
		"control":          {[]string{"password", "three quiet\x00herons wade"}, "Leave out line breaks"},
		"different repeat": {[]string{"password", newPassword, "password_again", newPassword + "s"}, "The passwords don't match"},
	} {
		t.Run(name, func(t *testing.T) {
			h := *h
			h.T = t
			p := h.browser().post(link, test.fields...).want(http.StatusUnprocessableEntity)
			if got := p.text("[role=alert] li"); !strings.HasPrefix(got, test.want) {
				t.Errorf("complaints %q, want %q", got, test.want)
			}
		})
	}
	user, err := h.store.User(t.Context(), id)
	if err != nil || user.Status != roster.Invited {
		t.Errorf("a refused password has made the user %s (%v)", user.Status, err)
	}
	h.browser().post(link, "password", newPassword).want(http.StatusOK)
}

func TestLinkDoesNotWork(t *testing.T) {
	t.Parallel()
	by := storage.AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "test"}}
	for name, test := range map[string]struct {
		spoil   func(h *testEnv, id uuid.UUID) error
		status  int
		heading string
	}{
		"expired": {func(h *testEnv, _ uuid.UUID) error {
			h.exec(`UPDATE invitations SET expires_at = now()`)
			return nil
		}, http.StatusGone, "This link has expired"},
		"revoked": {func(h *testEnv, id uuid.UUID) error {
			return h.store.RevokeInvitation(h.Context(), id, by)
		}, http.StatusGone, "This invitation was revoked"},
		"replaced": {func(h *testEnv, id uuid.UUID) error {
			return h.store.ResendInvitation(h.Context(), id, by)
		}, http.StatusGone, "You have a newer link"},
		"user disabled": {func(h *testEnv, _ uuid.UUID) error {
			h.exec(`UPDATE users SET status = 'disabled'`)
			return nil
		}, http.StatusGone, "This invitation was revoked"},
		"user removed": {func(h *testEnv, _ uuid.UUID) error {
			h.exec(`DELETE FROM users`)
			return nil
		}, http.StatusNotFound, "This account was removed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, id, link := invited(t)
			if err := test.spoil(h, id); err != nil {
				t.Fatal(err)
			}
			b := h.browser()
			b.get(link).want(test.status).says("h1", test.heading)
			b.post(link, "password", newPassword).want(test.status).says("h1", test.heading)
			b.post("/signin", "email", "ada@example.com", "password", newPassword).want(http.StatusUnauthorized)
		})
	}
}

func TestUnknownLink(t *testing.T) {
	t.Parallel()
	h, id, link := invited(t)
	b := h.browser()
	for name, path := range map[string]string{
		"cut off":           link[:len(link)-1],
		"one more":          link + "A",
		"changed":           strings.Replace(link, "/invite/A", "/invite/B", 1),
		"nonsense":          "/invite/nonsense",
		"another purpose":   "/invite/" + h.signer.Sign("other", id[:]),
		"too large to hold": "/invite/" + h.signer.InvitationToken(id, 1<<40),
	} {
		if p := b.get(path); p.status != http.StatusNotFound || p.text("h1") != "This link doesn't work" {
			t.Errorf("%s: %d %s", name, p.status, p.text("h1"))
		}
	}
}
