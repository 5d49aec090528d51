package jobs_test

import (
	"mime"
	"net/mail"
	"strings"
	"testing"
	"time"

	"rollcall/jobs/importer"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/smtptest"
)

// subjects are the subjects of the mails that arrived since the last call, by the
// first letter of the recipient.
func subjects(t *testing.T, server *smtptest.Server, since *int) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, m := range server.Mails()[*since:] {
		parsed, err := mail.ReadMessage(strings.NewReader(m.Data))
		if err != nil {
			t.Fatal(err)
		}
		*since++
		if found[m.To[:1]], err = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject")); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// TestInvitationsInTheirLanguages: by the person's locale, else the default; a change
// of the settings counts from the next mail on; a renewal says that it is one, the
// invitation after it does not, and reminders follow the same rules.
func TestInvitationsInTheirLanguages(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{})
	o := newMailEnv(h, post{server: plain(server)}).open()
	h.run(h.importer(importer.Config{}), h.upload("email,name,locale\na@example.com,A,de-CH\nb@example.com,B,\nc@example.com,C,pl\nd@example.com,D,ja\n", roster.Options{SendInvitations: true}).ID)
	var seen int
	o.round()
	want := map[string]string{"a": "Legen Sie Ihr Passwort für SecureAI fest", "b": "Set your password for SecureAI", "c": "Ustaw hasło do SecureAI", "d": "Set your password for SecureAI"}
	compare := func(when string) {
		t.Helper()
		got := subjects(t, server, &seen)
		for person, subject := range want {
			if got[person] != subject {
				t.Errorf("%s: %s got %q, want %q", when, person, got[person], subject)
			}
		}
	}
	compare("at first")

	if err := h.store.SetInvitationSettings(h.Context(), storage.InvitationSettings{DefaultLocale: "fr", Texts: map[string]storage.InvitationText{"de": {Subject: "Hallo von {brand}"}}}, tester); err != nil {
		t.Fatal(err)
	}
	h.execute(`UPDATE invitations SET expires_at = now() - interval '1 minute'`)
	for _, i := range h.invitations() {
		if renewed, err := h.store.RenewInvitation(h.Context(), i.User, ""); err != nil || !renewed {
			t.Fatal(renewed, err)
		}
	}
	h.later(time.Hour)
	h.execute(`DELETE FROM replaced_invitations`)
	o.round()
	want = map[string]string{"a": "Ihr neuer Link für Ihr Passwort bei SecureAI", "b": "Votre nouveau lien pour définir votre mot de passe SecureAI", "c": "Nowy link do ustawienia hasła do SecureAI", "d": "Votre nouveau lien pour définir votre mot de passe SecureAI"}
	compare("renewed")

	for _, i := range h.invitations() {
		if err := h.store.ResendInvitation(h.Context(), i.User, tester); err != nil {
			t.Fatal(err)
		}
	}
	h.execute(`DELETE FROM replaced_invitations`)
	o.round()
	want = map[string]string{"a": "Hallo von SecureAI", "b": "Définissez votre mot de passe pour SecureAI", "c": "Ustaw hasło do SecureAI", "d": "Définissez votre mot de passe pour SecureAI"}
	compare("sent again")

	h.age(25 * time.Hour)
	h.queueReminders()
	o.round()
	want = map[string]string{"a": "Erinnerung: Legen Sie Ihr Passwort für SecureAI fest", "b": "Rappel : définissez votre mot de passe pour SecureAI", "c": "Przypomnienie: ustaw hasło do SecureAI", "d": "Rappel : définissez votre mot de passe pour SecureAI"}
	compare("reminded")
}
