package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"rollcall/apitypes"
	"rollcall/httpapi/problem"
	"rollcall/roster"
)

// userETag is a strong validator in two parts: a hash of what can be changed about
// a user, and one of the whole response. If-None-Match compares both. If-Match
// compares the first, so that an invitation that is sent meanwhile, which no
// request can overwrite, fails none.
func userETag(v apitypes.User) string {
	whole := encode(v)
	v.Invitation, v.SecondFactor, v.UpdatedAt = nil, false, time.Time{}
	return `"` + shortHash(encode(v)) + "." + shortHash(whole) + `"`
}

func shortHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:12])
}

// answerUser responds with a user and its ETag, or with 304.
func (a *API) answerUser(c *gin.Context, status int, u *roster.User) error {
	v := apitypes.UserOf(u)
	tag := userETag(v)
	h := c.Writer.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "private, no-cache")
	if read := c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead; read && matches(c.Request.Header.Values("If-None-Match"), tag) {
		c.Status(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return nil
	}
	return a.json(c, status, v)
}

// matchUser returns nil if one of the tags of If-Match is the user's, compared
// strongly (RFC 9110, section 13.1.1).
func matchUser(header []string, u *roster.User) error {
	own, _, _ := strings.Cut(userETag(apitypes.UserOf(u)), ".")
	for _, line := range header {
		for item := range strings.SplitSeq(line, ",") {
			item = strings.TrimSpace(item)
			if part, _, _ := strings.Cut(item, "."); item == "*" || part == own {
				return nil
			}
		}
	}
	return problem.New(problem.PreconditionFailed, "The user was changed since. Read it again and repeat the change with its current ETag.")
}
