package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/login"
	"rollcall/web/sanitize"
)

// listSize is how many users or imports a page lists.
const listSize = 50

// maxQuery bounds the search text, in bytes.
const maxQuery = 200

// usersView lists users, newest first unless sorted otherwise.
type usersView struct {
	userSearch
	Users []*roster.User
	// Departments are suggestions for the filter.
	Departments []string
	Total       storage.UserTotal
	Done        *changeDone // what was just done to users, nil for nothing
	Later       bool        // not the first page
	First       string      // path of the first page
	Next        string      // path of the next page, "" on the last
	Here        string      // path of this page
}

func (usersView) pageMeta() pageMeta {
	return pageMeta{Template: "user_list", Title: "Users", Section: sectionUsers}
}

// Count says how many users there are: "1,234 users match".
func (v usersView) Count() string {
	text := counted(v.Total.N, "user", "users")
	if v.Filtered() {
		text = counted(v.Total.N, "user matches", "users match")
	}
	switch {
	case v.Total.More:
		text = "More than " + text
	case v.Total.About:
		text = "About " + counted(rounded(v.Total.N), "user", "users")
	}
	return text
}

// rounded reduces an estimate to its reliable digits.
func rounded(n int64) int64 {
	const step = 1000
	return (n + step/2) / step * step
}

// ownUsersView is the users page of a user who may not see the others.
type ownUsersView struct{ User *roster.User }

func (ownUsersView) pageMeta() pageMeta {
	return pageMeta{Template: "user_own", Title: "Users", Section: sectionUsers}
}

// userSearch holds the search and the filters. Invalid values are ignored,
// because no form sends them.
type userSearch struct {
	Query      string            // part of name, address or department, as typed
	Status     roster.UserStatus // "" for any
	Role       roster.Role       // "" for any
	Department string            // case-insensitive, "" for any
	// NoDepartment: only those without a department.
	NoDepartment bool
	Invitation   roster.InvitationStatus
	// AcceptedFrom and AcceptedBefore are days, in UTC, as [time.DateOnly]; "" for
	// any.
	AcceptedFrom, AcceptedBefore string
	Import                       string            // id of the import that created them, "" for any
	Order                        storage.UserOrder // of the list
	Reversed                     bool
}

// readUserSearch reads the parameters q, status, role, department, no_department
// (1), invitation, accepted_from and accepted_before (days), import, sort (name,
// -name, …).
func readUserSearch(c *gin.Context) userSearch {
	v := userSearch{Query: typed(c.Query("q")), Department: typed(c.Query("department"))}
	if status, known := roster.ParseUserStatus(c.Query("status")); known {
		v.Status = status
	}
	if role := roster.Role(c.Query("role")); slices.Contains(v.Roles(), role) {
		v.Role = role
	}
	if invitation := roster.InvitationStatus(c.Query("invitation")); slices.Contains(v.Invitations(), invitation) {
		v.Invitation = invitation
	}
	v.NoDepartment = c.Query("no_department") == "1" && v.Department == ""
	v.AcceptedFrom, v.AcceptedBefore = day(c.Query("accepted_from")), day(c.Query("accepted_before"))
	if id, err := uuid.Parse(c.Query("import")); err == nil {
		v.Import = id.String()
	}
	name, reversed := strings.CutPrefix(c.Query("sort"), "-")
	for _, column := range userColumns {
		if name == cmp.Or(string(column.Order), sortAdded) {
			v.Order, v.Reversed = column.Order, reversed
		}
	}
	return v
}

// day returns a day as it was written, "" if it is none.
func day(text string) string {
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return ""
	}
	return text
}

// startOf is the first moment of a day; zero for "".
func startOf(day string) time.Time {
	t, _ := time.Parse(time.DateOnly, day) // checked when it was read
	return t
}

// filter converts the search for the database.
func (v userSearch) filter() storage.UserFilter {
	f := storage.UserFilter{
		Query: v.Query, Status: v.Status, Role: v.Role, Department: v.Department, AnyCase: true, Invitation: v.Invitation,
		NoDepartment: v.NoDepartment, AcceptedFrom: startOf(v.AcceptedFrom), AcceptedBefore: startOf(v.AcceptedBefore),
		Order: v.Order, Reversed: v.Reversed,
	}
	if v.Import != "" {
		f.ImportID = uuid.MustParse(v.Import) // validated when it was read
	}
	return f
}

// path adds the search and further parameters (name, value) to a path.
func (v userSearch) path(path string, more ...string) string {
	without := ""
	if v.NoDepartment {
		without = "1"
	}
	return pathWith(path, append([]string{
		"q", v.Query, "status", string(v.Status), "role", string(v.Role), "department", v.Department,
		"no_department", without, "accepted_from", v.AcceptedFrom, "accepted_before", v.AcceptedBefore,
		"invitation", string(v.Invitation), "import", v.Import, "sort", v.Sort(),
	}, more...)...)
}

// sortAdded names the order by age in a path.
const sortAdded = "added"

// Sort is the order as a parameter, "" for newest first.
func (v userSearch) Sort() string {
	switch {
	case v.Reversed:
		return "-" + cmp.Or(string(v.Order), sortAdded)
	case v.Order != storage.ByAge:
		return string(v.Order)
	}
	return ""
}

