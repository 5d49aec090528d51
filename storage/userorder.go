package storage

import (
	"context"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// UserOrder is what a list of users is sorted by.
type UserOrder string

// The orders. Lists page by any of them.
const (
	ByAge        UserOrder = ""           // when they were added; the zero value
	ByName       UserOrder = "name"       // any case
	ByEmail      UserOrder = "email"      // as compared
	ByDepartment UserOrder = "department" // any case
	ByRole       UserOrder = "role"
	ByStatus     UserOrder = "status"
)

// userSortKeys are the SQL expressions over users u, nothing else of a request
// ever becomes SQL.
var userSortKeys = map[UserOrder]string{
	ByName: "lower(u.name)", ByEmail: "u.email_key", ByDepartment: "lower(u.department)", ByRole: "u.role", ByStatus: "u.status",
}

// order adds the condition for the page after f.After and returns the ORDER BY.
// The id settles ties, so pages neither repeat nor leave out anybody. Newest
// first is what ByAge means; Reversed turns any order round.
func (f UserFilter) order(where *conditions) string {
	key, sorted := userSortKeys[f.Order]
	descending := f.Reversed != !sorted // by age: newest, which is the largest id, first
	direction, beyond := "ASC", ">"
	if descending {
		direction, beyond = "DESC", "<"
	}
	if !sorted {
		if f.After != uuid.Nil {
			where.add("u.id "+beyond+" ?", f.After)
		}
		return "ORDER BY u.id " + direction
	}
	if f.After != uuid.Nil {
		where.add("("+key+", u.id) "+beyond+" (SELECT "+key+", u.id FROM users u WHERE u.id = ?)", f.After)
	}
	return "ORDER BY " + key + " " + direction + ", u.id " + direction
}

// NoteExport writes into the audit log that a list of users left the house.
func (s *Store) NoteExport(ctx context.Context, by Entry) (err error) {
	defer translate(&err, "note an export of users")
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		return audit(ctx, tx, by.on("user.export", "user", uuid.Nil))
	})
}
