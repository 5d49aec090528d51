package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// Why a set-password link does not work.
var (
	ErrLinkUsed     = errors.New("link used")     // the password has been set
	ErrLinkExpired  = errors.New("link expired")  // its time is over
	ErrLinkRevoked  = errors.New("link revoked")  // withdrawn, or the user is disabled
	ErrLinkReplaced = errors.New("link replaced") // a fresh one was sent since
)

// Invitee is who a set-password link is for.
type Invitee struct {
	UserID    uuid.UUID
	Email     string
	Name      string
	ExpiresAt time.Time
	Locale    string // "" for the default
}

// statusChange counts invitations of one import that went from one state to another.
type statusChange struct {
	ImportID uuid.UUID               `db:"import_id"`
	Old      roster.InvitationStatus `db:"old"`
	New      roster.InvitationStatus `db:"new"`
	N        int64                   `db:"n"`
}

// counted are the states an import keeps a counter of. Those bounced are among the
// failed ones, and counted when asked for.
var counted = []roster.InvitationStatus{
	roster.InvitationHeld, roster.InvitationPending, roster.InvitationSent, roster.InvitationFailed, roster.InvitationAccepted,
}

// lockImportsOf locks the imports whose counters the users' invitations are in,
// before the invitations themselves: that is the lock order. userIDs is of [uuids].
func lockImportsOf(ctx context.Context, tx *sqlx.Tx, userIDs []byte) error {
	_, err := tx.ExecContext(ctx, `
		SELECT FROM imports
		 WHERE id IN (SELECT import_id FROM invitations WHERE user_id = ANY($1::uuid[]))
		 ORDER BY id FOR UPDATE`, userIDs)
	return err
}

