package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/i18n"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/test/smtptest"
)

// lang is what the page says about its language.
func (p page) lang() string { return attribute(p.find("html")[0], "lang") }

// setLocale gives a user a locale.
func (h *testEnv) setLocale(id uuid.UUID, locale string) {
	h.Helper()
	h.exec(`UPDATE users SET locale = NULLIF($2, '') WHERE id = $1`, id, locale)
}

// TestPublicPagesInTheReadersLanguage: the person's comes first, then that of the
// browser, then the default. Pages say which it is, also those of dead links.
func TestPublicPagesInTheReadersLanguage(t *testing.T) {
	t.Parallel()
	h, id, link := invited(t)
	b := h.browser()
	const french, unknown = "fr-CH,fr;q=0.9,en;q=0.8", "ja"
	for _, c := range []struct{ locale, accepts, lang, title string }{
		{"", "", "en", "Choose a password"},
		{"", french, "fr", "Choisissez un mot de passe"},
		{"pl", french, "pl", "Wybierz hasło"},
		{"ja", french, "fr", "Choisissez un mot de passe"},
		{"ja", unknown, "en", "Choose a password"},
		{"de-CH", "", "de", "Passwort wählen"},
	} {
		h.setLocale(id, c.locale)
		p := b.get(link, "Accept-Language", c.accepts).want(http.StatusOK).says("h1", c.title)
		if p.lang() != c.lang {
			t.Errorf("%+v: %s", c, p.lang())
		}
	}
	p := b.post(link, "password", "kurz", "password_again", "anders").want(http.StatusUnprocessableEntity)
	if p.lang() != "de" || !strings.Contains(p.text("#complaints"), "Verwenden Sie mindestens 15 Zeichen, 11 mehr als hier.") || !strings.Contains(p.text("#complaints"), "stimmen nicht überein") {
		t.Errorf("%s", p.text("#complaints"))
	}
	h.expire(id)
	p = b.get(link, "Accept-Language", french).want(http.StatusGone).says("h1", "Dieser Link ist abgelaufen")
	if p.lang() != "de" || attribute(p.find("input[name=lang]")[0], "value") != "de" {
		t.Errorf("an expired link: %s", p.lang())
	}
	b.post(link+"/renew", "lang", "de").want(http.StatusOK).says("h1", "Sehen Sie in Ihr Postfach")
	b.post("/invite/nonsense/renew", "lang", "de").want(http.StatusOK).says("h1", "Sehen Sie in Ihr Postfach")
	b.get(link).want(http.StatusGone).says("h1", "Sie haben einen neueren Link")
	fresh := "/invite/" + h.signer.InvitationToken(id, 2)
	h.exec(`UPDATE invitations SET status = 'sent', sent_at = now(), expires_at = now() + interval '1 day' WHERE user_id = $1`, id)
	b.post(fresh, "password", newPassword, "password_again", newPassword).want(http.StatusOK).says("h1", "Ihr Passwort ist festgelegt")
	b.get(fresh).want(http.StatusGone).says("h1", "Dieser Link wurde bereits verwendet")
	b.get("/invite/nonsense", "Accept-Language", "it").want(http.StatusNotFound).says("h1", "Questo link non funziona")
}

// TestForgottenPasswordInEveryLanguage: the form, its complaint and its answer, which
// is the same for every address.
func TestForgottenPasswordInEveryLanguage(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	id := h.addUser("ada@example.com", "Ada Lovelace", roster.RoleUser, userPassword)
	h.setLocale(id, "nl")
	b := h.browser()
	for _, lang := range i18n.Languages() {
		r, _ := i18n.For(lang)
		p := b.get("/forgot?lang=" + lang).want(http.StatusOK)
		if p.lang() != lang {
			t.Errorf("%s: %s", lang, p.lang())
		}
		b.post("/forgot", "lang", lang, "email", "nonsense").want(http.StatusUnprocessableEntity).says("#problem p", r.Text("forgot.invalid"))
	}
	known := b.post("/forgot", "lang", "es", "email", "ada@example.com").want(http.StatusOK).says("h1", "Revise su correo")
	unknown := b.post("/forgot", "lang", "es", "email", "eva@example.com").want(http.StatusOK)
	if strings.ReplaceAll(known.body, "ada@", "eva@") != unknown.body {
		t.Error("the answer tells whether there is an account")
	}
	link := "/reset/" + h.signer.ResetToken(id, 0, time.Now().Add(time.Hour))
	b.get(link).want(http.StatusOK).says("h1", "Kies een nieuw wachtwoord")
	b.get("/reset/"+h.signer.ResetToken(id, 7, time.Now().Add(time.Hour))).want(http.StatusGone).says("h1", "Deze link is al gebruikt")
	b.get("/reset/"+h.signer.ResetToken(id, 0, time.Now().Add(-time.Hour))).want(http.StatusGone).says(".lead", "Links om een wachtwoord opnieuw in te stellen zijn 1 uur geldig. Vraag een nieuwe aan.")
}

