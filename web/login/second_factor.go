package login

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/postform"
	"rollcall/web/respond"
)

// FactorPath is the page where users manage their second factor.
const FactorPath = AccountPath + "/second-factor"

// FactorOf reads the second factor of a user, nil if none is set up.
func (s *Service) FactorOf(ctx context.Context, user uuid.UUID) (*storage.SecondFactor, error) {
	f, err := s.store.SecondFactorOf(ctx, user)
	if errors.Is(err, storage.ErrNotFound) || err == nil && f.Since == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &f, nil
}

// needsFactor reports whether a user must have a second factor.
func (s *Service) needsFactor(user *roster.User) bool {
	return s.adminsNeedFactor && user.Role == roster.RoleAdmin
}

// Must2FA reports whether a user has to set up a second factor before anything
// else.
func (s *Service) Must2FA(ctx context.Context, user *roster.User) (bool, error) {
	if !s.needsFactor(user) {
		return false, nil
	}
	factor, err := s.FactorOf(ctx, user.ID)
	return factor == nil, err
}

// factorView shows the user's second factor, or how to set one up.
type factorView struct {
	Account *roster.User
	Factor  *storage.SecondFactor // nil: none
	Needed  bool                  // the user must have one
	Problem string                // why the last action failed
}

func (v factorView) page() Page {
	return Page{Template: "second_factor", Title: "Two-factor authentication", Account: true, Bare: v.Bare()}
}

// Bare reports whether all other pages are locked for now.
func (v factorView) Bare() bool { return v.Needed && v.Factor == nil }

// setupView shows the secret for an authenticator app and asks for a code from
// it.
type setupView struct {
	Account *roster.User
	Secret  string       // in groups; "" after a wrong code, because showing it needs the password
	Link    template.URL // with the secret
	Picture qrPicture    // QR code of the link
	Bare    bool         // all other pages are locked for now
	Problem string       // why the code was refused
}

func (v setupView) page() Page {
	return Page{Template: "second_factor_setup", Title: "Set up two-factor authentication", Account: true, Bare: v.Bare}
}

// codesView shows recovery codes, only this once.
type codesView struct {
	Codes []string
	Fresh bool // the second factor was just set up
}

func (codesView) page() Page {
	return Page{Template: "second_factor_codes", Title: "Recovery codes", Account: true}
}

func (s *Service) ShowFactor(c *gin.Context, user *roster.User) error {
	return s.factorPage(c, http.StatusOK, user, "")
}

func (s *Service) factorPage(c *gin.Context, status int, user *roster.User, problem string) error {
	factor, err := s.FactorOf(c.Request.Context(), user.ID)
	if err != nil {
		return err
	}
	return s.show(c, status, user, factorView{user, factor, s.needsFactor(user), problem})
}

// BeginFactor shows a new secret if the password is entered: someone at a
// browser left open must not be able to lock its owner out.
func (s *Service) BeginFactor(c *gin.Context, user *roster.User) error {
	form, err := postform.Read(c)
	if err != nil {
		return err
	}
	_, problem, err := s.Reauthenticate(c, user, form.Get("current"))
	if err != nil {
		return err
	}
	if problem != nil {
		return s.factorPage(c, problem.Status, user, problem.Text)
	}
	secret := auth.NewTOTPSecret()
	err = s.store.BeginSecondFactor(c.Request.Context(), user.ID, s.sealer.Seal(secret, auth.TOTPContext(user.ID)))
	if errors.Is(err, storage.ErrAlreadyExists) {
		respond.SeeOther(c, FactorPath) // already set up in another window
		return nil
	}
	if err != nil {
		return err
	}
	link := auth.TOTPLink(secret, s.brand, user.Email)
	picture, err := drawQR(link)
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, user, setupView{
		Account: user, Secret: inGroups(secret), Link: template.URL(link), Picture: picture, Bare: s.needsFactor(user),
	})
}

