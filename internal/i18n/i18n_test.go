package i18n_test

import (
	"html/template"
	"strings"
	"testing"
	"time"

	"rollcall/internal/i18n"
)

func reader(t *testing.T, locale string) i18n.Reader {
	t.Helper()
	r, ok := i18n.For(locale)
	if !ok {
		t.Fatalf("no language for %s", locale)
	}
	return r
}

func TestFor(t *testing.T) {
	t.Parallel()
	for locale, want := range map[string]string{
		"de": "de", "de-CH": "de", "de-AT": "de", "gsw": "de", "fr-CA": "fr", "es-419": "es", "it-CH": "it", "pt-BR": "pt", "pt-PT": "pt", "nl-BE": "nl", "pl": "pl", "en-US": "en",
		"ja": "", "ru-RU": "", "und": "", "": "", "nonsense-": "",
	} {
		r, ok := i18n.For(locale)
		if ok != (want != "") || ok && r.Lang() != want {
			t.Errorf("%q is %q, %t", locale, r.Lang(), ok)
		}
	}
	if r, _ := i18n.For("", "ja", "pl", "de"); r.Lang() != "pl" {
		t.Errorf("the first there is: %s", r.Lang())
	}
}

func TestAccepting(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5": "fr", "ja,pl;q=0.5": "pl", "de;q=0.3,it;q=0.8": "it", "en-GB": "en", "de;q=0, nl": "nl",
		"": "", "ja": "", "*": "", ";;;": "", strings.Repeat("de,", 5000): "",
	} {
		r, ok := i18n.Accepting(header)
		if ok != (want != "") || ok && r.Lang() != want {
			t.Errorf("%.60q is %q, %t", header, r.Lang(), ok)
		}
	}
}

// TestPlurals: Polish has three forms, French counts none as one, Dutch hours have
// one form, and numbers are written as the language does.
func TestPlurals(t *testing.T) {
	t.Parallel()
	const hour, day = time.Hour, 24 * time.Hour
	for locale, want := range map[string]map[time.Duration]string{
		"en": {0: "1 minute", time.Minute: "1 minute", 5 * time.Minute: "5 minutes", 2 * hour: "2 hours", 3 * day: "3 days", 1234 * day: "1,234 days"},
		"de": {time.Minute: "1 Minute", 2 * hour: "2 Stunden", 3 * day: "3 Tagen", 1234 * day: "1.234 Tagen"},
		"pl": {time.Minute: "1 minutę", 2 * time.Minute: "2 minuty", 5 * time.Minute: "5 minut", 12 * time.Minute: "12 minut", 22 * time.Minute: "22 minuty", 2 * hour: "2 godziny", 5 * hour: "5 godzin", 3 * day: "3 dni"},
		"fr": {time.Minute: "1 minute", 2 * hour: "2 heures", 3 * day: "3 jours"},
		"nl": {2 * hour: "2 uur", 3 * day: "3 dagen"},
		"es": {2 * hour: "2 horas", 3 * day: "3 días"}, "it": {2 * hour: "2 ore", 3 * day: "3 giorni"}, "pt": {2 * hour: "2 horas", 3 * day: "3 dias"},
	} {
		for d, words := range want {
			if got := reader(t, locale).Remaining(d); got != words {
				t.Errorf("%s in %s is %q, not %q", d, locale, got, words)
			}
		}
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 17, 7, 8, 0, time.FixedZone("", 3600))
	for locale, want := range map[string]string{
		"en": "Sunday, 1 March 2026 at 16:07 UTC", "en-US": "Sunday, March 1, 2026 at 4:07 PM UTC", "de-CH": "Sonntag, 1. März 2026 um 16:07 Uhr (UTC)",
		"fr": "dimanche 1er mars 2026 à 16:07 UTC", "es-MX": "domingo, 1 de marzo de 2026, 16:07 UTC", "it": "domenica 1 marzo 2026 alle ore 16:07 UTC",
		"pt": "domingo, 1 de março de 2026 às 16:07 UTC", "nl": "zondag 1 maart 2026 om 16:07 UTC", "pl": "niedziela, 1 marca 2026 o 16:07 UTC",
	} {
		if got := reader(t, locale).Moment(at); got != want {
			t.Errorf("%s: %q, not %q", locale, got, want)
		}
		for month := range 12 { // every month and weekday has a name
			if got := reader(t, locale).Moment(at.AddDate(0, month, month)); strings.Contains(got, "{") {
				t.Errorf("%s: %q", locale, got)
			}
		}
	}
}

// TestHTML: what is given as text is escaped, what is HTML is not, and no text can
// be mistaken for the other.
func TestHTML(t *testing.T) {
	t.Parallel()
	r := reader(t, "fr")
	got := r.HTML("invite.welcome", template.HTML("<bdi>Ann</bdi>"), "A&B \ue000<i>")
	if want := template.HTML("Bienvenue, <bdi>Ann</bdi>\u00a0! Choisissez un mot de passe pour activer votre compte A&amp;B &lt;i&gt;."); got != want {
		t.Errorf("%s", got)
	}
}

// TestEveryLanguageIsItsOwn: all texts are there in all languages, which the package
// checks when it is loaded, and hardly any was left in English.
func TestEveryLanguageIsItsOwn(t *testing.T) {
	t.Parallel()
	english := reader(t, "en")
	for _, lang := range i18n.Languages()[1:] {
		r, same := reader(t, lang), 0
		for _, key := range []string{"mail.button", "invitation.action", "invitation.unexpected", "page.email", "password.enough", "dead.expired", "renewed", "forgot.lead", "invite.title"} {
			if r.Text(key) == english.Text(key) {
				same++
			}
		}
		if same > 1 || i18n.Name(lang) == "" { // Email is that in Italian
			t.Errorf("%s has %d texts in English", lang, same)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	done := make(chan string)
	for range 8 {
		go func() {
			for range 50 {
				for _, lang := range i18n.Languages() {
					r, _ := i18n.For(lang)
					_ = r.Text("invitation.subject", "B")
				}
			}
			r, _ := i18n.For("pl")
			done <- r.Remaining(5 * time.Hour)
		}()
	}
	for range 8 {
		if got := <-done; got != "5 godzin" {
			t.Error(got)
		}
	}
}
