package storage

import (
	"bytes"
	"context"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// SourceUser is a user of a source as a full roster knows them.
type SourceUser struct {
	ID       uuid.UUID `db:"id"`
	EmailKey string    `db:"email_key"`
	Key      string    `db:"external_id"` // in the source; "" for none
}

// SourcePage is how many users are compared with a file at a time.
const SourcePage = 20_000

// SourceUsers reads the next users of a source who are not disabled, in the order of
// their ids behind after, at most limit. last is where to go on; zero: there are no
// more.
func (s *Store) SourceUsers(ctx context.Context, source string, after uuid.UUID, limit int) (users []SourceUser, last uuid.UUID, err error) {
	defer translate(&err, "read users of source %s", source)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		users, last, err = sourceUsers(ctx, tx, source, after, limit)
		return err
	})
	return users, last, err
}

// sourceUsers reads users where the imports of the source have created some, and
// elsewhere those alone who have a key in it: an installation may have many
// more users of other sources.
func sourceUsers(ctx context.Context, tx *sqlx.Tx, source string, after uuid.UUID, limit int) (users []SourceUser, last uuid.UUID, err error) {
	source = Matching{Source: source}.source()
	ranges, err := sourceRanges(ctx, tx, source, after)
	if err != nil {
		return nil, last, err
	}
	if err := forceIndexOrder(ctx, tx); err != nil {
		return nil, last, err
	}
	users = make([]SourceUser, 0, limit)
	read := func(query string, args ...any) error {
		if len(users) == limit {
			return nil
		}
		var more []SourceUser
		err := tx.SelectContext(ctx, &more, query, append(args, source, limit-len(users))...)
		users = append(users, more...)
		return err
	}
	for _, r := range append(ranges, idSpan{uuid.Max, uuid.Max}) {
		if bytes.Compare(after[:], r.First[:]) < 0 {
			if err := read(keyedUsers, after, r.First); err != nil {
				return nil, last, err
			}
		}
		if err := read(createdOrKeyedUsers, after, r.First, r.Last); err != nil {
			return nil, last, err
		}
		after = r.Last
	}
	if len(users) == limit {
		last = users[len(users)-1].ID
	}
	return users, last, nil
}

// keyedUsers are users between two ids who have a key in a source.
const keyedUsers = `
	SELECT u.id, u.email_key, k.external_id
	  FROM external_ids k JOIN users u ON u.id = k.user_id
	 WHERE k.user_id > $1 AND k.user_id < $2 AND k.source = $3 AND u.status <> 'disabled'
	 ORDER BY k.user_id LIMIT $4`

// createdOrKeyedUsers are users in a range of ids whom a source has created or has a
// key of. Both sides are bounded: PostgreSQL may merge them, and would begin with
// the first key of the source for each page.
const createdOrKeyedUsers = `
	SELECT u.id, u.email_key, COALESCE(k.external_id, '') AS external_id
	  FROM users u LEFT JOIN external_ids k ON k.user_id = u.id AND k.source = $4 AND k.user_id > $1 AND k.user_id >= $2 AND k.user_id <= $3
	 WHERE u.id > $1 AND u.id >= $2 AND u.id <= $3 AND u.status <> 'disabled'
	   AND (k.user_id IS NOT NULL OR EXISTS (SELECT FROM imports i WHERE i.id = u.import_id AND i.source = $4))
	 ORDER BY u.id LIMIT $5`

// idSpan is a range of ids, both ends included.
type idSpan struct{ First, Last uuid.UUID }

// sourceRanges returns where behind an id the users are whom imports of a source have
// created: ranges that follow each other, with at most a page of other users between
// two imports in one range.
func sourceRanges(ctx context.Context, tx *sqlx.Tx, source string, after uuid.UUID) (ranges []idSpan, err error) {
	var imports []struct {
		First    uuid.UUID `db:"first_user_id"`
		Last     uuid.UUID `db:"last_user_id"`
		Imported int64     `db:"imported"`
		Ours     bool      `db:"ours"`
	}
	if err := tx.SelectContext(ctx, &imports, `
		SELECT first_user_id, last_user_id, imported, source = $1 AS ours FROM imports
		 WHERE last_user_id > $2 ORDER BY first_user_id`, source, after); err != nil {
		return nil, err
	}
	others := int64(0) // since the last import of the source began
	for _, i := range imports {
		n := len(ranges)
		switch {
		case !i.Ours:
			others += i.Imported
			continue
		case n > 0 && (others <= SourcePage || bytes.Compare(i.First[:], ranges[n-1].Last[:]) <= 0):
			if bytes.Compare(i.Last[:], ranges[n-1].Last[:]) > 0 {
				ranges[n-1].Last = i.Last
			}
		default:
			ranges = append(ranges, idSpan{i.First, i.Last})
		}
		others = 0
	}
	return ranges, nil
}
