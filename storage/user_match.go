package storage

import (
	"cmp"
	"context"
	"database/sql"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// Matching says how the rows of one import are matched with users, and what they
// may change of them.
type Matching struct {
	// Source is where the keys of the rows are from; "" is DefaultSource.
	Source string
	// HasExternalID: the file has a column of keys.
	HasExternalID bool
	// Blank is what a blank cell does to an existing user; "" is BlankKeep.
	Blank roster.Blank
	// HasDepartment: the file has a department column.
	HasDepartment bool
	// HasLocale: the file has a locale column.
	HasLocale bool
	// Attributes are the declared attributes that the file has columns for.
	Attributes []string
	// Caller is the user who started the import, whose own role and status it
	// never changes; zero if it was no user.
	Caller uuid.UUID
	// KeepAdmins: the import may not change the role, status, address or key of
	// administrators. Only [Store.PlanRows] reads this and AdminsBefore: the import
	// itself asks again for every batch.
	KeepAdmins bool
	// AdminsBefore is by how many the rows planned so far change the number of
	// active administrators.
	AdminsBefore int
}

// MatchingOf is how the rows of an import's file are matched, which has the
// columns that has reports.
func MatchingOf(i *roster.Import, has func(roster.Column) bool) Matching {
	m := Matching{
		Source: i.Options.Source, HasExternalID: has(roster.ColumnExternalID),
		Blank: i.Options.Blank, HasDepartment: has(roster.ColumnDepartment), HasLocale: has(roster.ColumnLocale),
	}
	for _, name := range i.Options.Attributes {
		if has(roster.Column(name)) {
			m.Attributes = append(m.Attributes, name)
		}
	}
	if i.CreatedBy.Kind == roster.ActorUser {
		m.Caller = i.CreatedBy.ID
	}
	return m
}

func (m Matching) source() string { return cmp.Or(m.Source, roster.DefaultSource) }

// matchedUser is the user that a row is about, as stored.
type matchedUser struct {
	ID          uuid.UUID
	EmailKey    string
	HasPassword bool
	MissingFrom string     // the source it was missing from when it was disabled for that
	ImportID    *uuid.UUID // the import that created the user
	userValues
}

// userValues are the values of a user that rows of a file set.
type userValues struct {
	Email      string
	Name       string
	Role       roster.Role
	Department string
	Status     roster.UserStatus
	Key        string // in the import's source; "" for none
	Attributes roster.Attributes
	Locale     string
}

func (u userValues) activeAdmin() bool {
	return u.Role == roster.RoleAdmin && u.Status == roster.Active
}

// match is a row of a batch that is not simply unchanged.
type match struct {
	index  int // of the row in the batch
	row    *UserRow
	user   *matchedUser // nil: the row is a new user
	holder *uuid.UUID   // another user who has the row's address; nil: none
	// holderKey is the key of holder in the import's source, "" if it has none.
	holderKey string
}

// moves reports whether the row gives its user another address.
func (f *match) moves() bool { return f.user != nil && f.user.EmailKey != f.row.EmailKey }

// adminProblem is why the row cannot go in if the import may not change
// administrators: who could give one another address, or the key by which a later
// import does, could take over the account. Name and department are no rights.
func (m Matching) adminProblem(f *match) *roster.Problem {
	if f.user == nil || f.user.Role != roster.RoleAdmin {
		return nil
	}
	p := roster.AdminAddressKept(f.row.Email)
	if !f.moves() {
		if m.wanted(f.row, f.user).Key == f.user.Key {
			return nil
		}
		p = roster.AdminKeyKept(f.row.ExternalID)
	}
	return &p
}

// problem is why the row cannot go in while another user has its address; nil if
// none has.
func (f *match) problem() *roster.Problem {
	if f.holder == nil {
		return nil
	}
	p := roster.AddressOfAnother(f.row.Email)
	if f.holderKey != "" {
		p = roster.OtherExternalID(f.row.Email)
	}
	return &p
}

// wanted is what the row makes of the user, before any rule about who may do so.
func (m Matching) wanted(p *UserRow, u *matchedUser) userValues {
	now := u.userValues
	now.Name = p.Name
	if u.EmailKey != p.EmailKey {
		now.Email = p.Email
	}
	if p.RoleGiven {
		now.Role = p.Role
	}
	if m.HasDepartment && (p.Department != "" || m.Blank == roster.BlankClear) {
		now.Department = p.Department
	}
	if m.HasLocale && (p.Locale != "" || m.Blank == roster.BlankClear) {
		now.Locale = p.Locale
	}
	if p.ExternalID != "" {
		now.Key = p.ExternalID
	}
	if len(m.Attributes) > 0 {
		now.Attributes = m.wantedAttributes(p, u)
	}
	switch {
	case p.Status == roster.Disabled:
		now.Status = roster.Disabled
	case u.Status != roster.Disabled:
	case p.Status == roster.Active, u.MissingFrom == m.source():
		now.Status = roster.Invited
		if u.HasPassword {
			now.Status = roster.Active
		}
	}
	return now
}

// wantedAttributes are the user's attributes with those that the row gives. A blank
// cell keeps or clears, and an attribute that is no column of the file stays.
func (m Matching) wantedAttributes(p *UserRow, u *matchedUser) roster.Attributes {
	given, changed := p.Attributes.Map(), map[string]string{}
	for _, name := range m.Attributes {
		if given[name] != "" || m.Blank == roster.BlankClear {
			changed[name] = given[name]
		}
	}
	return u.Attributes.With(changed)
}

// changes lists what differs between two states of a user.
func changes(was, now userValues) map[roster.Column]roster.FieldChange {
	differs := map[roster.Column]roster.FieldChange{}
	for column, c := range map[roster.Column]roster.FieldChange{
		roster.ColumnEmail:      {From: was.Email, To: now.Email},
		roster.ColumnName:       {From: was.Name, To: now.Name},
		roster.ColumnRole:       {From: string(was.Role), To: string(now.Role)},
		roster.ColumnDepartment: {From: was.Department, To: now.Department},
		roster.ColumnExternalID: {From: was.Key, To: now.Key},
		roster.ColumnStatus:     {From: string(was.Status), To: string(now.Status)},
		roster.ColumnLocale:     {From: was.Locale, To: now.Locale},
	} {
		if c.From != c.To {
			differs[column] = c
		}
	}
	if was.Attributes != now.Attributes {
		before, after := was.Attributes.Map(), now.Attributes.Map()
		for _, values := range []map[string]string{before, after} {
			for name := range values {
				if before[name] != after[name] {
					differs[roster.Column(name)] = roster.FieldChange{From: before[name], To: after[name]}
				}
			}
		}
	}
	return differs
}

// wantedMatches says which rows matchRows returns besides those that change
// something.
type wantedMatches int

const (
	onlyChanges wantedMatches = iota
	withoutKeys               // those without a key whose user has one
	everyMatch
)

// matchRows finds the users that the rows are about, all in one query: by key
// first, then by address unless the user with that address has another key in
// this source. Rows that change nothing are left out of what it returns, unless
// they are wanted: most rows of a file that comes every night are such, and
// PostgreSQL compares them where they lie.
func matchRows(ctx context.Context, tx *sqlx.Tx, m Matching, rows []UserRow, wanted wantedMatches) (matches []match, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	if err := forceKeyLookups(ctx, tx, "off"); err != nil {
		return nil, err
	}
	// by_key: the user with the row's key. by_email: the one with its address.
	// moved: the user with the key, if that has another address. NULL keys are
	// looked up without touching the index. LIMIT keeps PostgreSQL from joining the
	// keys of the whole source, which it takes for few before it has statistics.
	found, err := tx.QueryContext(ctx, `
		SELECT r.n, by_key.user_id, by_email.id, their_key.external_id,
		       COALESCE(moved.id, by_email.id), COALESCE(moved.email_key, by_email.email_key), COALESCE(moved.email, by_email.email),
		       COALESCE(moved.name, by_email.name), COALESCE(moved.role, by_email.role),
		       COALESCE(moved.department, by_email.department), COALESCE(moved.status, by_email.status),
		       CASE WHEN moved.id IS NULL THEN by_email.password_hash ELSE moved.password_hash END IS NOT NULL,
		       CASE WHEN moved.id IS NULL THEN by_email.missing_from ELSE moved.missing_from END,
		       CASE WHEN moved.id IS NULL THEN by_email.import_id ELSE moved.import_id END,
		       CASE WHEN moved.id IS NULL THEN by_email.attributes ELSE moved.attributes END,
		       CASE WHEN moved.id IS NULL THEN by_email.locale ELSE moved.locale END
		  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $13::text[], $16::text[])
		       WITH ORDINALITY AS r (email_key, name, role, department, external_id, status, attributes, locale, n)
		  LEFT JOIN LATERAL (SELECT k.user_id FROM external_ids k WHERE k.source = $7 AND k.external_id = NULLIF(r.external_id, '') LIMIT 1) by_key ON true
		  LEFT JOIN users by_email ON by_email.email_key = r.email_key
		  LEFT JOIN users moved ON moved.id = CASE WHEN by_key.user_id IS DISTINCT FROM by_email.id THEN by_key.user_id END
		  LEFT JOIN LATERAL (SELECT k.external_id FROM external_ids k WHERE k.source = $7
		        AND k.user_id = CASE WHEN $8 AND by_key.user_id IS DISTINCT FROM by_email.id THEN by_email.id END LIMIT 1) their_key ON true
		 WHERE $11 OR by_email.id IS NULL OR by_email.name <> r.name
		    OR (r.external_id <> '' AND by_key.user_id IS DISTINCT FROM by_email.id)
		    OR (r.role <> '' AND r.role <> by_email.role)
		    OR ($9 AND by_email.department <> r.department AND ($10 OR r.department <> ''))
		    OR ($17 AND COALESCE(by_email.locale, '') <> r.locale AND ($10 OR r.locale <> ''))
		    OR (by_email.status = 'disabled') <> (r.status = 'disabled')
		       AND (r.status <> '' OR by_email.missing_from = $7)
		    OR ($12 AND r.external_id = '' AND their_key.external_id IS NOT NULL)
		    OR ($14 AND COALESCE(by_email.attributes, '{}') <> CASE WHEN $10 THEN COALESCE(by_email.attributes, '{}') - $15::text[]
		        ELSE COALESCE(by_email.attributes, '{}') END || COALESCE(NULLIF(r.attributes, '')::jsonb, '{}'))`,
		texts(rows, func(p *UserRow) string { return p.EmailKey }),
		texts(rows, func(p *UserRow) string { return p.Name }),
		texts(rows, givenRole),
		texts(rows, func(p *UserRow) string { return p.Department }),
		texts(rows, func(p *UserRow) string { return p.ExternalID }),
		texts(rows, func(p *UserRow) string { return string(p.Status) }),
		m.source(), m.HasExternalID, m.HasDepartment, m.Blank == roster.BlankClear, wanted == everyMatch, wanted == withoutKeys,
		m.rowAttributes(rows), len(m.Attributes) > 0, textArray(m.Attributes), m.rowLocales(rows), m.HasLocale)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		f, err := scanMatch(found, rows)
		if err != nil {
			return nil, err
		}
		matches = append(matches, f)
	}
	if err := found.Err(); err != nil {
		return nil, err
	}
	return matches, forceKeyLookups(ctx, tx, "on")
}

