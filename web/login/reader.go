package login

import (
	"github.com/gin-gonic/gin"

	"rollcall/internal/i18n"
)

// langField names the language in which the page before was shown, in the query of
// a page or in a form.
const langField = "lang"

// reader chooses the language of a page: the first of these locales that there are
// texts in, that of the browser, or the default. The locale of the person whom a
// link belongs to comes first, then that of the page before; "" is none.
func (s *Service) reader(c *gin.Context, locales ...string) i18n.Reader {
	if r, ok := i18n.For(locales...); ok {
		return r
	}
	if r, ok := i18n.Accepting(c.GetHeader("Accept-Language")); ok {
		return r
	}
	stored, err := s.mailSettings.Invitation(c.Request.Context())
	if err != nil {
		return i18n.Reader{} // the page is shown all the same
	}
	return stored.Reader("")
}