const invitationPage = "/admin/settings/invitation"

// TestInvitationTextsOnTheirPage: texts are previewed before they are saved, counted
// for one language, refused with a reason, and audited; the default language is that
// of pages for browsers that want none of ours.
func TestInvitationTextsOnTheirPage(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	p := b.get(invitationPage).want(http.StatusOK).says("[data-preview-subject]", "Set your password for SecureAI")
	if n := len(p.find("nav.languages a")); n != len(i18n.Languages()) {
		t.Errorf("%d languages", n)
	}
	query := url.Values{"language": {"de"}, "subject": {"Willkommen bei {brand}"}, "opening": {"Schön, dass Sie da sind!"}}
	p = b.get(invitationPage+"?"+query.Encode()).want(http.StatusOK).says("[data-preview-subject]", "Willkommen bei SecureAI")
	frame := b.get(attribute(p.find("iframe")[0], "src")).want(http.StatusOK)
	if !strings.Contains(frame.body, "Schön, dass Sie da sind!") || frame.lang() != "de" || !strings.Contains(frame.header.Get("Content-Security-Policy"), "sandbox") || frame.header.Get("X-Frame-Options") != "SAMEORIGIN" {
		t.Errorf("%s %v", frame.body, frame.header)
	}
	if s, err := h.store.InvitationSettings(t.Context()); err != nil || len(s.Texts) > 0 {
		t.Errorf("a preview was saved: %+v, %v", s, err)
	}
	b.follow(b.post(invitationPage, "language", "de", "subject", "Willkommen bei {brand}", "opening", "")).want(http.StatusOK).
		says(".toast", "Settings saved.").says("nav.languages a[aria-current] small", "(custom)")
	b.follow(b.post(invitationPage, "language", "de", "default_locale", "pl")).want(http.StatusOK)
	p = b.post(invitationPage, "language", "fr", "subject", "Voir evil.example", "opening", "x {name}").want(http.StatusUnprocessableEntity)
	if problems := p.find("#problems li"); len(problems) != 2 || attribute(p.find("#subject")[0], "value") != "Voir evil.example" {
		t.Errorf("%d problems", len(problems))
	}
	b.get(invitationPage + "/preview?language=fr&subject=evil.example").want(http.StatusNotFound)
	s, err := h.store.InvitationSettings(t.Context())
	if err != nil || s.DefaultLocale != "pl" || len(s.Texts) != 1 || s.Texts["de"] != (storage.InvitationText{Subject: "Willkommen bei {brand}"}) {
		t.Errorf("%+v, %v", s, err)
	}
	h.browser().get("/forgot", "Accept-Language", "ja").want(http.StatusOK).says("h1", "Nie pamiętam hasła")
	b.get("/admin/audit?action=settings.").want(http.StatusOK).
		says("tbody td[data-label=Action] .under", "default locale from en to pl|default locale from nothing to en, subject de from nothing to Willkommen bei {brand}")
	h.addUser("bob@example.com", "Bob", roster.RoleUser, userPassword)
	bob := h.browser()
	bob.signIn("bob@example.com", userPassword)
	bob.get(invitationPage).want(http.StatusNotFound)
}

// TestInvitationIsSentToMyself with what is in the form, saved or not.
func TestInvitationIsSentToMyself(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	b := h.admin()
	b.post(invitationPage+"/test", "language", "it", "subject", "", "opening", "").want(http.StatusOK).
		says(".note.bad p", "The email wasn't sent. No mail server is configured. Save the mail server settings first.")
	server := smtptest.Start(t, smtptest.Config{})
	b.post("/admin/settings/email", settings(server.Port(), "user", "", "password", "")...)
	b.post(invitationPage+"/test", "language", "it", "subject", "Un benvenuto da {brand}", "opening", "Siamo felici che tu sia qui.").want(http.StatusOK).
		says(".note.good strong", "The mail server accepted the email to "+adminEmail+".")
	mails := server.Mails()
	if len(mails) != 1 || mails[0].To != adminEmail || !strings.Contains(mails[0].Data, "Subject: Un benvenuto da SecureAI") || !strings.Contains(mails[0].Data, "Siamo felici che tu sia qui.") {
		t.Errorf("%+v", mails)
	}
	b.post(invitationPage+"/test", "language", "it", "opening", "http://evil.example").want(http.StatusUnprocessableEntity)
	if n := len(server.Mails()); n != 1 {
		t.Errorf("%d mails", n)
	}
}
