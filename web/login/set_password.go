package login

import (
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/internal/i18n"
	"rollcall/storage"
	"rollcall/web/postform"
)

// inviteView is the form on which an invited user chooses a password.
type inviteView struct {
	Reader     i18n.Reader
	Brand      string
	Name       string
	Email      string
	ExpiresAt  time.Time
	MinLength  int
	Complaints []string // why the last password was refused
}

func (v inviteView) page() Page {
	return Page{Template: "set_password", Title: v.Reader.Text("invite.title"), Reader: v.Reader}
}

// acceptedView confirms that the password is set.
type acceptedView struct {
	Reader      i18n.Reader
	Brand       string
	Name, Email string
}

func (v acceptedView) page() Page {
	return Page{Template: "set_password_done", Title: v.Reader.Text("invite.done.title"), Reader: v.Reader}
}

// deadLinkView explains why a set-password link does not work and what to do.
type deadLinkView struct {
	Reader  i18n.Reader
	Heading string
	Text    string
	SignIn  bool   // there is an account to sign in to
	Forgot  bool   // the user can request a new link
	Renew   string // where to ask for a fresh link in place of this one; "": nowhere
}

func (v deadLinkView) page() Page {
	return Page{Template: "dead_link", Title: v.Heading, Reader: v.Reader}
}

var errUnknownLink = errors.New("link unknown")

// deadLink is one reason why a link does not work, with the keys of its texts.
type deadLink struct {
	err    error
	status int
	title  string
	text   string
	signIn bool
	forgot bool
}

// deadLinks are the reasons why a set-password link does not work.
var deadLinks = []deadLink{
	{storage.ErrLinkUsed, http.StatusGone, "dead.used.title", "dead.used", true, true},
	{storage.ErrLinkExpired, http.StatusGone, "dead.expired.title", "dead.expired", false, false},
	{storage.ErrLinkReplaced, http.StatusGone, "dead.replaced.title", "dead.replaced", false, false},
	{storage.ErrLinkRevoked, http.StatusGone, "dead.revoked.title", "dead.revoked", false, false},
	{errUnknownLink, http.StatusNotFound, "dead.unknown.title", "dead.unknown", false, false},
	{storage.ErrNotFound, http.StatusNotFound, "dead.removed.title", "dead.removed", false, false},
}

// invitation is the invitation that a set-password link belongs to.
type invitation struct {
	storage.Invitee
	generation int32
}

// invitee looks up the user of a link and whether it works, without using it
// up.
func (s *Service) invitee(c *gin.Context) (invitation, error) {
	id, generation, ok := s.signer.ParseInvitationToken(c.Param("token"))
	if !ok || id == uuid.Nil || generation < 0 || generation > math.MaxInt32 {
		return invitation{}, errUnknownLink
	}
	invitee, err := s.store.Invitee(c.Request.Context(), id, int32(generation))
	return invitation{invitee, int32(generation)}, err
}

func (s *Service) ShowInvitation(c *gin.Context) error {
	c.Header("Referrer-Policy", "no-referrer") // the address of this page is a secret
	i, err := s.invitee(c)
	if err != nil {
		return s.showDeadInvitation(c, i, err)
	}
	return s.show(c, http.StatusOK, nil, s.inviteForm(s.reader(c, i.Locale), i, nil))
}

func (s *Service) AcceptInvitation(c *gin.Context) error {
	c.Header("Referrer-Policy", "no-referrer")
	form, err := postform.Read(c)
	if err != nil {
		return err
	}
	// Checked before the password is hashed, which is expensive.
	i, err := s.invitee(c)
	if err != nil {
		return s.showDeadInvitation(c, i, err)
	}
	r := s.reader(c, i.Locale)
	password := form.Get("password")
	if complaints := s.complaints(r, i.Name, i.Email, password, form["password_again"]); len(complaints) > 0 {
		return s.show(c, http.StatusUnprocessableEntity, nil, s.inviteForm(r, i, complaints))
	}
	ctx := c.Request.Context()
	hash, err := s.hash(c, i.Email, password, false)
	if err != nil {
		return err
	}
	if err := s.store.AcceptInvitation(ctx, i.UserID, i.generation, hash, c.ClientIP()); err != nil {
		return s.showDeadInvitation(c, i, err)
	}
	return s.show(c, http.StatusOK, nil, acceptedView{Reader: r, Brand: s.brand, Name: i.Name, Email: i.Email})
}

// complaints lists what is wrong with a password. again is the content of the
// confirmation field, empty if the form had none.
func (s *Service) complaints(r i18n.Reader, name, email, password string, again []string) (complaints []string) {
	if password == "" {
		return []string{r.Text("password.empty")}
	}
	for _, c := range auth.CheckPassword(password, auth.PasswordContext{Brand: s.brand, Name: name, Email: email}) {
		complaints = append(complaints, complaintText(r, c))
	}
	if len(again) > 0 && again[0] != password {
		complaints = append(complaints, r.Text("password.mismatch"))
	}
	return complaints
}

// complaintText is a complaint in the reader's language.
func complaintText(r i18n.Reader, c auth.Complaint) string {
	switch c.Code {
	case auth.TooShort:
		return r.Text("password.too_short", auth.MinPasswordLength, c.Missing)
	case auth.TooLong:
		return r.Text("password.too_long", auth.MaxPasswordBytes)
	}
	return r.Text("password." + c.Code)
}

func (s *Service) inviteForm(r i18n.Reader, i invitation, complaints []string) inviteView {
	return inviteView{
		Reader: r, Brand: s.brand, Name: i.Name, Email: i.Email, ExpiresAt: i.ExpiresAt,
		MinLength: auth.MinPasswordLength, Complaints: complaints,
	}
}

// showDeadInvitation answers with the page for an invitation's link that does not
// work. An expired one can be renewed.
func (s *Service) showDeadInvitation(c *gin.Context, i invitation, err error) error {
	r, renew := s.reader(c, i.Locale), ""
	if errors.Is(err, storage.ErrLinkExpired) {
		renew = "/invite/" + c.Param("token") + "/renew"
	}
	return s.showDead(c, r, err, deadLinks, renew)
}

// showDead answers with the page for a link that does not work, using the given
// table; it returns all other errors.
func (s *Service) showDead(c *gin.Context, r i18n.Reader, err error, table []deadLink, renew string) error {
	for _, dead := range table {
		if !errors.Is(err, dead.err) {
			continue
		}
		var args []any
		if dead.text == resetExpiredText {
			args = []any{r.Lasting(resetLife)}
		}
		return s.show(c, dead.status, nil, deadLinkView{
			Reader: r, Heading: r.Text(dead.title), Text: r.Text(dead.text, args...), SignIn: dead.signIn, Forgot: dead.forgot, Renew: renew,
		})
	}
	return err
}
