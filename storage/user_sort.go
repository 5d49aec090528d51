package storage

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
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
// ever becomes SQL. Only the case of ASCII letters is put aside, which takes
// half as long as that of all; locales that have an order of their own put
// aside the rest.
var userSortKeys = map[UserOrder]string{
	ByName: `lower(u.name COLLATE "C") COLLATE "default"`, ByDepartment: `lower(u.department COLLATE "C") COLLATE "default"`,
	ByEmail: "u.email_key", ByRole: "u.role", ByStatus: "u.status",
}

// order adds the condition for the page after f.After and returns the ORDER BY.
// key is where the sort key of a row is found. The id settles ties, so pages
// neither repeat nor leave out anybody. Newest first is what ByAge means;
// Reversed turns any order round.
func (f UserFilter) order(where *whereBuilder, key string) string {
	expression, sorted := userSortKeys[f.Order]
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
		where.add("("+key+", u.id) "+beyond+" (SELECT "+expression+", u.id FROM users u WHERE u.id = ?)", f.After)
	}
	return "ORDER BY " + key + " " + direction + ", u.id " + direction
}

// splitByStatus splits a list that is sorted by one of few values into one list a
// value, each sorted by age, for which there are indexes. Any other list is one
// part.
func (s *Store) splitByStatus(ctx context.Context, f UserFilter) (parts []UserFilter, err error) {
	switch f.Order {
	case ByStatus:
		for _, status := range []roster.UserStatus{roster.Active, roster.Disabled, roster.Invited} {
			if part := f; f.Status == "" || f.Status == status {
				part.Status = status
				parts = append(parts, part)
			}
		}
	case ByRole:
		for _, role := range []roster.Role{roster.RoleAdmin, roster.RoleUser} {
			if part := f; f.Role == "" || f.Role == role {
				part.Role = role
				parts = append(parts, part)
			}
		}
	default:
		return []UserFilter{f}, nil
	}
	if f.Reversed {
		slices.Reverse(parts)
	}
	if f.After != uuid.Nil {
		if parts, err = s.splitAfter(ctx, f.After, parts); err != nil {
			return nil, err
		}
	}
	for i := range parts {
		// The order by age has the oldest last.
		parts[i].Order, parts[i].Reversed = ByAge, !f.Reversed
	}
	return parts, nil
}

// splitAfter leaves out the parts before that of a user, and of it what is not
// after the user. There is nothing after a user who is gone.
func (s *Store) splitAfter(ctx context.Context, id uuid.UUID, parts []UserFilter) ([]UserFilter, error) {
	var last []struct {
		Role   roster.Role       `db:"role"`
		Status roster.UserStatus `db:"status"`
	}
	if err := s.db.SelectContext(ctx, &last, `SELECT role, status FROM users WHERE id = $1`, id); err != nil || len(last) == 0 {
		return nil, err
	}
	i := slices.IndexFunc(parts, func(f UserFilter) bool {
		return (f.Order != ByStatus || f.Status == last[0].Status) && (f.Order != ByRole || f.Role == last[0].Role)
	})
	if i < 0 { // changed meanwhile to what is filtered out
		return nil, nil
	}
	for k := i + 1; k < len(parts); k++ {
		parts[k].After = uuid.Nil
	}
	return parts[i:], nil
}

// AuditExport writes into the audit log that a list of users was exported.
func (s *Store) AuditExport(ctx context.Context, by AuditEntry) (err error) {
	defer translate(&err, "note an export of users")
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		return audit(ctx, tx, by.on("user.export", "user", uuid.Nil))
	})
}
