package login

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"rollcall/internal/i18n"
	"rollcall/web/postform"
)

// renewedView answers a request for a fresh link. It is the same for every token.
type renewedView struct{ Reader i18n.Reader }

func (v renewedView) page() Page {
	return Page{Template: "link_renewed", Title: v.Reader.Text("renewed.title"), Reader: v.Reader}
}

// RenewInvitation sends a fresh link to the address on file in place of one that
// has expired. It answers the same for every token, so that nobody learns from it
// whether there is an account: its language is that of the page before, not looked
// up. It sends nothing to an address given by the caller.
func (s *Service) RenewInvitation(c *gin.Context) error {
	c.Header("Referrer-Policy", "no-referrer")
	form, err := postform.Read(c)
	if err != nil {
		return err
	}
	if id, _, ok := s.signer.ParseInvitationToken(c.Param("token")); ok {
		if _, err := s.store.RenewInvitation(c.Request.Context(), id, c.ClientIP()); err != nil {
			return err
		}
	}
	return s.show(c, http.StatusOK, nil, renewedView{s.reader(c, form.Get(langField))})
}