func scanMatch(found *sql.Rows, rows []UserRow) (f match, err error) {
	var n int
	var byKey, byEmail, id, importID uuid.NullUUID
	var theirKey, emailKey, email, name, role, department, status, missingFrom, locale sql.NullString
	var hasPassword bool
	var stored attributesColumn
	if err := found.Scan(&n, &byKey, &byEmail, &theirKey, &id, &emailKey, &email, &name, &role, &department, &status,
		&hasPassword, &missingFrom, &importID, &stored, &locale); err != nil {
		return f, err
	}
	f = match{index: n - 1, row: &rows[n-1]}
	belongs := id.Valid // to the user found
	if byEmail.Valid && byKey.Valid && byKey.UUID != byEmail.UUID ||
		!byKey.Valid && f.row.ExternalID != "" && theirKey.Valid {
		f.holder, f.holderKey = &byEmail.UUID, theirKey.String
		belongs = byKey.Valid
	}
	if !belongs {
		return f, nil
	}
	f.user = &matchedUser{
		ID: id.UUID, EmailKey: emailKey.String, HasPassword: hasPassword, MissingFrom: missingFrom.String,
		userValues: userValues{
			Email: email.String, Name: name.String, Role: roster.Role(role.String), Department: department.String,
			Status: roster.UserStatus(status.String), Key: theirKey.String, Attributes: stored.Attributes, Locale: locale.String,
		},
	}
	if byKey.Valid {
		f.user.Key = f.row.ExternalID
	}
	if importID.Valid {
		f.user.ImportID = &importID.UUID
	}
	return f, nil
}

// rowAttributes are the attributes of rows for an array column; no element for
// files that have none, so that they cost nothing.
func (m Matching) rowAttributes(rows []UserRow) []byte {
	if len(m.Attributes) == 0 {
		rows = nil
	}
	return texts(rows, func(p *UserRow) string { return string(p.Attributes) })
}

// rowLocales is rowAttributes for the locale.
func (m Matching) rowLocales(rows []UserRow) []byte {
	if !m.HasLocale {
		rows = nil
	}
	return texts(rows, func(p *UserRow) string { return p.Locale })
}

// givenRole is the role that the file says, "" if it says none.
func givenRole(p *UserRow) string {
	if !p.RoleGiven {
		return ""
	}
	return string(p.Role)
}

// forceKeyLookups "off" has the transaction look up each of many keys by itself,
// in the index; "on" lets it choose again.
func forceKeyLookups(ctx context.Context, tx *sqlx.Tx, onOff string) error {
	_, err := tx.ExecContext(ctx, `
		SELECT set_config(name, $1, true), set_config('jit', 'off', true) FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS name`, onOff)
	return err
}
