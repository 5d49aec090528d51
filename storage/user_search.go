package storage

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

const (
	// searchBlock is how many users are in a block: some 2 kB of text, four blocks
	// a page.
	searchBlock = 30
	// searchBlocksAtOnce bounds what one step adds, searchChangesAtOnce how many
	// entries of the feed of changes it follows, of up to a thousand users each.
	searchBlocksAtOnce  = 500
	searchChangesAtOnce = 20
	// searchMostChanged is how many changed users are looked at one by one. If there
	// are more, reading all users is faster.
	searchMostChanged = 20_000
	// searchLag is how old the last changes may be while imports have precedence.
	searchLag = 5 * time.Minute
)

// searchText is what of a user u a search looks at; see [containing].
const searchText = `
	lower(u.name) || E'\x01' || u.email_key || E'\x01' || lower(u.department) ||
	CASE WHEN lower(u.email) = u.email_key THEN '' ELSE E'\x01' || lower(u.email) END`

// searchState says which users the blocks are about.
type searchState struct {
	BuiltTo  uuid.UUID `db:"built_to"`
	Position int64     `db:"position"`
	Changed  int64     `db:"changed"` // users at most whose changes the blocks do not have
}

func (s *Store) searchState(ctx context.Context) (state searchState, err error) {
	return state, s.db.GetContext(ctx, &state, `
		SELECT built_to, position, COALESCE((SELECT sum(size) FROM user_changes c WHERE c.position > s.position), 0) AS changed
		  FROM user_search_state s`)
}

// matches is a table expression of the users who may match the query, in place of
// users. Whoever is in a block that has the text, or not in the blocks as of now, may.
func (state searchState) matches(where *whereBuilder, query string) string {
	builtTo, position, text := where.arg(state.BuiltTo), where.arg(state.Position), where.arg(query)
	return `(
		SELECT u.* FROM user_search s JOIN users u ON u.id > s.after AND u.id <= s.upto WHERE strpos(s.text, lower(` + text + `)) > 0
		 UNION ALL
		SELECT u.*
		  FROM (SELECT DISTINCT e.id FROM user_changes c, unnest(c.user_ids) AS e (id) WHERE c.position > ` + position + ` AND e.id <= ` + builtTo + `) changed
		 CROSS JOIN LATERAL (SELECT * FROM users u WHERE u.id = changed.id OFFSET 0) u -- one by one, whatever the planner expects
		 WHERE COALESCE(strpos((SELECT s.text FROM user_search s WHERE s.upto >= u.id ORDER BY s.upto LIMIT 1), lower(` + text + `)), 0) = 0 -- or they are above
		 UNION ALL
		SELECT u.* FROM users u WHERE u.id > ` + builtTo + `)`
}

// UserSearchBehind reports whether [Store.UpdateUserSearch] has something to do.
// While an import is being processed it has not, unless the changes are old.
func (s *Store) UserSearchBehind(ctx context.Context, settled time.Duration) (behind bool, err error) {
	defer translate(&err, "look for changes to make searchable")
	return behind, s.db.GetContext(ctx, &behind, `
		SELECT COALESCE(CASE WHEN EXISTS (SELECT FROM imports WHERE status IN ('checking', 'importing') AND lease_until > clock_timestamp())
		            THEN (SELECT at < now() - make_interval(secs => $2) FROM user_changes c WHERE c.position > s.position ORDER BY c.position LIMIT 1)
		            ELSE EXISTS (SELECT FROM user_changes c WHERE c.position > s.position)
		              OR EXISTS (SELECT FROM users u WHERE u.id > s.built_to AND u.id < $1 ORDER BY u.id OFFSET $3 LIMIT 1)
		       END, false)
		  FROM user_search_state s`, firstIDAt(time.Now().Add(-settled)), seconds(searchLag), searchBlock-1)
}

// firstIDAt is the lowest UUIDv7 of a time (RFC 9562, section 5.7).
func firstIDAt(t time.Time) (id uuid.UUID) {
	for ms, i := t.UnixMilli(), 5; i >= 0; ms, i = ms>>8, i-1 {
		id[i] = byte(ms)
	}
	return id
}

