package web

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
)

// listSize is how many users or imports a page lists.
const listSize = 50

// maxQuery bounds what is looked for, in bytes.
const maxQuery = 200

// usersView lists users, newest first.
type usersView struct {
	Users  []*roster.User
	Query  string            // as typed
	Status roster.UserStatus // "" for any
	Import string            // id of the import that created them, "" for any
	Later  bool              // not the first page
	First  string            // path of the first page
	Older  string            // path of the next page, "" on the last
}

func (usersView) frame() frame {
	return frame{Template: "users", Title: "Users", Section: sectionUsers}
}

// Filtered reports whether users may be left out on request.
func (v usersView) Filtered() bool { return v.Query != "" || v.Status != "" || v.Import != "" }

// Statuses are the states to choose from.
func (usersView) Statuses() []roster.UserStatus {
	return []roster.UserStatus{roster.Invited, roster.Active, roster.Disabled}
}

// listUsers shows a page of users. Parameters: q, part of name, address or
// department; status; import, an id; after, the id of the last user of the page
// before. A value that makes no sense is ignored: it is in nobody's form.
func (s *Site) listUsers(c *gin.Context, admin *roster.User) error {
	v := usersView{Query: query(c)}
	if status, known := roster.ParseUserStatus(c.Query("status")); known {
		v.Status = status
	}
	filter := storage.UserFilter{Query: v.Query, Status: v.Status, Limit: listSize + 1}
	if id, err := uuid.Parse(c.Query("import")); err == nil {
		filter.ImportID, v.Import = id, id.String()
	}
	if id, err := uuid.Parse(c.Query("after")); err == nil {
		filter.After, v.Later = id, true
	}
	users, err := s.Store.Users(c.Request.Context(), filter)
	if err != nil {
		return err
	}
	path := func(after string) string {
		return pathWith(landing, "q", v.Query, "status", string(v.Status), "import", v.Import, "after", after)
	}
	v.Users, v.First = users, path("")
	if len(users) > listSize {
		v.Users = users[:listSize]
		v.Older = path(v.Users[listSize-1].ID.String())
	}
	return s.show(c, http.StatusOK, admin, v)
}

// query is what is looked for, in a form the database takes.
func query(c *gin.Context) string {
	q := strings.ToValidUTF8(strings.TrimSpace(c.Query("q")), "")
	q = strings.ReplaceAll(q, "\x00", "")
	if len(q) > maxQuery {
		q = strings.ToValidUTF8(q[:maxQuery], "")
	}
	return q
}
