package storage

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"rollcall/roster"
)

// UserFilter narrows a list of users. The zero value lists all.
type UserFilter struct {
	EmailKey   string // exact, as compared
	Status     roster.UserStatus
	Role       roster.Role
	Department string                  // exact, unless AnyCase
	AnyCase    bool                    // of the department
	Invitation roster.InvitationStatus // expired, and the groups such as InvitationAny, included
	// NoDepartment lets through only users without a department.
	NoDepartment bool
	// AcceptedFrom and AcceptedBefore let through those who accepted their
	// invitation from then, and before then; zero: at any time.
	AcceptedFrom, AcceptedBefore time.Time
	Query                        string    // part of name, e-mail or department, any case
	ImportID                     uuid.UUID // created by this import
	Order                        UserOrder
	Reversed                     bool
	After                        uuid.UUID // the last id of the page before
	Limit                        int       // at least 1
	// ExternalID is a key in Source; "" for any. Source alone lets through the users
	// it created or has a key of.
	ExternalID string
	Source     string
}

// Users lists users, newest first unless the filter orders otherwise.
func (s *Store) Users(ctx context.Context, f UserFilter) (_ []*roster.User, err error) {
	defer translate(&err, "list users")
	var ids []uuid.UUID
	if f.Query != "" { // if few have it, the blocks of the search find them sooner
		_, ids, err = s.foundUsers(ctx, f, f.Limit)
	} else {
		ids, err = s.userIDs(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	return s.usersByID(ctx, ids)
}

// UserTotal is how many users a filter lets through.
type UserTotal struct {
	N     int64
	More  bool // more than N, which is where counting ended
	About bool // N is an estimate
}

// countedUsers is how far users are counted: who sees that there are more has
// seen enough, and a page must not take the longer the more there are.
const countedUsers = 10_000

// FindUsers is Users with how many there are on all pages together.
func (s *Store) FindUsers(ctx context.Context, f UserFilter) (users []*roster.User, total UserTotal, err error) {
	defer translate(&err, "find users")
	var ids []uuid.UUID
	if len(f.where().clauses) == 0 {
		if total, err = s.countAllUsers(ctx); err != nil {
			return nil, total, err
		}
		ids, err = s.userIDs(ctx, f)
	} else {
		total, ids, err = s.foundUsers(ctx, f, countedUsers)
	}
	if err != nil {
		return nil, total, err
	}
	users, err = s.usersByID(ctx, ids)
	return users, total, err
}

// countAllUsers counts, or estimates as the planner does: rows a page of the
// table when it was last analyzed, times its pages now.
func (s *Store) countAllUsers(ctx context.Context) (total UserTotal, err error) {
	if err := s.db.GetContext(ctx, &total.N, `SELECT count(*) FROM (SELECT FROM users LIMIT $1) u`, countedUsers+1); err != nil {
		return total, err
	}
	if total.N <= countedUsers {
		return total, nil
	}
	var estimate float64
	if err := s.db.GetContext(ctx, &estimate, `
		SELECT greatest(reltuples, 0) / greatest(relpages, 1) * (pg_relation_size(oid) / current_setting('block_size')::float)
		  FROM pg_class WHERE oid = 'users'::regclass`); err != nil {
		return total, err
	}
	if estimate <= countedUsers { // not analyzed yet, or not since there were few
		return UserTotal{N: countedUsers, More: true}, nil
	}
	return UserTotal{N: int64(math.Round(estimate)), About: true}, nil
}

// foundUsers reads the table once, for both the total and the page, unless there are
// more than most: of so many, a page is soon full in any order that an index has.
func (s *Store) foundUsers(ctx context.Context, f UserFilter, most int) (total UserTotal, ids []uuid.UUID, err error) {
	key, sorted := userSortKeys[f.Order]
	if !sorted {
		key = "NULL"
	}
	where, users := f.where(), "users"
	if f.Query != "" {
		state, err := s.searchState(ctx)
		if err != nil {
			return total, nil, err
		}
		if state.Changed <= searchMostChanged {
			users = state.matches(where, f.Query)
		}
	}
	found := `SELECT u.id, ` + key + ` AS key FROM ` + users + ` u LEFT JOIN invitations i ON i.user_id = u.id ` + where.sql() + ` LIMIT ` + where.arg(most+1)
	page := &whereBuilder{args: where.args}
	order := f.order(page, "u.key")
	var row struct {
		N   int64          `db:"n"`
		IDs pq.StringArray `db:"ids"`
	}
	query := `WITH found AS MATERIALIZED (` + found + `)
		SELECT (SELECT count(*) FROM found) AS n,
		       ARRAY(SELECT u.id FROM found u ` + page.sql() + ` ` + order + ` LIMIT ` + page.arg(f.Limit) + `)::text[] AS ids`
	if err := s.db.GetContext(ctx, &row, query, page.args...); err != nil {
		return total, nil, err
	}
	if row.N > int64(most) {
		ids, err = s.userIDs(ctx, f)
		return UserTotal{N: int64(most), More: true}, ids, err
	}
	for _, id := range row.IDs {
		parsed, err := uuid.Parse(id)
		if err != nil {
			return total, nil, err
		}
		ids = append(ids, parsed)
	}
	return UserTotal{N: row.N}, ids, nil
}

// userIDs finds a page in its order. What else there is of the users is read of
// these alone: to join and sort all of it costs many times as much.
func (s *Store) userIDs(ctx context.Context, f UserFilter) (ids []uuid.UUID, err error) {
	parts, err := s.splitByStatus(ctx, f)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if part.Limit = f.Limit - len(ids); part.Limit == 0 {
			break
		}
		where := part.where()
		order := part.order(where, userSortKeys[part.Order])
		var more []uuid.UUID
		query := `SELECT u.id FROM users u LEFT JOIN invitations i ON i.user_id = u.id ` +
			where.sql() + ` ` + order + ` LIMIT ` + where.arg(part.Limit)
		if err := s.db.SelectContext(ctx, &more, query, where.args...); err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	return ids, nil
}

// usersByID reads users in the order of their ids. Who is gone is left out.
func (s *Store) usersByID(ctx context.Context, ids []uuid.UUID) ([]*roster.User, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	names := make(pq.StringArray, len(ids))
	for i, id := range ids {
		names[i] = id.String()
	}
	var rows []userRow
	if err := s.db.SelectContext(ctx, &rows, `
		SELECT `+userColumns+`
		  FROM unnest($1::uuid[]) WITH ORDINALITY AS page (id, place)
		  JOIN users u ON u.id = page.id
		  LEFT JOIN invitations i ON i.user_id = u.id
		 ORDER BY page.place`, names); err != nil {
		return nil, err
	}
	users := make([]*roster.User, len(rows))
	for i := range rows {
		users[i] = rows[i].asUser()
	}
	return users, nil
}

const (
	// lookedAtForDepartments is how many users Departments reads, by the
	// primary key.
	lookedAtForDepartments = 2000
	// mostDepartments is how many it names.
	mostDepartments = 50
)

// Departments names departments of the newest users, most of them first: some
// to choose from, not all there are. Those that differ in case count as one.
func (s *Store) Departments(ctx context.Context) (names []string, err error) {
	defer translate(&err, "list departments")
	return names, s.db.SelectContext(ctx, &names, `
		SELECT min(department)
		  FROM (SELECT department FROM users ORDER BY id DESC LIMIT $1) AS newest
		 WHERE department <> ''
		 GROUP BY lower(department)
		 ORDER BY count(*) DESC, 1
		 LIMIT $2`, lookedAtForDepartments, mostDepartments)
}

func (f UserFilter) where() *whereBuilder {
	where := &whereBuilder{}
	if f.EmailKey != "" {
		where.add("u.email_key = ?", f.EmailKey)
	}
	if f.Status != "" {
		where.add("u.status = ?", f.Status)
	}
	if f.Role != "" {
		where.add("u.role = ?", f.Role)
	}
	switch {
	case f.NoDepartment:
		where.with("u.department = ''")
	case f.Department == "":
	case f.AnyCase:
		where.add("lower(u.department) = lower(?)", f.Department)
	default:
		where.add("u.department = ?", f.Department)
	}
	switch f.Invitation {
	case "":
	case roster.InvitationExpired:
		where.with("i.status = 'sent' AND i.expires_at <= now()")
	case roster.InvitationSent:
		where.with("i.status = 'sent' AND i.expires_at > now()")
	case roster.InvitationBounced:
		where.with(bounced)
	case roster.InvitationFailed:
		where.with("i.status = 'failed' AND " + notBounced)
	case InvitationAny, InvitationMailed, InvitationUnsent:
		where.with(invitationGroups[f.Invitation])
	default:
		where.add("i.status = ?", f.Invitation)
	}
	if !f.AcceptedFrom.IsZero() {
		where.add("i.accepted_at >= ?", f.AcceptedFrom)
	}
	if !f.AcceptedBefore.IsZero() {
		where.add("i.accepted_at < ?", f.AcceptedBefore)
	}
	switch {
	case f.ExternalID != "":
		where.add("u.id = (SELECT k.user_id FROM external_ids k WHERE k.source = "+where.arg(f.Source)+" AND k.external_id = ?)", f.ExternalID)
	case f.Source != "":
		where.add(`(EXISTS (SELECT FROM external_ids k WHERE k.user_id = u.id AND k.source = ?)
		            OR EXISTS (SELECT FROM imports o WHERE o.id = u.import_id AND o.source = ?))`, f.Source)
	}
	if f.ImportID != uuid.Nil {
		// The ids of an import's users are close together: they are read by the primary key.
		where.add("u.import_id = ? AND u.id >= (SELECT first_user_id FROM imports WHERE id = ?) AND u.id <= (SELECT last_user_id FROM imports WHERE id = ?)", f.ImportID)
	}
	if f.Query != "" {
		where.add(containing(f.Query), f.Query)
	}
	return where
}

// containing is the condition that a user has ? in name, address or department.
// strpos, not LIKE: a % or _ in what someone types means itself. What is ASCII
// is looked for among ASCII letters put into lower case, which takes half as
// long as to do it with all of Unicode; addresses are in lower case already, in
// the form in which they are compared, which differs from the one that people
// see in the names of international domains.
func containing(query string) string {
	if strings.IndexFunc(query, func(r rune) bool { return r > 0x7f }) >= 0 {
		return `(strpos(lower(u.name), lower(?)) > 0 OR strpos(lower(u.email), lower(?)) > 0 OR strpos(lower(u.department), lower(?)) > 0)`
	}
	return `(strpos(lower(u.name COLLATE "C"), lower(?)) > 0 OR strpos(u.email_key, lower(?)) > 0 OR strpos(lower(u.department COLLATE "C"), lower(?)) > 0
		OR u.email_key LIKE '%xn--%' AND strpos(lower(u.email COLLATE "C"), lower(?)) > 0)`
}
