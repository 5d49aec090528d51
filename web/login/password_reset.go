package login

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/auth"
	"rollcall/internal/i18n"
	"rollcall/mail/settings"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/postform"
	"rollcall/web/respond"
)

const (
	// resetLife is how long a link to set a new password works.
	resetLife = time.Hour
	// resetAgain is the minimum time between two mails to one user.
	resetAgain = 2 * time.Minute
	// Resets that one network address may request at once; after that, one
	// every resetPace.
	resetBurst = 10
	resetPace  = time.Minute
)

// forgotView is the form that requests a link to set a new password.
type forgotView struct {
	Reader  i18n.Reader
	Brand   string
	Email   string        // as typed before
	Problem string        // why the last attempt failed, "" on the first
	NoMail  bool          // this server sends no mail
	Asked   bool          // the request was accepted
	Life    time.Duration // of the link
}

func (v forgotView) page() Page {
	if v.Asked {
		return Page{Template: "password_reset_request", Title: v.Reader.Text("forgot.asked.title"), Reader: v.Reader}
	}
	return Page{Template: "password_reset_request", Title: v.Reader.Text("forgot.title"), Reader: v.Reader}
}

func (s *Service) ShowForgot(c *gin.Context) error {
	v := forgotView{Reader: s.reader(c, c.Query(langField)), Brand: s.brand, Life: resetLife}
	_, err := s.mailSettings.Current(c.Request.Context())
	if v.NoMail = errors.Is(err, settings.ErrNoServer); !v.NoMail && errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	return s.show(c, http.StatusOK, nil, v)
}

// Forgot records the request for a new password. The response and its timing
// are the same for every address: whether the account exists is only looked up
// later.
func (s *Service) Forgot(c *gin.Context) error {
	form, err := postform.Read(c)
	if err != nil {
		return err
	}
	v := forgotView{Reader: s.reader(c, form.Get(langField)), Brand: s.brand, Email: strings.TrimSpace(form.Get("email")), Life: resetLife}
	key, err := roster.EmailKey(v.Email)
	if err != nil {
		v.Problem = v.Reader.Text("forgot.invalid")
		return s.show(c, http.StatusUnprocessableEntity, nil, v)
	}
	if wait := s.resetLimiter.Take(network(c.ClientIP())).RetryAfter; wait > 0 {
		respond.RetryAfter(c, wait)
		v.Problem = v.Reader.Text("forgot.too_many", max(1, int(wait.Round(time.Minute)/time.Minute)))
		return s.show(c, http.StatusTooManyRequests, nil, v)
	}
	if err := s.store.RequestReset(c.Request.Context(), key, resetAgain); err != nil {
		return err
	}
	s.resets.wake()
	v.Asked = true
	return s.show(c, http.StatusOK, nil, v)
}

// resetView is the form that sets a new password.
type resetView struct {
	Reader     i18n.Reader
	Brand      string
	Email      string
	ExpiresAt  time.Time
	MinLength  int
	Complaints []string // why the last password was refused
}

func (v resetView) page() Page {
	return Page{Template: "password_reset", Title: v.Reader.Text("new.title"), Reader: v.Reader}
}

// resetExpiredText is the key of the text that tells how long a link works.
const resetExpiredText = "dead.reset.expired"

// deadResets are the reasons why a reset link does not work.
var deadResets = []deadLink{
	{storage.ErrLinkUsed, http.StatusGone, "dead.used.title", "dead.reset.used", true, true},
	{storage.ErrLinkExpired, http.StatusGone, "dead.expired.title", resetExpiredText, false, true},
	{storage.ErrNotFound, http.StatusGone, "dead.reset.gone.title", "dead.reset.gone", false, false},
	{errUnknownLink, http.StatusNotFound, "dead.unknown.title", "dead.reset.unknown", false, true},
}

// resetLink is the reset that a link belongs to.
type resetLink struct {
	storage.ResetTarget
	expiresAt time.Time
}

// resetter looks up the user of a link and whether it works, without using it
// up. A link that was good once names its user all the same.
func (s *Service) resetter(c *gin.Context) (resetLink, error) {
	id, counter, expires, ok := s.signer.ParseResetToken(c.Param("token"))
	if !ok {
		return resetLink{}, errUnknownLink
	}
	ctx := c.Request.Context()
	now, err := s.store.Now(ctx)
	if err != nil {
		return resetLink{}, err
	}
	who, err := s.store.ResetTargetByID(ctx, id)
	switch {
	case err != nil:
		return resetLink{}, err
	case who.Counter != counter:
		return resetLink{who, expires}, storage.ErrLinkUsed
	case !now.Before(expires):
		return resetLink{who, expires}, storage.ErrLinkExpired
	}
	return resetLink{who, expires}, nil
}

func (s *Service) ShowReset(c *gin.Context) error {
	c.Header("Referrer-Policy", "no-referrer") // the address of this page is a secret
	link, err := s.resetter(c)
	if err != nil {
		return s.showDead(c, s.reader(c, link.Locale), err, deadResets, "")
	}
	return s.show(c, http.StatusOK, nil, s.resetForm(s.reader(c, link.Locale), link, nil))
}

func (s *Service) ResetPassword(c *gin.Context) error {
	c.Header("Referrer-Policy", "no-referrer")
	form, err := postform.Read(c)
	if err != nil {
		return err
	}
	link, err := s.resetter(c)
	if err != nil {
		return s.showDead(c, s.reader(c, link.Locale), err, deadResets, "")
	}
	r := s.reader(c, link.Locale)
	password := form.Get("password")
	if complaints := s.complaints(r, link.Name, link.Email, password, form["password_again"]); len(complaints) > 0 {
		return s.show(c, http.StatusUnprocessableEntity, nil, s.resetForm(r, link, complaints))
	}
	ctx := c.Request.Context()
	hash, err := s.hash(c, link.Email, password, false)
	if err != nil {
		return err
	}
	if err := s.store.ResetPassword(ctx, link.UserID, link.Counter, hash, c.ClientIP()); err != nil {
		return s.showDead(c, s.reader(c, link.Locale), err, deadResets, "")
	}
	respond.SeeOther(c, "/signin?changed=1")
	return nil
}

func (s *Service) resetForm(r i18n.Reader, link resetLink, complaints []string) resetView {
	return resetView{
		Reader: r, Brand: s.brand, Email: link.Email, ExpiresAt: link.expiresAt,
		MinLength: auth.MinPasswordLength, Complaints: complaints,
	}
}
