package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/auth"
	"rollcall/roster"
	"rollcall/storage"
)

const (
	// resetLife is how long a link to a new password works.
	resetLife = time.Hour
	// resetAgain is how soon asking again sends another mail.
	resetAgain = 2 * time.Minute
	// Resets one network address may ask for at once, and then one every
	// resetPace.
	resetBurst = 10
	resetPace  = time.Minute
)

// forgotView is the form that asks for a link to a new password.
type forgotView struct {
	Brand   string
	Email   string        // as typed before
	Problem string        // why the last try did not work, "" on the first
	NoMail  bool          // this server sends no mail
	Asked   bool          // the request was taken
	Life    time.Duration // of the link
}

func (v forgotView) frame() frame {
	if v.Asked {
		return frame{Template: "forgot", Title: "Look into your mailbox"}
	}
	return frame{Template: "forgot", Title: "Forgotten password"}
}

func (s *Site) showForgot(c *gin.Context) error {
	v := forgotView{Brand: s.Brand, Life: resetLife}
	_, _, err := s.mailing.settings(c.Request.Context())
	if v.NoMail = errors.Is(err, errNoMailServer); !v.NoMail && errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	return s.show(c, http.StatusOK, nil, v)
}

// forgot notes that a new password is wanted. What it answers, and how long that
// takes, is the same for every address: whether there is such an account is
// only looked up later.
func (s *Site) forgot(c *gin.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	v := forgotView{Brand: s.Brand, Email: strings.TrimSpace(form.Get("email")), Life: resetLife}
	key, err := roster.EmailKey(v.Email)
	if err != nil {
		v.Problem = "That is not an e-mail address. Check it for typing errors."
		return s.show(c, http.StatusUnprocessableEntity, nil, v)
	}
	if wait := s.resetAsks.take(network(c.ClientIP())); wait > 0 {
		retryAfter(c, wait)
		v.Problem = "Too many requests came from your network. Try again in " + duration(max(wait, time.Minute)) + "."
		return s.show(c, http.StatusTooManyRequests, nil, v)
	}
	if err := s.Store.AskReset(c.Request.Context(), key, resetAgain); err != nil {
		return err
	}
	s.resets.wake()
	v.Asked = true
	return s.show(c, http.StatusOK, nil, v)
}

// resetView is the form on which a new password is chosen.
type resetView struct {
	Brand      string
	Email      string
	ExpiresAt  time.Time
	MinLength  int
	Complaints []string // why the last choice was refused
}

func (resetView) frame() frame { return frame{Template: "reset", Title: "Choose a new password"} }

// deadResets are the ways in which a link to a new password does not work.
var deadResets = []deadLink{
	{storage.ErrLinkUsed, http.StatusGone, deadLinkView{
		Heading: "This link has been used", SignIn: true, Forgot: true,
		Text: "The password was changed since the link was made, and a link works only once. Sign in with the new password, or ask for a new link. If it was not you who changed it, tell your administrator at once."}},
	{storage.ErrLinkExpired, http.StatusGone, deadLinkView{
		Heading: "This link has expired", Forgot: true,
		Text: "Links to a new password work for an hour. Ask for a new one."}},
	{storage.ErrNotFound, http.StatusGone, deadLinkView{
		Heading: "This account cannot sign in",
		Text:    "It was removed or disabled since the link was made. Ask your administrator."}},
	{errUnknownLink, http.StatusNotFound, deadLinkView{
		Heading: "This link is not complete", Forgot: true,
		Text: "We do not know this link. Mail programs sometimes break long links in two: copy the whole link from the mail into the address bar, or ask for a new one."}},
}

// resetLink is what a link to a new password stands for.
type resetLink struct {
	storage.Resetter
	expiresAt time.Time
}

// resetter finds out who a link is for and whether it works; it consumes
// nothing.
func (s *Site) resetter(c *gin.Context) (resetLink, error) {
	id, counter, expires, ok := s.Signer.ParseResetToken(c.Param("token"))
	if !ok {
		return resetLink{}, errUnknownLink
	}
	ctx := c.Request.Context()
	now, err := s.Store.Now(ctx)
	if err != nil {
		return resetLink{}, err
	}
	who, err := s.Store.ResetterOf(ctx, id)
	switch {
	case err != nil:
		return resetLink{}, err
	case who.Counter != counter:
		return resetLink{}, storage.ErrLinkUsed
	case !now.Before(expires):
		return resetLink{}, storage.ErrLinkExpired
	}
	return resetLink{who, expires}, nil
}

func (s *Site) showReset(c *gin.Context) error {
	c.Header("Referrer-Policy", "no-referrer") // the address of this page is a secret
	link, err := s.resetter(c)
	if err != nil {
		return s.showDead(c, err, deadResets)
	}
	return s.show(c, http.StatusOK, nil, s.resetForm(link, nil))
}

func (s *Site) resetPassword(c *gin.Context) error {
	c.Header("Referrer-Policy", "no-referrer")
	form, err := readForm(c)
	if err != nil {
		return err
	}
	link, err := s.resetter(c)
	if err != nil {
		return s.showDead(c, err, deadResets)
	}
	password := form.Get("password")
	if complaints := s.complaints(link.Name, link.Email, password, form["password_again"]); len(complaints) > 0 {
		return s.show(c, http.StatusUnprocessableEntity, nil, s.resetForm(link, complaints))
	}
	ctx := c.Request.Context()
	hash, err := s.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	if err := s.Store.ResetPassword(ctx, link.UserID, link.Counter, hash, c.ClientIP()); err != nil {
		return s.showDead(c, err, deadResets)
	}
	// Whoever holds the link has the mailbox: this browser is the owner's.
	s.remember(c.Writer, accountKey(link.Email))
	seeOther(c, "/signin?changed=1")
	return nil
}

func (s *Site) resetForm(link resetLink, complaints []string) resetView {
	return resetView{
		Brand: s.Brand, Email: link.Email, ExpiresAt: link.expiresAt,
		MinLength: auth.MinPasswordLength, Complaints: complaints,
	}
}
