package storage

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// ErrChangesExpired: the feed of changes has nothing to go on from at this cursor.
// Retention has deleted what follows it, or the database was restored to a time
// before it.
var ErrChangesExpired = errors.New("changes expired")

// changesRetention is how long changes are kept.
const changesRetention = 30 * 24 * time.Hour

// changeRow is an entry of the feed.
type changeRow struct {
	Position int64             `db:"position"`
	Offset   int32             `db:"n"`
	Mark     int32             `db:"mark"`
	Type     roster.ChangeType `db:"type"`
	At       time.Time         `db:"at"`
	UserID   uuid.UUID         `db:"user_id"`
}

func (r changeRow) cursor() roster.ChangeCursor {
	return roster.ChangeCursor{Position: r.Position, Offset: r.Offset, Mark: r.Mark}
}

// selectChanges reads entries behind a cursor: of as few rows as have enough of
// them, since each row has up to a thousand.
const selectChanges = `
	SELECT c.position, c.mark, c.type, c.at, e.user_id, e.n
	  FROM (SELECT f.*, sum(f.size) OVER (ORDER BY f.position) - f.size AS before
	          FROM (SELECT position, mark, size, type, at, user_ids FROM user_changes
	                 WHERE position >= $1 ORDER BY position LIMIT $3::integer + 1) f) c,
	       unnest(c.user_ids) WITH ORDINALITY AS e (user_id, n)
	 WHERE c.before < $2::integer + $3::integer AND (c.position > $1 OR e.n > $2::integer)
	 ORDER BY c.position, e.n LIMIT $3::integer`

// Changes reads the feed of changes to users behind a cursor, at most limit
// entries, in the order of commits. A nil cursor is the oldest entry kept. next is
// behind the last entry, or where the reading began if there are none.
// [ErrChangesExpired] if some between the cursor and the first entry are lost.
func (s *Store) Changes(ctx context.Context, after *roster.ChangeCursor, limit int) (entries []roster.ChangeEntry, next roster.ChangeCursor, err error) {
	defer translate(&err, "read changes of users")
	var rows []changeRow
	if err := s.transact(ctx, func(tx *sqlx.Tx) error {
		rows, next, err = readChanges(ctx, tx, after, limit)
		return err
	}); err != nil {
		return nil, next, err
	}
	entries, err = s.withUsers(ctx, rows)
	return entries, next, err
}

func readChanges(ctx context.Context, tx *sqlx.Tx, after *roster.ChangeCursor, limit int) (rows []changeRow, next roster.ChangeCursor, err error) {
	var from roster.ChangeCursor
	if after != nil {
		from = *after
	}
	if err := tx.SelectContext(ctx, &rows, selectChanges, from.Position, from.Offset, limit); err != nil {
		return nil, from, err
	}
	// Asked afterwards: what is there now was there when the entries were read.
	if from, err = checkCursor(ctx, tx, after); err != nil {
		return nil, from, err
	}
	if len(rows) > 0 {
		return rows, rows[len(rows)-1].cursor(), nil
	}
	return nil, from, nil
}

// checkCursor returns nil if nothing behind a cursor is lost, and the cursor: of nil,
// the horizon.
func checkCursor(ctx context.Context, tx *sqlx.Tx, after *roster.ChangeCursor) (from roster.ChangeCursor, err error) {
	var horizon struct {
		Position int64 `db:"position"`
		Size     int32 `db:"size"`
		Mark     int32 `db:"mark"`
	}
	if err := tx.GetContext(ctx, &horizon, `SELECT position, size, mark FROM user_change_horizon`); err != nil {
		return from, err
	}
	beginning := roster.ChangeCursor{Position: horizon.Position, Offset: horizon.Size, Mark: horizon.Mark}
	if after == nil || *after == beginning {
		return beginning, nil
	}
	var known bool
	if err := tx.GetContext(ctx, &known, `
		SELECT EXISTS (SELECT FROM user_changes WHERE position = $1 AND mark = $2 AND size >= $3)`, after.Position, after.Mark, after.Offset); err != nil {
		return from, err
	}
	if !known {
		return *after, ErrChangesExpired
	}
	return *after, nil
}

// withUsers adds the users as they are now.
func (s *Store) withUsers(ctx context.Context, rows []changeRow) ([]roster.ChangeEntry, error) {
	seen := make(map[uuid.UUID]*roster.User, len(rows))
	var ids []uuid.UUID
	for _, r := range rows {
		if _, ok := seen[r.UserID]; !ok {
			seen[r.UserID] = nil
			ids = append(ids, r.UserID)
		}
	}
	users, err := s.usersByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		seen[u.ID] = u
	}
	entries := make([]roster.ChangeEntry, len(rows))
	for i, r := range rows {
		entries[i] = roster.ChangeEntry{Type: r.Type, At: r.At, UserID: r.UserID, User: seen[r.UserID]}
	}
	return entries, nil
}

// LastChange is the cursor behind the newest entry of the feed.
func (s *Store) LastChange(ctx context.Context) (c roster.ChangeCursor, err error) {
	defer translate(&err, "find the last change")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		c, err = lastChange(ctx, tx)
		return err
	})
	return c, err
}

func lastChange(ctx context.Context, tx *sqlx.Tx) (c roster.ChangeCursor, err error) {
	var row struct {
		Position int64 `db:"position"`
		Size     int32 `db:"size"`
		Mark     int32 `db:"mark"`
	}
	err = tx.GetContext(ctx, &row, `
		SELECT position, size, mark
		  FROM ((SELECT position, size, mark FROM user_changes WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1)
		        UNION ALL SELECT position, size, mark FROM user_change_horizon) ends
		 ORDER BY position DESC LIMIT 1`)
	return roster.ChangeCursor{Position: row.Position, Offset: row.Size, Mark: row.Mark}, err
}

// purgeChangeRows is how many rows of changes one transaction of a purge deletes.
const purgeChangeRows = 500

// PurgeChanges takes one step of retention: it deletes the oldest changes if they
// were committed longer ago than thirty days. done is true when none is left.
func (s *Store) PurgeChanges(ctx context.Context) (done bool, err error) {
	defer translate(&err, "purge changes of users")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		// Locked first: two purges at once would otherwise each move the horizon.
		if _, err := tx.ExecContext(ctx, `SELECT FROM user_change_horizon FOR UPDATE`); err != nil {
			return err
		}
		var deleted int
		if err := tx.GetContext(ctx, &deleted, `
			WITH old AS (
				SELECT position FROM user_changes
				 WHERE position IS NOT NULL AND at <= now() - make_interval(secs => $1)
				 ORDER BY position LIMIT $2
			), gone AS (
				DELETE FROM user_changes WHERE position <= (SELECT max(position) FROM old) RETURNING position, size, mark
			), moved AS (
				UPDATE user_change_horizon h SET position = g.position, size = g.size, mark = g.mark
				  FROM (SELECT position, size, mark FROM gone ORDER BY position DESC LIMIT 1) g
			)
			SELECT count(*) FROM gone`, seconds(changesRetention), purgeChangeRows); err != nil {
			return err
		}
		done = deleted < purgeChangeRows
		return nil
	})
	return done, err
}
