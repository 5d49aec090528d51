package jobs_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/mail"
	"rollcall/roster"
	"rollcall/test/smtptest"
)

// TestNoTokenFailsNoInvitation: while no token is to be had, sending pauses with the reason
// and no attempt is counted; then everyone gets their mail.
func TestNoTokenFailsNoInvitation(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	var works atomic.Bool
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !works.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"The secret has expired."}`)
			return
		}
		fmt.Fprint(w, `{"access_token":"a-token","token_type":"Bearer"}`)
	}))
	t.Cleanup(tokens.Close)
	server := smtptest.Start(t, smtptest.Config{Auth: "XOAUTH2", Bearer: func(_, token string) bool { return token == "a-token" }})
	through := plain(server)
	through.User = "hr@example.com"
	through.OAuth = mail.OAuth{TokenURL: tokens.URL, ClientID: "client", ClientSecret: "a client secret"}
	o := newMailEnv(h, post{server: through}).open()
	i := h.invite(20)
	for range 4 {
		o.later(10 * time.Minute)
		o.round()
	}
	h.settled(i.ID, roster.InvitationCounts{Pending: 20})
	if m := h.paused(); m.PausedUntil == nil || !m.Configuration || m.Reason != "invalid_client The secret has expired." {
		t.Errorf("paused: %+v", m)
	}
	for _, invitation := range h.invitations() {
		if invitation.Attempts != 0 {
			t.Errorf("%+v", invitation)
		}
	}
	works.Store(true)
	for range 3 {
		o.later(10 * time.Minute)
		o.round()
	}
	h.settled(i.ID, roster.InvitationCounts{Sent: 20})
}