// countMoves brings the imports' counters up to date with moves made in this
// transaction.
func countMoves(ctx context.Context, tx *sqlx.Tx, moves []statusChange) error {
	byImport := map[uuid.UUID]map[roster.InvitationStatus]int64{}
	for _, m := range moves {
		if byImport[m.ImportID] == nil {
			byImport[m.ImportID] = map[roster.InvitationStatus]int64{}
		}
		byImport[m.ImportID][m.Old] -= m.N
		byImport[m.ImportID][m.New] += m.N
	}
	for id, change := range byImport { // locked already, so any order will do
		args := []any{id}
		for _, status := range counted {
			args = append(args, change[status])
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE imports
			   SET invites_held = invites_held + $2, invites_pending = invites_pending + $3, invites_sent = invites_sent + $4,
			       invites_failed = invites_failed + $5, invites_accepted = invites_accepted + $6
			 WHERE id = $1`, args...); err != nil {
			return err
		}
	}
	return nil
}

// invitationRow is an invitation with its user, for deciding about its link.
type invitationRow struct {
	ImportID   *uuid.UUID              `db:"import_id"`
	Status     roster.InvitationStatus `db:"status"`
	Generation int32                   `db:"generation"`
	ExpiresAt  *time.Time              `db:"expires_at"`
	Expired    bool                    `db:"expired"`
	Email      string                  `db:"email"`
	Name       string                  `db:"name"`
	Locale     string                  `db:"locale"`
	UserStatus roster.UserStatus       `db:"user_status"`
}

const selectInvitation = `
	SELECT i.import_id, i.status, i.generation, i.expires_at, COALESCE(i.expires_at <= now(), true) AS expired,
	       u.email, u.name, COALESCE(u.locale, '') AS locale, u.status AS user_status
	  FROM invitations i JOIN users u ON u.id = i.user_id
	 WHERE i.user_id = $1`

// usable returns nil if a link of this generation may set the password.
func (r *invitationRow) usable(generation int32) error {
	switch {
	case r.Status == roster.InvitationAccepted || r.UserStatus == roster.Active:
		return ErrLinkUsed
	case r.Status == roster.InvitationRevoked || r.UserStatus == roster.Disabled:
		return ErrLinkRevoked
	case r.Generation != generation && !(r.Status == roster.InvitationSent && r.Expired): // an expired one can be renewed by any of its links
		return ErrLinkReplaced
	case r.Status == roster.InvitationHeld:
		return ErrLinkRevoked
	case r.Expired:
		return ErrLinkExpired
	}
	return nil
}

// Invitee tells who a link is for, consuming nothing. The error says why the
// link does not work: [ErrNotFound] or one of the ErrLink errors; with those, only
// the locale is told.
func (s *Store) Invitee(ctx context.Context, userID uuid.UUID, generation int32) (_ Invitee, err error) {
	defer translate(&err, "look at invitation of user %s", userID)
	var r invitationRow
	if err := s.db.GetContext(ctx, &r, selectInvitation, userID); err != nil {
		return Invitee{}, err
	}
	if err := r.usable(generation); err != nil {
		return Invitee{Locale: r.Locale}, err
	}
	return Invitee{UserID: userID, Email: r.Email, Name: r.Name, ExpiresAt: *r.ExpiresAt, Locale: r.Locale}, nil
}

// AcceptInvitation sets the user's first password, once: of any number of
// simultaneous calls one succeeds and the others get [ErrLinkUsed].
func (s *Store) AcceptInvitation(ctx context.Context, userID uuid.UUID, generation int32, passwordHash, address string) (err error) {
	defer translate(&err, "accept invitation of user %s", userID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := lockImportsOf(ctx, tx, oneUUID(userID)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `SELECT FROM users WHERE id = $1 FOR UPDATE`, userID); err != nil {
			return err
		}
		var r invitationRow
		if err := tx.GetContext(ctx, &r, selectInvitation+` FOR UPDATE OF i`, userID); err != nil {
			return err
		}
		if err := r.usable(generation); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE users SET password_hash = $2, status = 'active', updated_at = now() WHERE id = $1`, userID, passwordHash); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE invitations SET status = 'accepted', accepted_at = now(), claimed_until = NULL, updated_at = now()
			 WHERE user_id = $1`, userID); err != nil {
			return err
		}
		by := AuditEntry{Actor: roster.Actor{Kind: roster.ActorUser, ID: userID, Label: r.Email}, Address: address}
		if err := audit(ctx, tx, by.on("invitation.accept", "user", userID)); err != nil {
			return err
		}
		if r.ImportID == nil {
			return nil
		}
		return countMoves(ctx, tx, []statusChange{{*r.ImportID, r.Status, roster.InvitationAccepted, 1}})
	})
}

// forgetReminders begins with the reminders of a new generation.
const forgetReminders = `reminder_age = 0, reminders = 0, reminded_at = NULL`

// refresh gives invitations a new generation, which kills the older links, and
// makes them due now. It follows on a WHERE over invitations i.
const refresh = `
	UPDATE invitations i
	   SET status = 'pending', generation = i.generation + 1, dispatch = i.dispatch + 1, due_at = now(), claimed_until = NULL,
	       attempts = 0, ambiguous_sends = 0, sent_at = NULL, expires_at = NULL, last_error = NULL, updated_at = now(), ` + forgetReminders + `
	  FROM old WHERE i.user_id = old.user_id
	RETURNING i.import_id, old.status AS old`

// ResendInvitation sends one user a fresh link. [ErrWrongState] for a user who
// has a password or is disabled.
func (s *Store) ResendInvitation(ctx context.Context, userID uuid.UUID, by AuditEntry) (err error) {
	defer translate(&err, "resend invitation of user %s", userID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := lockImportsOf(ctx, tx, oneUUID(userID)); err != nil {
			return err
		}
		var status roster.UserStatus
		if err := tx.GetContext(ctx, &status, `SELECT status FROM users WHERE id = $1 FOR UPDATE`, userID); err != nil {
			return err
		}
		if status != roster.Invited {
			return ErrWrongState
		}
		if _, err := tx.ExecContext(ctx, noteReplaced+`i.user_id = $1`, userID); err != nil {
			return err
		}
		var moves []statusChange
		if err := tx.SelectContext(ctx, &moves, `
			WITH old AS (SELECT user_id, status FROM invitations WHERE user_id = $1 FOR UPDATE),
			fresh AS (`+refresh+`)
			SELECT COALESCE(import_id, '00000000-0000-0000-0000-000000000000') AS import_id, old, 'pending' AS new, 1 AS n FROM fresh`, userID); err != nil {
			return err
		}
		if len(moves) == 0 { // never to be invited until now
			if _, err := tx.ExecContext(ctx, `INSERT INTO invitations (user_id, status) VALUES ($1, 'pending')`, userID); err != nil {
				return err
			}
		}
		if err := audit(ctx, tx, by.on("invitation.resend", "user", userID)); err != nil {
			return err
		}
		return countMoves(ctx, tx, slices.DeleteFunc(moves, func(m statusChange) bool { return m.ImportID == uuid.Nil }))
	})
}

// ResendInvitations sends fresh links to all users of an import who have none
// that works and is on its way: held, pending, failed or expired ones, and those that
// bounced if bouncedToo. It returns how many. Those already sent and still good are
// left alone.
func (s *Store) ResendInvitations(ctx context.Context, importID uuid.UUID, bouncedToo bool, by AuditEntry) (n int64, err error) {
	defer translate(&err, "resend invitations of import %s", importID)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		n = 0
		var span struct {
			First *uuid.UUID `db:"first_user_id"`
			Last  *uuid.UUID `db:"last_user_id"`
		}
		if err := tx.GetContext(ctx, &span, `SELECT first_user_id, last_user_id FROM imports WHERE id = $1 FOR UPDATE`, importID); err != nil {
			return err
		}
		if err := audit(ctx, tx, by.on("import.resend", "import", importID)); err != nil {
			return err
		}
		if span.First == nil {
			return nil
		}
		if _, err := tx.ExecContext(ctx, noteReplaced+`i.user_id BETWEEN $2 AND $3 AND i.import_id = $1
			AND i.status IN ('held', 'pending', 'failed') AND ($4 OR `+notBounced+`)`, importID, span.First, span.Last, bouncedToo); err != nil {
			return err
		}
		var moves []statusChange
		if err := tx.SelectContext(ctx, &moves, `
			WITH old AS (
				SELECT user_id, status FROM invitations i
				 WHERE user_id BETWEEN $2 AND $3 AND import_id = $1
				   AND (status IN ('held', 'pending', 'failed') AND ($4 OR `+notBounced+`) OR status = 'sent' AND expires_at <= now())
				 ORDER BY user_id FOR UPDATE
			), fresh AS (`+refresh+`)
			SELECT import_id, old, 'pending' AS new, count(*) AS n FROM fresh GROUP BY import_id, old`,
			importID, span.First, span.Last, bouncedToo); err != nil {
			return err
		}
		for _, m := range moves {
			n += m.N
		}
		return countMoves(ctx, tx, moves)
	})
	return n, err
}

// RevokeInvitation withdraws a link that was not used. [ErrWrongState] if there
// is none to withdraw.
func (s *Store) RevokeInvitation(ctx context.Context, userID uuid.UUID, by AuditEntry) (err error) {
	defer translate(&err, "revoke invitation of user %s", userID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := lockImportsOf(ctx, tx, oneUUID(userID)); err != nil {
			return err
		}
		var r invitationRow
		err := tx.GetContext(ctx, &r, selectInvitation+` FOR UPDATE OF i`, userID)
		if errors.Is(err, sql.ErrNoRows) || err == nil && (r.Status == roster.InvitationAccepted || r.Status == roster.InvitationRevoked) {
			return ErrWrongState
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE invitations SET status = 'revoked', claimed_until = NULL, dispatch = dispatch + 1, updated_at = now()
			 WHERE user_id = $1`, userID); err != nil {
			return err
		}
		if err := audit(ctx, tx, by.on("invitation.revoke", "user", userID)); err != nil {
			return err
		}
		if r.ImportID == nil {
			return nil
		}
		return countMoves(ctx, tx, []statusChange{{*r.ImportID, r.Status, roster.InvitationRevoked, 1}})
	})
}

