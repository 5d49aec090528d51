package httpapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"rollcall/httpapi"
	"rollcall/internal/i18n"
)

const invitationSettingsPath = "/api/admin/settings/invitation"

type invitationSettingsBody struct {
	DefaultLocale string `json:"default_locale"`
	Texts         map[string]struct{ Subject, Opening string }
	Languages     []string
	Placeholders  []string
	UpdatedBy     *string `json:"updated_by"`
}

type previewBody struct{ Locale, Subject, Text, HTML string }

// TestInvitationSettings: what was read can be sent back, texts show in the preview,
// invalid ones are refused as a whole, and each change is audited.
func TestInvitationSettings(t *testing.T) {
	t.Parallel()
	h := mailHouse(t, nil)
	got := as[invitationSettingsBody](h, h.do(call{method: "GET", path: invitationSettingsPath}))
	if got.DefaultLocale != "en" || got.Texts == nil || len(got.Texts) > 0 || !slices.Equal(got.Languages, i18n.Languages()) || len(got.Placeholders) != 3 || got.UpdatedBy != nil {
		t.Errorf("%+v", got)
	}
	a := h.sendJSON("PUT", invitationSettingsPath, members{"default_locale": "fr", "texts": members{
		"de": members{"subject": "  Willkommen\nbei {brand} ", "opening": "Noch {remaining}."}, "pl": nil, "it": members{},
	}})
	h.want(a, 200)
	got = as[invitationSettingsBody](h, a)
	if got.DefaultLocale != "fr" || len(got.Texts) != 1 || got.Texts["de"].Subject != "Willkommen bei {brand}" || got.UpdatedBy == nil {
		t.Errorf("%s", a.body)
	}
	again := h.do(call{method: "PUT", path: invitationSettingsPath, header: http.Header{"Content-Type": {"application/json"}}, body: strings.NewReader(string(a.body))})
	h.want(again, 200)

	for locale, want := range map[string]previewBody{
		"de-CH": {"de", "Willkommen bei SecureAI", "Noch 3 Tagen.", `<html lang="de"`},
		"":      {"fr", "Définissez votre mot de passe pour SecureAI", "Bonjour Ada Lovelace,", "3 jours"},
		"ja":    {"fr", "Définissez votre mot de passe pour SecureAI", "le lien", "<strong>"},
		"en-US": {"en", "Set your password for SecureAI", "An administrator has created", "M UTC"},
	} {
		if want.Locale == "fr" && locale == "ja" {
			want.Text = "Ce lien"
		}
		a := h.sendJSON("POST", invitationSettingsPath+"/preview", members{"locale": locale})
		h.want(a, 200)
		if p := as[previewBody](h, a); p.Locale != want.Locale || p.Subject != want.Subject || !strings.Contains(p.Text, want.Text) || !strings.Contains(p.HTML, want.HTML) {
			t.Errorf("%q: %s", locale, a.body)
		}
	}
	a = h.sendJSON("POST", invitationSettingsPath+"/preview", members{"locale": "de", "opening": "Schön, dass Sie da sind!"})
	if p := as[previewBody](h, a); p.Subject != "Willkommen bei SecureAI" || !strings.Contains(p.Text, "Schön, dass Sie da sind!") {
		t.Errorf("%s", a.body)
	}
	h.want(h.do(call{method: "POST", path: invitationSettingsPath + "/preview"}), 200)
	h.want(h.sendJSON("POST", invitationSettingsPath+"/preview", members{"locale": "Deutsch"}), 400)
	h.want(h.sendJSON("POST", invitationSettingsPath+"/preview", members{"locale": "de", "subject": "evil.example"}), 400)

	for _, wrong := range []members{
		{"default_locale": "ja"}, {"default_locale": "x"}, {"texts": members{"ja": members{"subject": "X"}}}, {"texts": members{"en": members{"subject": "Hello {name}"}}},
		{"texts": members{"en": members{"opening": "Go to https://evil.example"}}}, {"texts": members{"en": members{"title": "X"}}}, {"locale": "de"},
	} {
		h.want(h.sendJSON("PUT", invitationSettingsPath, wrong), 400)
	}
	h.want(h.do(call{method: "PUT", path: invitationSettingsPath}), 400)
	if got := as[invitationSettingsBody](h, h.do(call{method: "GET", path: invitationSettingsPath})); got.DefaultLocale != "fr" || len(got.Texts) != 1 {
		t.Errorf("after refused changes: %+v", got)
	}
	var audited string
	if err := h.store.DB().QueryRow(`SELECT string_agg(detail::text, ' ' ORDER BY id) FROM audit_log WHERE action = 'settings.invitation'`).Scan(&audited); err != nil || !strings.Contains(audited, `"opening_de": "Noch {remaining}."`) || !strings.Contains(audited, `"default_locale": "fr"`) {
		t.Errorf("%s, %v", audited, err)
	}
}

// TestInvitationSettingsNeedAdmin: a token for imports neither sees nor changes them.
func TestInvitationSettingsNeedAdmin(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t, func(*httpapi.Deps) {})
	secret := h.token("imports")
	for _, c := range []call{{method: "GET", path: invitationSettingsPath}, {method: "PUT", path: invitationSettingsPath}, {method: "POST", path: invitationSettingsPath + "/preview"}} {
		c.token = secret
		h.want(h.do(c), 403)
	}
}
