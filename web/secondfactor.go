package web

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
)

// factorPath is where people look after their second factor.
const factorPath = accountPath + "/second-factor"

// factorOf reads the second factor of a user, nil if none is set up.
func (s *Site) factorOf(ctx context.Context, user uuid.UUID) (*storage.SecondFactor, error) {
	f, err := s.Store.SecondFactorOf(ctx, user)
	if errors.Is(err, storage.ErrNotFound) || err == nil && f.Since == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &f, nil
}

// needsFactor tells whether a user may do nothing without a second factor.
func (s *Site) needsFactor(user *roster.User) bool {
	return s.AdminsNeedFactor && user.Role == roster.RoleAdmin
}

// owes tells whether a user must set a second factor up before anything opens.
func (s *Site) owes(ctx context.Context, user *roster.User) (bool, error) {
	if !s.needsFactor(user) {
		return false, nil
	}
	factor, err := s.factorOf(ctx, user.ID)
	return factor == nil, err
}

// factorView is one's second factor, or the way to one.
type factorView struct {
	Account *roster.User
	Factor  *storage.SecondFactor // nil: none
	Needed  bool                  // one may do nothing without
	Problem string                // why nothing was done
}

func (v factorView) frame() frame {
	return frame{Template: "secondfactor", Title: "Second factor", Section: sectionAccount, Bare: v.Bare()}
}

// Bare reports whether nothing else opens yet.
func (v factorView) Bare() bool { return v.Needed && v.Factor == nil }

// setupView shows the secret for an authenticator app, and asks for a code of it.
type setupView struct {
	Account *roster.User
	Secret  string       // in groups; "" after a wrong code: only who knows the password sees it
	Link    template.URL // of the same
	Picture qrPicture    // of the same
	Bare    bool         // nothing else opens yet
	Problem string       // why the code was refused
}

func (v setupView) frame() frame {
	return frame{Template: "secondfactorsetup", Title: "Set up a second factor", Section: sectionAccount, Bare: v.Bare}
}

// codesView shows recovery codes, this once.
type codesView struct {
	Codes []string
	Fresh bool // the second factor is new too
}

func (codesView) frame() frame {
	return frame{Template: "recoverycodes", Title: "Recovery codes", Section: sectionAccount}
}

func (s *Site) showFactor(c *gin.Context, user *roster.User) error {
	return s.factorPage(c, http.StatusOK, user, "")
}

func (s *Site) factorPage(c *gin.Context, status int, user *roster.User, problem string) error {
	factor, err := s.factorOf(c.Request.Context(), user.ID)
	if err != nil {
		return err
	}
	return s.show(c, status, user, factorView{user, factor, s.needsFactor(user), problem})
}

// beginFactor shows a fresh secret to who knows the password: a browser that was
// left open must not lock its owner out.
func (s *Site) beginFactor(c *gin.Context, user *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	_, problem, err := s.prove(c, user, form.Get("current"))
	if err != nil {
		return err
	}
	if problem != nil {
		return s.factorPage(c, problem.status, user, problem.text)
	}
	secret := auth.NewTOTPSecret()
	err = s.Store.BeginSecondFactor(c.Request.Context(), user.ID, s.Sealer.Seal(secret, auth.TOTPContext(user.ID)))
	if errors.Is(err, storage.ErrAlreadyExists) {
		seeOther(c, factorPath) // set up in another window
		return nil
	}
	if err != nil {
		return err
	}
	link := auth.TOTPLink(secret, s.Brand, user.Email)
	picture, err := drawQR(link)
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, user, setupView{
		Account: user, Secret: inGroups(secret), Link: template.URL(link), Picture: picture, Bare: s.needsFactor(user),
	})
}

// confirmFactor ends the setting up with a code of the app.
func (s *Site) confirmFactor(c *gin.Context, user *roster.User) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	factor, err := s.Store.SecondFactorOf(c.Request.Context(), user.ID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && factor.Since != nil {
		seeOther(c, factorPath) // it took too long, or was done in another window
		return nil
	}
	if err != nil {
		return err
	}
	codes, problem, err := s.changeFactor(c, user, factor, form.Get("code"), s.Store.ConfirmSecondFactor)
	if errors.Is(err, storage.ErrWrongState) {
		seeOther(c, factorPath)
		return nil
	}
	if err != nil {
		return err
	}
	if problem != nil {
		return s.show(c, problem.status, user, setupView{Account: user, Bare: s.needsFactor(user), Problem: problem.text})
	}
	return s.show(c, http.StatusOK, user, codesView{Codes: codes, Fresh: true})
}

// renewCodes makes new recovery codes for who knows the password and has a code.
func (s *Site) renewCodes(c *gin.Context, user *roster.User) error {
	codes, err := s.changeProved(c, user, s.Store.RenewRecoveryCodes)
	if err != nil || codes == nil {
		return err
	}
	return s.show(c, http.StatusOK, user, codesView{Codes: codes})
}

// removeFactor leaves the password as the only factor, for who knows it and has a
// code.
func (s *Site) removeFactor(c *gin.Context, user *roster.User) error {
	remove := func(ctx context.Context, change storage.FactorChange, by storage.Entry) error {
		change.Codes = nil
		return s.Store.RemoveSecondFactor(ctx, change, by)
	}
	done, err := s.changeProved(c, user, remove)
	if err != nil || done == nil {
		return err
	}
	seeOther(c, accountPath+"?did=factor")
	return nil
}

// factorChange is a change of storage.
type factorChange func(context.Context, storage.FactorChange, storage.Entry) error

// changeProved makes a change for who knows the password and has a code, and
// returns the recovery codes that came of it. For anybody else it answers, and
// returns none.
func (s *Site) changeProved(c *gin.Context, user *roster.User, change factorChange) (codes []string, err error) {
	form, err := readForm(c)
	if err != nil {
		return nil, err
	}
	factor, err := s.factorOf(c.Request.Context(), user.ID)
	if err != nil {
		return nil, err
	}
	if factor == nil {
		seeOther(c, factorPath)
		return nil, nil
	}
	_, problem, err := s.prove(c, user, form.Get("current"))
	if err == nil && problem == nil {
		codes, problem, err = s.changeFactor(c, user, *factor, form.Get("code"), change)
	}
	if err != nil || problem == nil {
		return codes, err
	}
	return nil, s.factorPage(c, problem.status, user, problem.text)
}

// changeFactor makes a change if the code fits, gives the session a new secret,
// and returns new recovery codes.
func (s *Site) changeFactor(c *gin.Context, user *roster.User, factor storage.SecondFactor, code string, change factorChange) (codes []string, problem *unproved, err error) {
	codes, hashes := auth.NewRecoveryCodes()
	secret, renewed := auth.NewSession()
	current, _ := s.cookie.read(c.Request)
	problem, err = s.tryCode(c, user.Email, factor, code, func(proof storage.Proof) error {
		return change(c.Request.Context(), storage.FactorChange{
			UserID: user.ID, Proof: proof, Codes: hashes, Current: current, Renewed: renewed,
		}, entry(c, user))
	})
	if errors.Is(err, storage.ErrNotFound) {
		err = errSignedOut // meanwhile
	}
	if err != nil || problem != nil {
		return nil, problem, err
	}
	s.cookie.write(c.Writer, secret)
	s.remember(c.Writer, accountKey(user.Email))
	return codes, nil, nil
}

// inGroups writes a secret so that it can be typed: four characters at a time.
func inGroups(secret string) string {
	var groups []string
	for ; len(secret) > 4; secret = secret[4:] {
		groups = append(groups, secret[:4])
	}
	return strings.Join(append(groups, secret), " ")
}
