package web

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/login"
)

const remindPath = "/admin/users/remind"

// remindView asks whether to remind the users that a search finds.
type remindView struct {
	userSearch
	Can storage.Remindable
}

func (remindView) pageMeta() pageMeta {
	return pageMeta{Template: "user_reminders", Title: "Send reminders", Section: sectionUsers}
}

// List is the path of the users in question.
func (v remindView) List() string { return v.path(login.HomePath) }

// Action is the path that the form is sent to.
func (v remindView) Action() string { return v.path(remindPath) }

// People is how many are reminded: "1 person", "more than 100,000 people".
func (v remindView) People() string {
	text := counted(v.Can.N, "person", "people")
	if v.Can.More {
		text = "more than " + text
	}
	return text
}

// showReminders asks for a confirmation. Parameters: those of readUserSearch.
func (s *Site) showReminders(c *gin.Context, admin *roster.User) error {
	v := remindView{userSearch: readUserSearch(c)}
	var err error
	if v.Can, err = s.deps.Store.Remindable(c.Request.Context(), v.filter()); err != nil {
		return err
	}
	return s.show(c, http.StatusOK, admin, v)
}

// sendReminders queues the reminders.
func (s *Site) sendReminders(c *gin.Context, admin *roster.User) error {
	search := readUserSearch(c)
	n, err := s.deps.Store.RequestReminders(c.Request.Context(), search.filter(), entry(c, admin))
	if err != nil {
		return err
	}
	seeOther(c, pathPlus(search.path(login.HomePath), "reminded", strconv.FormatInt(n, 10)))
	return nil
}

// readReminded is the message after reminders were queued; nil if none were.
func readReminded(c *gin.Context) *changeDone {
	n, err := strconv.ParseUint(c.Query("reminded"), 10, 31)
	if err != nil {
		return nil
	}
	if n == 0 {
		return &changeDone{Text: "No reminders queued: no one here has a link that works, or all were reminded within the last hour."}
	}
	return &changeDone{Text: counted(int64(n), "reminder", "reminders") + " queued."}
}
