package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/internal/i18n"
	"rollcall/mail"
	"rollcall/mail/settings"
	"rollcall/roster"
	"rollcall/storage"
)

// invitationPath is the page of the invitation's language and texts.
const invitationPath = "/admin/settings/invitation"

// invitationView is the form of one language and its preview.
type invitationView struct {
	Stored   storage.InvitationSettings
	Default  string // language of people without a locale
	Lang     string // that is shown
	Subject  string // as typed
	Opening  string
	Problems []string // why the texts cannot be used
	Saved    bool
	Preview  mail.Message // zero with problems
	Mail     string       // where the HTML version is
	Test     *emailTest   // nil: no mail was sent
}

func (invitationView) pageMeta() pageMeta {
	return pageMeta{Template: "settings_invitation", Title: "Invitation", Section: sectionSettings}
}

// languageChoice is a language of the page.
type languageChoice struct {
	Lang, Name string
	Own        bool // it has own texts
}

// Languages are the languages to choose from.
func (v invitationView) Languages() (all []languageChoice) {
	for _, lang := range i18n.Languages() {
		all = append(all, languageChoice{lang, i18n.Name(lang), v.Stored.Texts[lang] != storage.InvitationText{}})
	}
	return all
}

// Name is the English name of the language that is shown.
func (v invitationView) Name() string { return i18n.Name(v.Lang) }

// Placeholders are what may be in a text, and what is put in their place.
func (invitationView) Placeholders() []placeholderWords {
	return []placeholderWords{
		{mail.PlaceholderBrand, "the name of this product"},
		{mail.PlaceholderRemaining, "how long the link works"},
		{mail.PlaceholderExpires, "when the link expires"},
	}
}

type placeholderWords struct{ Name, Words string }

// MaxSubject and MaxOpening are limits in characters.
func (invitationView) MaxSubject() int { return mail.MaxCustomSubject }
func (invitationView) MaxOpening() int { return mail.MaxCustomOpening }

// invitationTexts is what a request says about one language.
type invitationTexts struct {
	lang string
	text *mail.CustomText // nil: nothing
}

// readTexts reads the fields language, subject and opening.
func readTexts(values url.Values) (t invitationTexts) {
	if t.lang = values.Get("language"); !slices.Contains(i18n.Languages(), t.lang) {
		t.lang = ""
	}
	if values.Has("subject") || values.Has("opening") {
		t.text = &mail.CustomText{Subject: values.Get("subject"), Opening: values.Get("opening")}
	}
	return t
}

// query is the same as part of an address.
func (t invitationTexts) query() string {
	q := url.Values{"language": {t.lang}}
	if t.text != nil {
		q.Set("subject", t.text.Subject)
		q.Set("opening", t.text.Opening)
	}
	return q.Encode()
}

// invitationSettings builds the view, with texts that need not be stored.
func (s *Site) invitationSettings(ctx context.Context, t invitationTexts) (v invitationView, err error) {
	stored, err := s.mailSettings.Invitation(ctx)
	if err != nil {
		return v, err
	}
	v.Stored, v.Default = stored.InvitationSettings, cmp.Or(stored.DefaultLocale, i18n.Default)
	t.lang = cmp.Or(t.lang, stored.Reader("").Lang())
	v.Lang = t.lang
	v.Subject, v.Opening = stored.Texts[t.lang].Subject, stored.Texts[t.lang].Opening
	if t.text != nil {
		v.Subject, v.Opening = t.text.Subject, t.text.Opening
	}
	v.Mail = invitationPath + "/preview?" + t.query()
	v.Preview, err = s.previewInvitation(ctx, t, nil)
	if problems, ok := errors.AsType[settings.Problems](err); ok {
		for _, problem := range problems {
			v.Problems = append(v.Problems, problem.Text)
		}
		return v, nil
	}
	return v, err
}

