package storage

import (
	"context"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// RenewInvitation sends a fresh link to the address on file of a user whose link
// has expired, as requested with one of the user's links: at most once an
// hour. It reports whether it did: not for users who have a password, are disabled
// or unknown, nor in place of a link that was revoked or still works.
func (s *Store) RenewInvitation(ctx context.Context, userID uuid.UUID, address string) (renewed bool, err error) {
	defer translate(&err, "renew invitation of user %s", userID)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		renewed = false
		if err := lockImportsOf(ctx, tx, oneUUID(userID)); err != nil {
			return err
		}
		var emails []string
		if err := tx.SelectContext(ctx, &emails, `SELECT email FROM users WHERE id = $1 AND status = 'invited' FOR UPDATE`, userID); err != nil || len(emails) == 0 {
			return err
		}
		var moves []statusChange
		if err := tx.SelectContext(ctx, &moves, `
			WITH old AS (
				UPDATE invitations SET renewed_at = now(), renewed_generation = generation + 1
				 WHERE user_id = $1 AND status = 'sent' AND expires_at <= now() AND (renewed_at IS NULL OR renewed_at <= now() - interval '1 hour')
				RETURNING user_id, status
			)
			SELECT COALESCE(i.import_id, '00000000-0000-0000-0000-000000000000') AS import_id, old.status AS old, 'pending' AS new, 1 AS n
			  FROM old JOIN invitations i ON i.user_id = old.user_id`, userID); err != nil || len(moves) == 0 {
			return err
		}
		if _, err := tx.ExecContext(ctx, noteReplaced+`i.user_id = $1`, userID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `WITH old AS (SELECT user_id, status FROM invitations WHERE user_id = $1) `+refresh, userID); err != nil {
			return err
		}
		by := AuditEntry{Actor: roster.Actor{Kind: roster.ActorUser, ID: userID, Label: emails[0]}, Address: address}
		if err := audit(ctx, tx, by.on("invitation.renew", "user", userID)); err != nil {
			return err
		}
		renewed = true
		if moves[0].ImportID == uuid.Nil {
			return nil
		}
		return countMoves(ctx, tx, moves)
	})
	return renewed, err
}
