package httpapi

import (
	"cmp"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/httpapi/problem"
	"rollcall/internal/i18n"
	"rollcall/mail"
	"rollcall/mail/settings"
	"rollcall/roster"
	"rollcall/storage"
)

// invitationSettings is the JSON form of the settings.
type invitationSettings struct {
	DefaultLocale string                    `json:"default_locale"`
	Texts         map[string]invitationText `json:"texts"`     // by language; never nil
	Languages     []string                  `json:"languages"` // that invitations can be in
	Placeholders  []string                  `json:"placeholders"`
	UpdatedBy     *string                   `json:"updated_by"`
	UpdatedAt     *time.Time                `json:"updated_at"`
}

type invitationText struct {
	Subject string `json:"subject"` // "": the usual one
	Opening string `json:"opening"`
}

// invitationInput is the request that replaces all settings.
type invitationInput struct {
	DefaultLocale string                    `json:"default_locale"` // "": English
	Texts         map[string]invitationText `json:"texts"`

	// Further members of the response to GET may be sent back and are ignored.
	Languages    json.RawMessage `json:"languages"`
	Placeholders json.RawMessage `json:"placeholders"`
	UpdatedBy    json.RawMessage `json:"updated_by"`
	UpdatedAt    json.RawMessage `json:"updated_at"`
}

// showInvitationSettings is GET /api/admin/settings/invitation.
func (a *API) showInvitationSettings(c *gin.Context, _ caller) error {
	s, err := a.Store.InvitationSettings(c.Request.Context())
	if err != nil {
		return err
	}
	v := invitationSettings{
		DefaultLocale: cmp.Or(s.DefaultLocale, i18n.Default), Texts: map[string]invitationText{},
		Languages: i18n.Languages(), Placeholders: mail.Placeholders(),
	}
	for lang, text := range s.Texts {
		v.Texts[lang] = invitationText(text)
	}
	if !s.UpdatedAt.IsZero() {
		v.UpdatedBy, v.UpdatedAt = &s.UpdatedBy, utc(&s.UpdatedAt)
	}
	return a.json(c, http.StatusOK, v)
}

// setInvitationSettings is PUT /api/admin/settings/invitation.
func (a *API) setInvitationSettings(c *gin.Context, by caller) error {
	var in *invitationInput
	if present, err := readJSON(c, &in); err != nil {
		return err
	} else if !present || in == nil {
		return problem.New(problem.InvalidParameter, "The body must be one JSON object with default_locale and texts.")
	}
	s := storage.InvitationSettings{DefaultLocale: in.DefaultLocale, Texts: map[string]storage.InvitationText{}}
	for lang, text := range in.Texts {
		s.Texts[lang] = storage.InvitationText(text)
	}
	if err := a.mailSettings.SaveInvitation(c.Request.Context(), s, by.entry()); err != nil {
		return settingsProblem(err)
	}
	return a.showInvitationSettings(c, by)
}

// previewRequest is the request for a preview.
type previewRequest struct {
	Locale  string  `json:"locale"`  // of the person; "": the default
	Subject *string `json:"subject"` // nil: the stored one
	Opening *string `json:"opening"`
}

// invitationPreview is an invitation as it would be sent.
type invitationPreview struct {
	Locale  string `json:"locale"` // the language it is in
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html"`
}

// previewInvitation is POST /api/admin/settings/invitation/preview.
func (a *API) previewInvitation(c *gin.Context, _ caller) error {
	var in previewRequest
	if _, err := readJSON(c, &in); err != nil {
		return err
	}
	if in.Locale != "" {
		if _, ok := roster.ParseLocale(in.Locale); !ok {
			return problem.Parameter("locale", "locale must be a language tag such as de or de-CH.")
		}
	}
	p := settings.Preview{Locale: in.Locale, Public: a.PublicURL, TTL: cmp.Or(a.InvitationTTL, defaultInvitationTTL)}
	if in.Subject != nil || in.Opening != nil {
		stored, err := a.mailSettings.Invitation(c.Request.Context())
		if err != nil {
			return err
		}
		text := stored.Custom(stored.Reader(in.Locale))
		if in.Subject != nil {
			text.Subject = *in.Subject
		}
		if in.Opening != nil {
			text.Opening = *in.Opening
		}
		p.Text = &text
	}
	m, r, err := a.mailSettings.PreviewInvitation(c.Request.Context(), p)
	if err != nil {
		return settingsProblem(err)
	}
	return a.json(c, http.StatusOK, invitationPreview{r.Lang(), m.Subject, m.Text, m.HTML})
}

// defaultInvitationTTL is how long links of previews seem to work if nothing is set.
const defaultInvitationTTL = 72 * time.Hour
