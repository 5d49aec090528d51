package web

import (
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/storage"
)

// inviteView is the form on which an invited person chooses a password.
type inviteView struct {
	Brand      string
	Name       string
	Email      string
	ExpiresAt  time.Time
	MinLength  int
	Complaints []string // why the last choice was refused
}

func (inviteView) frame() frame { return frame{Template: "invite", Title: "Choose a password"} }

// acceptedView says that the password is set.
type acceptedView struct{ Brand, Name, Email string }

func (acceptedView) frame() frame { return frame{Template: "accepted", Title: "Your password is set"} }

// deadLinkView says why a set-password link does not work and what to do.
type deadLinkView struct {
	Heading string
	Text    string
	SignIn  bool // there is an account to sign in to
	Forgot  bool // one can ask for a new link oneself
}

func (v deadLinkView) frame() frame { return frame{Template: "deadlink", Title: v.Heading} }

var errUnknownLink = errors.New("link unknown")

// deadLink is one way in which a link does not work.
type deadLink struct {
	err    error
	status int
	view   deadLinkView
}

// deadLinks are the ways in which a set-password link does not work.
var deadLinks = []deadLink{
	{storage.ErrLinkUsed, http.StatusGone, deadLinkView{
		Heading: "This link has been used", SignIn: true,
		Text: "The password for this account is set, and the link works only once. Sign in with that password. If it was not you who set it, tell your administrator at once."}},
	{storage.ErrLinkExpired, http.StatusGone, deadLinkView{
		Heading: "This link has expired",
		Text:    "Set-password links work for a limited time. Ask your administrator to send you a new one."}},
	{storage.ErrLinkReplaced, http.StatusGone, deadLinkView{
		Heading: "A newer link was sent to you",
		Text:    "Only the newest link works. Look for the latest mail from us, also in the spam folder, and use the link in that one."}},
	{storage.ErrLinkRevoked, http.StatusGone, deadLinkView{
		Heading: "This link was withdrawn",
		Text:    "Your administrator has withdrawn the invitation. If you think that is a mistake, ask them for a new one."}},
	{errUnknownLink, http.StatusNotFound, deadLinkView{
		Heading: "This link is not complete",
		Text:    "We do not know this link. Mail programs sometimes break long links in two: copy the whole link from the mail into the address bar. If that does not help, ask your administrator for a new one."}},
	{storage.ErrNotFound, http.StatusNotFound, deadLinkView{
		Heading: "This account is no longer there",
		Text:    "The account this link was made for has been removed. Ask your administrator to invite you again."}},
}

// invitation is what a set-password link stands for.
type invitation struct {
	storage.Invitee
	generation int32
}

// invitee finds out who a link is for and whether it works; it consumes
// nothing.
func (s *Site) invitee(c *gin.Context) (invitation, error) {
	id, generation, ok := s.Signer.ParseInvitationToken(c.Param("token"))
	if !ok || id == uuid.Nil || generation < 0 || generation > math.MaxInt32 {
		return invitation{}, errUnknownLink
	}
	invitee, err := s.Store.Invitee(c.Request.Context(), id, int32(generation))
	return invitation{invitee, int32(generation)}, err
}

func (s *Site) showInvitation(c *gin.Context) error {
	c.Header("Referrer-Policy", "no-referrer") // the address of this page is a secret
	i, err := s.invitee(c)
	if err != nil {
		return s.showDead(c, err, deadLinks)
	}
	return s.show(c, http.StatusOK, nil, s.inviteForm(i, nil))
}

func (s *Site) acceptInvitation(c *gin.Context) error {
	c.Header("Referrer-Policy", "no-referrer")
	form, err := readForm(c)
	if err != nil {
		return err
	}
	// Asked before the password is hashed, which is costly.
	i, err := s.invitee(c)
	if err != nil {
		return s.showDead(c, err, deadLinks)
	}
	password := form.Get("password")
	if complaints := s.complaints(i.Name, i.Email, password, form["password_again"]); len(complaints) > 0 {
		return s.show(c, http.StatusUnprocessableEntity, nil, s.inviteForm(i, complaints))
	}
	ctx := c.Request.Context()
	hash, err := s.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	if err := s.Store.AcceptInvitation(ctx, i.UserID, i.generation, hash, c.ClientIP()); err != nil {
		return s.showDead(c, err, deadLinks)
	}
	return s.show(c, http.StatusOK, nil, acceptedView{Brand: s.Brand, Name: i.Name, Email: i.Email})
}

// complaints says what speaks against a password. again is what stood in the
// field below it, empty if the form had none.
func (s *Site) complaints(name, email, password string, again []string) (complaints []string) {
	if password == "" {
		return []string{"Choose a password."}
	}
	for _, c := range auth.CheckPassword(password, auth.PasswordContext{Brand: s.Brand, Name: name, Email: email}) {
		complaints = append(complaints, c.Message)
	}
	if len(again) > 0 && again[0] != password {
		complaints = append(complaints, "The two entries are not the same. Type the password again in both fields.")
	}
	return complaints
}

func (s *Site) inviteForm(i invitation, complaints []string) inviteView {
	return inviteView{
		Brand: s.Brand, Name: i.Name, Email: i.Email, ExpiresAt: i.ExpiresAt,
		MinLength: auth.MinPasswordLength, Complaints: complaints,
	}
}

// showDead answers with the page for a link that does not work, by the table
// given; other errors it returns.
func (s *Site) showDead(c *gin.Context, err error, table []deadLink) error {
	for _, dead := range table {
		if errors.Is(err, dead.err) {
			return s.show(c, dead.status, nil, dead.view)
		}
	}
	return err
}