// UpdateUserSearch takes one step to make changed users, and those who were created
// longer ago than settled, searchable by blocks. Until then they are found by
// reading them one by one. done is true when nothing is left to do.
func (s *Store) UpdateUserSearch(ctx context.Context, settled time.Duration) (done bool, err error) {
	defer translate(&err, "make users searchable")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		var state searchState
		if err := tx.GetContext(ctx, &state, `SELECT built_to, position FROM user_search_state FOR UPDATE SKIP LOCKED`); err != nil {
			done = errors.Is(err, sql.ErrNoRows) // another worker is at it
			if done {
				return nil
			}
			return err
		}
		lost, err := state.beginAgain(ctx, tx)
		if err != nil || lost {
			return err
		}
		changed, err := state.followChanges(ctx, tx)
		if err != nil {
			return err
		}
		added := int64(0)
		if !changed {
			if added, err = state.addBlocks(ctx, tx, settled); err != nil {
				return err
			}
		}
		done = !changed && added < searchBlocksAtOnce
		return nil
	})
	return done, err
}

// beginAgain removes all blocks if retention has deleted changes that they do not
// have.
func (state *searchState) beginAgain(ctx context.Context, tx *sqlx.Tx) (lost bool, err error) {
	if err := tx.GetContext(ctx, &lost, `SELECT position > $1 FROM user_change_horizon`, state.Position); err != nil || !lost {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM user_search`); err != nil {
		return false, err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE user_search_state SET built_to = DEFAULT, position = GREATEST(
		       (SELECT position FROM user_change_horizon), (SELECT COALESCE(max(position), 0) FROM user_changes))`)
	return true, err
}

// followChanges rewrites the blocks of users who have changed.
func (state *searchState) followChanges(ctx context.Context, tx *sqlx.Tx) (changed bool, err error) {
	var through sql.NullInt64
	if err := tx.GetContext(ctx, &through, `
		SELECT max(position) FROM (SELECT position FROM user_changes WHERE position > $1 ORDER BY position LIMIT $2) c`,
		state.Position, searchChangesAtOnce); err != nil || !through.Valid {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, `
		UPDATE user_search s
		   SET text = COALESCE((SELECT string_agg(`+searchText+`, E'\x01') FROM users u WHERE u.id > s.after AND u.id <= s.upto), '')
		 WHERE s.upto IN (
		       SELECT (SELECT b.upto FROM user_search b WHERE b.upto >= e.id ORDER BY b.upto LIMIT 1)
		         FROM user_changes c, unnest(c.user_ids) AS e (id)
		        WHERE c.position > $1 AND c.position <= $2 AND e.id <= $3)`, state.Position, through.Int64, state.BuiltTo); err != nil {
		return false, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE user_search_state SET position = $1`, through.Int64)
	return true, err
}

// addBlocks adds blocks of users behind the last block. The rest, too few for a
// block, waits for more.
func (state *searchState) addBlocks(ctx context.Context, tx *sqlx.Tx, settled time.Duration) (added int64, err error) {
	r, err := tx.ExecContext(ctx, `
		INSERT INTO user_search (upto, after, text)
		SELECT ids[cardinality(ids)], lag(ids[cardinality(ids)], 1, $1::uuid) OVER (ORDER BY block), text
		  FROM (SELECT block, array_agg(id ORDER BY id) AS ids, string_agg(text, E'\x01') AS text
		          FROM (SELECT u.id, (row_number() OVER (ORDER BY u.id) - 1) / $3 AS block, `+searchText+` AS text
		                  FROM users u WHERE u.id > $1 AND u.id < $2 ORDER BY u.id LIMIT $3 * $4) u
		         GROUP BY block HAVING count(*) = $3) b`,
		state.BuiltTo, firstIDAt(time.Now().Add(-settled)), searchBlock, searchBlocksAtOnce)
	if err != nil {
		return 0, err
	}
	if added, err = r.RowsAffected(); err != nil || added == 0 {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE user_search_state SET built_to = (SELECT upto FROM user_search ORDER BY upto DESC LIMIT 1)`)
	return added, err
}

// forgetInSearch rewrites the block of a user who was deleted.
const forgetInSearch = `
	UPDATE user_search s
	   SET text = COALESCE((SELECT string_agg(` + searchText + `, E'\x01') FROM users u WHERE u.id > s.after AND u.id <= s.upto), '')
	 WHERE s.upto = (SELECT upto FROM user_search WHERE upto >= $1 ORDER BY upto LIMIT 1)`