// InvitationCountsDrift compares the counters of an import with the invitations
// they count, for tests and for whoever doubts them.
func (s *Store) InvitationCountsDrift(ctx context.Context, importID uuid.UUID) (drift string, err error) {
	defer translate(&err, "compare invitation counts of import %s", importID)
	i, err := s.Import(ctx, importID)
	if err != nil {
		return "", err
	}
	var rows []struct {
		Status roster.InvitationStatus `db:"status"`
		N      int64                   `db:"n"`
	}
	if err := s.db.SelectContext(ctx, &rows, `
		SELECT CASE WHEN `+bounced+` THEN 'bounced' ELSE i.status END AS status, count(*) AS n FROM invitations i WHERE i.import_id = $1 GROUP BY 1`, importID); err != nil {
		return "", err
	}
	real := map[roster.InvitationStatus]int64{}
	for _, r := range rows {
		real[r.Status] = r.N
	}
	c := i.Invitations
	told := []int64{c.Held, c.Pending, c.Sent, c.Failed, c.Accepted, c.Bounced}
	var differences []string
	for k, status := range append(slices.Clone(counted), roster.InvitationBounced) {
		if told[k] != real[status] {
			differences = append(differences, fmt.Sprintf("%s: told %d, real %d", status, told[k], real[status]))
		}
	}
	return strings.Join(differences, "; "), nil
}
