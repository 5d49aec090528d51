package settings

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/internal/i18n"
	"rollcall/mail"
	"rollcall/storage"
)

// Invitation is what Settings > Invitation says.
type Invitation struct{ storage.InvitationSettings }

// Invitation reads it.
func (s *Settings) Invitation(ctx context.Context) (Invitation, error) {
	stored, err := s.store.InvitationSettings(ctx)
	return Invitation{stored}, err
}

// Reader is the language of a person with this locale: "", or one that there are no
// texts in, means the default.
func (i Invitation) Reader(locale string) i18n.Reader {
	r, _ := i18n.For(locale, i.DefaultLocale)
	return r
}

// Custom is what the organization says in a language.
func (i Invitation) Custom(r i18n.Reader) mail.CustomText {
	text := i.Texts[r.Lang()]
	return mail.CustomText{Subject: text.Subject, Opening: text.Opening}
}

// SaveInvitation validates and stores the settings. Invalid ones return [Problems].
func (s *Settings) SaveInvitation(ctx context.Context, in storage.InvitationSettings, by storage.AuditEntry) error {
	checked, err := checkInvitation(in)
	if err != nil {
		return err
	}
	return s.store.SetInvitationSettings(ctx, checked, by)
}

func checkInvitation(in storage.InvitationSettings) (out storage.InvitationSettings, err error) {
	var problems Problems
	out.Texts = map[string]storage.InvitationText{}
	out.DefaultLocale = strings.TrimSpace(in.DefaultLocale)
	switch r, ok := i18n.For(out.DefaultLocale); {
	case out.DefaultLocale == "":
		out.DefaultLocale = i18n.Default
	case !ok || !slices.Contains(i18n.Languages(), r.Lang()):
		problems = append(problems, Problem{"default_locale", "The default language must be one of " + strings.Join(i18n.Languages(), ", ") + ", or one of these with a region, such as en-US."})
	}
	for _, lang := range slices.Sorted(maps.Keys(in.Texts)) {
		text := mail.CustomText(in.Texts[lang]).Trimmed()
		if !slices.Contains(i18n.Languages(), lang) {
			problems = append(problems, Problem{"texts", fmt.Sprintf("There are no invitations in %q; the languages are %s.", lang, strings.Join(i18n.Languages(), ", "))})
			continue
		}
		problems = append(problems, textProblems(lang, text)...)
		if text != (mail.CustomText{}) {
			out.Texts[lang] = storage.InvitationText(text)
		}
	}
	if len(problems) > 0 {
		return out, problems
	}
	return out, nil
}

func textProblems(lang string, text mail.CustomText) (problems Problems) {
	for _, field := range []struct {
		member, name, text string
		limit              int
	}{
		{"subject", "The subject", text.Subject, mail.MaxCustomSubject},
		{"opening", "The opening paragraph", text.Opening, mail.MaxCustomOpening},
	} {
		if problem := mail.CustomTextProblem(field.name+" in "+i18n.Name(lang), field.text, field.limit); problem != "" {
			problems = append(problems, Problem{"texts." + lang + "." + field.member, problem})
		}
	}
	return problems
}

// Preview is an invitation to nobody in particular, as it would be sent now.
type Preview struct {
	Brand  string           // "": that of the test mail
	Locale string           // of the person
	Text   *mail.CustomText // in place of the stored texts of its language; nil: those
	To     string           // "": an example
	Name   string           // "": an example
	Public string           // base of the link, without a trailing slash
	TTL    time.Duration    // of the link
}

// previewName and previewAddress are of nobody.
const (
	previewName    = "Ada Lovelace"
	previewAddress = "ada.lovelace@example.com"
)

// PreviewInvitation renders a preview. Invalid texts return [Problems]. Its link
// works for nobody.
func (s *Settings) PreviewInvitation(ctx context.Context, p Preview) (m mail.Message, r i18n.Reader, err error) {
	stored, err := s.Invitation(ctx)
	if err != nil {
		return m, r, err
	}
	r = stored.Reader(p.Locale)
	text := stored.Custom(r)
	if p.Text != nil {
		text = p.Text.Trimmed()
		if problems := textProblems(r.Lang(), text); len(problems) > 0 {
			return m, r, problems
		}
	}
	if p.To == "" {
		p.To, p.Name = previewAddress, previewName
	}
	now := time.Now()
	m, err = mail.RenderInvitation(mail.Invitation{
		Reader: r, Custom: text, Brand: cmp.Or(p.Brand, s.defaults.Brand), From: s.defaults.From, To: p.To, Name: p.Name,
		Link: p.Public + "/invite/example", ExpiresAt: now.Add(p.TTL), Date: now,
	})
	return m, r, err
}