// Filtered reports whether a filter is active.
func (v userSearch) Filtered() bool {
	v.Order, v.Reversed = storage.ByAge, false
	return v != userSearch{}
}

// Statuses are the choices of the status filter.
func (userSearch) Statuses() []roster.UserStatus {
	return []roster.UserStatus{roster.Invited, roster.Active, roster.Disabled}
}

// Roles are the choices of the role filter.
func (userSearch) Roles() []roster.Role { return []roster.Role{roster.RoleUser, roster.RoleAdmin} }

// Invitations are the choices of the invitation filter.
func (userSearch) Invitations() []roster.InvitationStatus {
	return []roster.InvitationStatus{
		roster.InvitationHeld, roster.InvitationPending, roster.InvitationSent, roster.InvitationFailed,
		roster.InvitationBounced, roster.InvitationExpired, roster.InvitationRevoked, roster.InvitationAccepted,
		storage.InvitationAny, storage.InvitationMailed, storage.InvitationUnsent,
	}
}

// Remind is the path of the page that asks whether to remind the users found; ""
// where none of them can have a link that works, and for the list of everyone.
func (v userSearch) Remind() string {
	switch v.Invitation {
	case "", roster.InvitationSent, storage.InvitationAny, storage.InvitationMailed:
		if v.Filtered() && v.AcceptedFrom == "" && v.AcceptedBefore == "" {
			return v.path(remindPath)
		}
	}
	return ""
}

// Accepted names the time within which the users accepted: "on Jan 2, 2006".
func (v userSearch) Accepted() string {
	from, before := startOf(v.AcceptedFrom), startOf(v.AcceptedBefore)
	switch {
	case from.IsZero() && before.IsZero():
		return ""
	case from.IsZero():
		return "before " + before.Format("Jan 2, 2006")
	case before.IsZero():
		return "since " + from.Format("Jan 2, 2006")
	case before.Equal(from.AddDate(0, 0, 1)):
		return "on " + from.Format("Jan 2, 2006")
	}
	return "from " + acceptedColumn{From: from, Before: before}.Label()
}

// OfDepartment is the path of the users of a department.
func (v userSearch) OfDepartment(department string) string {
	v.Department, v.NoDepartment = department, false
	return v.path(login.HomePath)
}

// Export is the path of the list as a file.
func (v userSearch) Export() string { return v.path("/admin/users/export.csv") }

// column is a column header that sorts the list.
type column struct {
	Label string
	Order storage.UserOrder
	Sort  string // aria-sort; "" unless the list is sorted by it
	Path  string // sorts by this column, or reverses the order
}

var userColumns = []column{
	{Label: "Name", Order: storage.ByName}, {Label: "Email", Order: storage.ByEmail}, {Label: "Role", Order: storage.ByRole},
	{Label: "Department", Order: storage.ByDepartment}, {Label: "Status", Order: storage.ByStatus}, {Label: "Added", Order: storage.ByAge},
}

// Columns are the column headers of the list.
func (v userSearch) Columns() []column {
	columns := slices.Clone(userColumns)
	for i := range columns {
		k := &columns[i]
		search := v
		search.Order, search.Reversed = k.Order, k.Order == v.Order && !v.Reversed
		k.Path = search.path(login.HomePath)
		if k.Order == v.Order {
			k.Sort = "ascending"
			if v.Reversed != (k.Order == storage.ByAge) { // "newest first" is the unreversed order
				k.Sort = "descending"
			}
		}
	}
	return columns
}

// listUsers shows a page of users. Parameters: those of readUserSearch, and
// after, the id of the last user of the previous page.
func (s *Site) listUsers(c *gin.Context, user *roster.User) error {
	if user.Role != roster.RoleAdmin {
		return s.show(c, http.StatusOK, user, ownUsersView{User: user})
	}
	v := usersView{userSearch: readUserSearch(c), Done: cmp.Or(readDone(c), readReminded(c))}
	filter := v.filter()
	ctx := c.Request.Context()
	filter.Limit = listSize + 1
	if id, err := uuid.Parse(c.Query("after")); err == nil {
		filter.After, v.Later = id, true
	}
	users, total, err := s.deps.Store.FindUsers(ctx, filter)
	if err != nil {
		return err
	}
	if v.Departments, err = s.deps.Store.Departments(ctx); err != nil {
		return err
	}
	v.Total, v.Users, v.First, v.Here = total, users, v.path(login.HomePath), v.path(login.HomePath)
	if v.Later {
		v.Here = v.path(login.HomePath, "after", filter.After.String())
	}
	if len(users) > listSize {
		v.Users = users[:listSize]
		v.Next = v.path(login.HomePath, "after", v.Users[listSize-1].ID.String())
	}
	return s.show(c, http.StatusOK, user, v)
}

// typed is a search text in a form that the database accepts.
func typed(q string) string {
	q = strings.ToValidUTF8(strings.TrimSpace(q), "")
	q = strings.ReplaceAll(q, "\x00", "")
	if len(q) > maxQuery {
		q = strings.ToValidUTF8(q[:maxQuery], "")
	}
	return q
}

// ownUsersPath returns path if it is a list of users, else the path of all
// users.
func ownUsersPath(path string) string {
	if u, err := url.Parse(sanitize.LocalPath(path)); err == nil && u.Path == login.HomePath {
		return u.RequestURI()
	}
	return login.HomePath
}
