package storage

import (
	"context"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// MissingChange is what edits of a full roster may change about who is missing.
type MissingChange struct {
	// Emails and IDs are the addresses and keys that the edited rows had or have.
	Emails, IDs []string
	// Present reports whether a user is in the file as it is now.
	Present func(emailKey, externalID string) bool
	// None: someone in the file can't be told, so no one is missing. All: that was so
	// before, and everyone has to be looked for.
	None, All bool
}

// changeMissing brings up to date who is missing from a full roster, and returns how
// many there are.
func changeMissing(ctx context.Context, tx *sqlx.Tx, i *roster.Import, before int64, m *MissingChange) (n int64, err error) {
	switch {
	case m == nil:
		return before, nil
	case m.None, m.All:
		if _, err := tx.ExecContext(ctx, `DELETE FROM import_missing WHERE import_id = $1`, i.ID); err != nil || m.None {
			return 0, err
		}
		for after := uuid.Nil; ; {
			users, last, err := sourceUsers(ctx, tx, i.Options.Source, after, SourcePage)
			if err != nil {
				return 0, err
			}
			missing, err := noteMissing(ctx, tx, i, users, n, m.Present)
			if err != nil {
				return 0, err
			}
			n += missing
			if after = last; after == uuid.Nil {
				break
			}
		}
	default:
		if n, err = changeMissingOf(ctx, tx, i, before, m); err != nil {
			return 0, err
		}
	}
	if n == 0 {
		return 0, nil
	}
	spared, err := spareLastAdmin(ctx, tx, i.ID)
	if spared {
		n--
	}
	return n, err
}

// changeMissingOf looks at the users of the source who have one of the addresses or
// keys.
func changeMissingOf(ctx context.Context, tx *sqlx.Tx, i *roster.Import, n int64, m *MissingChange) (int64, error) {
	var users []struct {
		ID       uuid.UUID `db:"id"`
		EmailKey string    `db:"email_key"`
		Key      string    `db:"external_id"`
		Missing  bool      `db:"missing"`
	}
	source := Matching{Source: i.Options.Source}.source()
	if err := tx.SelectContext(ctx, &users, `
		SELECT u.id, u.email_key, COALESCE(k.external_id, '') AS external_id,
		       EXISTS (SELECT FROM import_missing o WHERE o.import_id = $4 AND o.user_id = u.id) AS missing
		  FROM users u LEFT JOIN external_ids k ON k.user_id = u.id AND k.source = $1
		 WHERE (u.email_key = ANY($2::text[])
		        OR u.id IN (SELECT o.user_id FROM external_ids o WHERE o.source = $1 AND o.external_id = ANY($3::text[])))
		   AND u.status <> 'disabled'
		   AND (k.user_id IS NOT NULL OR EXISTS (SELECT FROM imports i WHERE i.id = u.import_id AND i.source = $1))
		 ORDER BY u.id`, source, texts(m.Emails, itself), texts(m.IDs, itself), i.ID); err != nil {
		return 0, err
	}
	var gone []SourceUser
	var back []uuid.UUID
	for _, u := range users {
		switch present := m.Present(u.EmailKey, u.Key); {
		case present && u.Missing:
			back = append(back, u.ID)
		case !present && !u.Missing && !i.CreatedBy.Is(u.ID):
			gone = append(gone, SourceUser{u.ID, u.EmailKey, u.Key})
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM import_missing WHERE import_id = $1 AND user_id = ANY($2::uuid[])`,
		i.ID, uuids(back, func(id *uuid.UUID) uuid.UUID { return *id })); err != nil {
		return 0, err
	}
	if len(gone) > 0 {
		var last int64
		if err := tx.GetContext(ctx, &last, `SELECT COALESCE(max(n), 0) FROM import_missing WHERE import_id = $1`, i.ID); err != nil {
			return 0, err
		}
		if err := insertMissing(ctx, tx, i.ID, last, gone); err != nil {
			return 0, err
		}
	}
	return n + int64(len(gone)) - int64(len(back)), nil
}