// previewInvitation renders an invitation to an administrator; nil: without a recipient.
func (s *Site) previewInvitation(ctx context.Context, t invitationTexts, to *roster.User) (mail.Message, error) {
	p := settings.Preview{Brand: s.deps.Brand, Locale: t.lang, Text: t.text, Public: s.deps.PublicURL, TTL: cmp.Or(s.deps.InvitationTTL, 72*time.Hour)}
	if to != nil {
		p.To, p.Name = to.Email, to.Name
	}
	m, _, err := s.mailSettings.PreviewInvitation(ctx, p)
	return m, err
}

// showInvitationSettings shows the page, with the texts of the query if it has any:
// that is how a preview of what is not saved is made.
func (s *Site) showInvitationSettings(c *gin.Context, admin *roster.User) error {
	v, err := s.invitationSettings(c.Request.Context(), readTexts(c.Request.URL.Query()))
	if err != nil {
		return err
	}
	v.Saved = c.Query("did") == "save"
	return s.showInvitation(c, http.StatusOK, admin, v)
}

func (s *Site) showInvitation(c *gin.Context, status int, admin *roster.User, v invitationView) error {
	c.Header("Content-Security-Policy", contentPolicy+"; frame-src 'self'") // for the HTML version
	return s.show(c, status, admin, v)
}

// showInvitationMail shows the HTML version of the mail by itself.
func (s *Site) showInvitationMail(c *gin.Context, _ *roster.User) error {
	m, err := s.previewInvitation(c.Request.Context(), readTexts(c.Request.URL.Query()), nil)
	if errors.As(err, new(settings.Problems)) {
		return storage.ErrNotFound // the page says why
	}
	if err != nil {
		return err
	}
	return s.writeMail(c, m.HTML)
}

// saveInvitationSettings changes the default language or the texts of one language.
func (s *Site) saveInvitationSettings(c *gin.Context, admin *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, t := c.Request.Context(), readTexts(form)
	stored, err := s.mailSettings.Invitation(ctx)
	if err != nil {
		return err
	}
	in := stored.InvitationSettings
	if form.Has("default_locale") {
		in.DefaultLocale = form.Get("default_locale")
	}
	if t.text != nil && t.lang != "" {
		texts := map[string]storage.InvitationText{t.lang: storage.InvitationText(*t.text)}
		for lang, text := range in.Texts {
			if lang != t.lang {
				texts[lang] = text
			}
		}
		in.Texts = texts
	}
	err = s.mailSettings.SaveInvitation(ctx, in, entry(c, admin))
	if problems, ok := errors.AsType[settings.Problems](err); ok {
		v, err := s.invitationSettings(ctx, t)
		if err != nil {
			return err
		}
		v.Problems = nil
		for _, problem := range problems {
			v.Problems = append(v.Problems, problem.Text)
		}
		return s.showInvitation(c, http.StatusUnprocessableEntity, admin, v)
	}
	if err != nil {
		return err
	}
	seeOther(c, pathWith(invitationPath, "language", t.lang, "did", "save"))
	return nil
}

// testInvitation sends the mail to the administrator's own address, with the texts as
// typed.
func (s *Site) testInvitation(c *gin.Context, admin *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, t := c.Request.Context(), readTexts(form)
	v, err := s.invitationSettings(ctx, t)
	if err != nil {
		return err
	}
	if len(v.Problems) > 0 {
		return s.showInvitation(c, http.StatusUnprocessableEntity, admin, v)
	}
	message, err := s.previewInvitation(ctx, t, admin)
	if err != nil {
		return err
	}
	v.Test = &emailTest{To: admin.Email}
	if err := s.sendTest(c, v.Test, func(out settings.Outgoing) error {
		result, err := s.mailSettings.TestWith(ctx, out, message)
		if err != nil {
			return err
		}
		v.Test.fill(result)
		return s.deps.Store.AuditInvitationTest(ctx, v.Lang, v.Test.Sent, entry(c, admin))
	}); err != nil {
		return err
	}
	return s.showInvitation(c, http.StatusOK, admin, v)
}