// ConfirmFactor completes the setup with a code from the app.
func (s *Service) ConfirmFactor(c *gin.Context, user *roster.User) error {
	form, err := postform.Read(c)
	if err != nil {
		return err
	}
	factor, err := s.store.SecondFactorOf(c.Request.Context(), user.ID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && factor.Since != nil {
		respond.SeeOther(c, FactorPath) // it took too long, or was done in another window
		return nil
	}
	if err != nil {
		return err
	}
	codes, problem, err := s.changeFactor(c, user, factor, form.Get("code"), s.store.ConfirmSecondFactor)
	if errors.Is(err, storage.ErrWrongState) {
		respond.SeeOther(c, FactorPath)
		return nil
	}
	if err != nil {
		return err
	}
	if problem != nil {
		return s.show(c, problem.Status, user, setupView{Account: user, Bare: s.needsFactor(user), Problem: problem.Text})
	}
	return s.show(c, http.StatusOK, user, codesView{Codes: codes, Fresh: true})
}

// RenewCodes makes new recovery codes if the password and a code are entered.
func (s *Service) RenewCodes(c *gin.Context, user *roster.User) error {
	codes, err := s.changeProved(c, user, s.store.RenewRecoveryCodes)
	if err != nil || codes == nil {
		return err
	}
	return s.show(c, http.StatusOK, user, codesView{Codes: codes})
}

// RemoveFactor removes the second factor if the password and a code are
// entered.
func (s *Service) RemoveFactor(c *gin.Context, user *roster.User) error {
	remove := func(ctx context.Context, change storage.FactorChange, by storage.AuditEntry) error {
		change.Codes = nil
		return s.store.RemoveSecondFactor(ctx, change, by)
	}
	done, err := s.changeProved(c, user, remove)
	if err != nil || done == nil {
		return err
	}
	respond.SeeOther(c, AccountPath+"?did=factor")
	return nil
}

// factorChange is a method of the store that changes a second factor.
type factorChange func(context.Context, storage.FactorChange, storage.AuditEntry) error

// changeProved makes a change if the password and a code are entered, and
// returns the new recovery codes. Otherwise it sends the response itself and
// returns none.
func (s *Service) changeProved(c *gin.Context, user *roster.User, change factorChange) (codes []string, err error) {
	form, err := postform.Read(c)
	if err != nil {
		return nil, err
	}
	factor, err := s.FactorOf(c.Request.Context(), user.ID)
	if err != nil {
		return nil, err
	}
	if factor == nil {
		respond.SeeOther(c, FactorPath)
		return nil, nil
	}
	_, problem, err := s.Reauthenticate(c, user, form.Get("current"))
	if err == nil && problem == nil {
		codes, problem, err = s.changeFactor(c, user, *factor, form.Get("code"), change)
	}
	if err != nil || problem == nil {
		return codes, err
	}
	return nil, s.factorPage(c, problem.Status, user, problem.Text)
}

// changeFactor makes a change if the code is right, gives the session a new
// secret, and returns new recovery codes.
func (s *Service) changeFactor(c *gin.Context, user *roster.User, factor storage.SecondFactor, code string, change factorChange) (codes []string, problem *ReauthError, err error) {
	codes, hashes := auth.NewRecoveryCodes()
	secret, renewed := auth.NewSession()
	current, _ := s.cookie.read(c.Request)
	problem, err = s.TryCode(c, user.Email, factor, code, func(proof storage.Proof) error {
		return change(c.Request.Context(), storage.FactorChange{
			UserID: user.ID, Proof: proof, Codes: hashes, Current: current, Renewed: renewed,
		}, AuditEntry(c, user))
	})
	if errors.Is(err, storage.ErrNotFound) {
		err = ErrSignedOut // signed out in the meantime
	}
	if err != nil || problem != nil {
		return nil, problem, err
	}
	s.cookie.write(c.Writer, secret)
	s.remember(c.Writer, accountKey(user.Email), factor.ID)
	return codes, nil, nil
}

// inGroups formats a secret for typing, in groups of four characters.
func inGroups(secret string) string {
	var groups []string
	for ; len(secret) > 4; secret = secret[4:] {
		groups = append(groups, secret[:4])
	}
	return strings.Join(append(groups, secret), " ")
}
