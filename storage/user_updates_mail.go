package storage

import (
	"context"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// followUpdates does what follows from changes of address and status: an open
// invitation goes to the new address and its older links die, both addresses are
// told, a user who is disabled loses an open invitation, and one who comes back
// without a password gets a fresh one that is pending or held as invite says; ""
// for none. invited reports whether invitations are due now.
func followUpdates(ctx context.Context, tx *sqlx.Tx, invite roster.InvitationStatus, updates []userUpdate) (invited bool, err error) {
	var moved []userUpdate
	var readdress, revoke, back []uuid.UUID
	for _, d := range updates {
		if d.moves() {
			moved = append(moved, d)
		}
		switch {
		case d.now.Status == roster.Disabled && d.user.Status != roster.Disabled:
			revoke = append(revoke, d.user.ID)
		case d.now.Status == roster.Invited && d.user.Status == roster.Disabled:
			if invite != "" {
				back = append(back, d.user.ID)
			}
		case d.now.Status == roster.Invited && d.moves():
			readdress = append(readdress, d.user.ID)
		}
	}
	if len(moved) > 0 {
		if err := noticeAddressChanges(ctx, tx, moved); err != nil {
			return false, err
		}
	}
	if len(readdress)+len(revoke)+len(back) == 0 {
		return false, nil
	}
	for _, ids := range [][]uuid.UUID{readdress, revoke, back} {
		if err := lockImportsOf(ctx, tx, uuids(ids, itsID)); err != nil {
			return false, err
		}
	}
	if err := readdressInvitations(ctx, tx, readdress); err != nil {
		return false, err
	}
	if err := revokeInvitations(ctx, tx, revoke); err != nil {
		return false, err
	}
	return len(readdress) > 0 || invite == roster.InvitationPending && len(back) > 0, inviteBack(ctx, tx, invite, back)
}

func itsID(id *uuid.UUID) uuid.UUID { return *id }

// readdressInvitations sends open invitations again, to the address that their
// users have now. One that is held stays so; its links are dead all the same.
func readdressInvitations(ctx context.Context, tx *sqlx.Tx, users []uuid.UUID) error {
	return moveInvitations(ctx, tx, users, `
		WITH old AS (
			SELECT user_id, status, CASE status WHEN 'held' THEN 'held' ELSE 'pending' END AS next FROM invitations
			 WHERE user_id = ANY($1::uuid[]) AND status IN ('held', 'pending', 'sent', 'failed') ORDER BY user_id FOR UPDATE
		), fresh AS (
			UPDATE invitations i
			   SET status = old.next, generation = i.generation + 1, dispatch = i.dispatch + 1, due_at = now(), claimed_until = NULL,
			       attempts = 0, ambiguous_sends = 0, sent_at = NULL, expires_at = NULL, last_error = NULL, updated_at = now(), `+forgetReminders+`
			  FROM old WHERE i.user_id = old.user_id
			RETURNING i.import_id, old.status AS old, old.next AS new
		)
		SELECT import_id, old, new, count(*) AS n FROM fresh WHERE import_id IS NOT NULL GROUP BY import_id, old, new`)
}

// revokeInvitations withdraws the invitations of these users that were not used.
func revokeInvitations(ctx context.Context, tx *sqlx.Tx, users []uuid.UUID) error {
	return moveInvitations(ctx, tx, users, `
		WITH old AS (
			SELECT user_id, status FROM invitations
			 WHERE user_id = ANY($1::uuid[]) AND status NOT IN ('accepted', 'revoked') ORDER BY user_id FOR UPDATE
		), revoked AS (
			UPDATE invitations i SET status = 'revoked', claimed_until = NULL, dispatch = i.dispatch + 1, updated_at = now()
			  FROM old WHERE i.user_id = old.user_id
			RETURNING i.import_id, old.status AS old
		)
		SELECT import_id, old, 'revoked' AS new, count(*) AS n FROM revoked WHERE import_id IS NOT NULL GROUP BY import_id, old`)
}

func moveInvitations(ctx context.Context, tx *sqlx.Tx, users []uuid.UUID, query string) error {
	if len(users) == 0 {
		return nil
	}
	var moves []statusChange
	if err := tx.SelectContext(ctx, &moves, query, uuids(users, itsID)); err != nil {
		return err
	}
	return countMoves(ctx, tx, moves)
}

// inviteBack gives users who may sign in again, and have no password, a link: a
// first one to who was never invited, else a fresh one.
func inviteBack(ctx context.Context, tx *sqlx.Tx, status roster.InvitationStatus, users []uuid.UUID) error {
	if len(users) == 0 {
		return nil
	}
	var moves []statusChange
	if err := tx.SelectContext(ctx, &moves, `
		WITH old AS (
			SELECT user_id, status FROM invitations WHERE user_id = ANY($1::uuid[]) ORDER BY user_id FOR UPDATE
		), fresh AS (
			UPDATE invitations i
			   SET status = $2, generation = i.generation + 1, dispatch = i.dispatch + 1, due_at = now(), claimed_until = NULL,
			       attempts = 0, ambiguous_sends = 0, sent_at = NULL, expires_at = NULL, last_error = NULL, updated_at = now(), `+forgetReminders+`
			  FROM old WHERE i.user_id = old.user_id
			RETURNING i.import_id, old.status AS old
		), first AS (
			INSERT INTO invitations (user_id, status)
			SELECT id, $2 FROM unnest($1::uuid[]) AS id WHERE id NOT IN (SELECT user_id FROM old)
		)
		SELECT import_id, old, $2 AS new, count(*) AS n FROM fresh WHERE import_id IS NOT NULL GROUP BY import_id, old`,
		uuids(users, itsID), status); err != nil {
		return err
	}
	return countMoves(ctx, tx, moves)
}
