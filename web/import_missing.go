package web

import (
	"cmp"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
)

// shownMissing is how many users a page shows who are not in a full roster.
const shownMissing = 50

// addMissing adds a page of the users who will be disabled. Parameter: after, the
// number of the last one of the page before.
func (s *Site) addMissing(c *gin.Context, v *previewView) (err error) {
	after := afterParameter(c)
	if v.Missing, err = s.deps.Store.MissingUsers(c.Request.Context(), v.ID, after, shownMissing+1); err != nil {
		return err
	}
	if after > 0 {
		v.First = v.rowsPath(showDisable, 0)
	}
	if len(v.Missing) > shownMissing {
		v.Missing = v.Missing[:shownMissing]
		v.Next = v.rowsPath(showDisable, v.Missing[shownMissing-1].N)
	}
	return nil
}

// Held reports whether the safety limit of a full roster was exceeded.
func (v previewView) Held() bool { return v.Status == roster.Held }

// Limit is the safety limit in words.
func (v previewView) Limit() string {
	if v.DisableLimit == nil {
		return ""
	}
	users := counted(*v.DisableLimit, "user", "users")
	if percent := v.Options.MaxDisable; len(percent) > 0 && percent[len(percent)-1] == '%' {
		return percent + " of the users of this source, which is " + users
	}
	return users
}

// Source is the source whose full list the file is.
func (v previewView) Source() string { return cmp.Or(v.Options.Source, roster.DefaultSource) }

// DisablePath is the path of the users who will be disabled.
func (v previewView) DisablePath() string { return v.rowsPath(showDisable, 0) }

// Rules are the less common options of the import, in sentences.
func (v previewView) Rules() (rules []string) {
	if v.Options.Source != "" {
		rules = append(rules, "Source: "+v.Options.Source+".")
	}
	if v.Options.Missing == roster.MissingDisable {
		rules = append(rules, "Full roster: users of this source who are missing from the file are disabled.")
	}
	if v.Options.Blank == roster.BlankClear {
		rules = append(rules, "Blank cells clear the department of existing users.")
	}
	return rules
}
