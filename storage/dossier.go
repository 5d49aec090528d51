package storage

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Dossier is everything that is kept about one person, for the person.
type Dossier struct {
	User      DossierUser      `json:"user"`
	Sessions  []DossierSession `json:"sessions"`
	Did       []DossierEntry   `json:"did"`                     // by the person, newest first
	Underwent []DossierEntry   `json:"underwent"`               // done to the account by others; who they are is theirs
	Imports   []DossierImport  `json:"imports"`                 // started by the person
	Refused   []DossierRow     `json:"refused_rows"`            // rows of files that name the person's address
	ResetAt   *time.Time       `json:"password_reset_asked_at"` // when a new password was last asked for, if it is still known
	Factor    *time.Time       `json:"second_factor_since"`     // when the second factor was set up; nil: there is none
}

// DossierUser is the account.
type DossierUser struct {
	ID           uuid.UUID  `db:"id" json:"id"`
	Email        string     `db:"email" json:"email"`
	Name         string     `db:"name" json:"name"`
	Role         string     `db:"role" json:"role"`
	Department   string     `db:"department" json:"department"`
	Status       string     `db:"status" json:"status"`
	HasPassword  bool       `db:"has_password" json:"has_password"`
	ImportID     *uuid.UUID `db:"import_id" json:"import_id"`
	CreatedAt    time.Time  `db:"created_at" json:"created_at"`
	UpdatedAt    time.Time  `db:"updated_at" json:"updated_at"`
	Invitation   *string    `db:"invitation" json:"invitation"`
	InvitedAt    *time.Time `db:"sent_at" json:"invited_at"`
	LinkExpires  *time.Time `db:"expires_at" json:"link_expires"`
	AcceptedAt   *time.Time `db:"accepted_at" json:"accepted_at"`
	MailProblem  *string    `db:"last_error" json:"mail_problem"`
	MailAttempts *int       `db:"attempts" json:"mail_attempts"`
}

// DossierSession is a browser in which the person is signed in.
type DossierSession struct {
	CreatedAt  time.Time `db:"created_at" json:"created_at"`
	LastSeenAt time.Time `db:"last_seen_at" json:"last_seen_at"`
	ExpiresAt  time.Time `db:"expires_at" json:"expires_at"`
	Address    string    `db:"address" json:"address"` // of the sign-in
	Browser    string    `db:"browser" json:"browser"` // in words
}

// DossierEntry is a line of the audit log.
type DossierEntry struct {
	At       time.Time       `db:"at" json:"at"`
	Action   string          `db:"action" json:"action"`
	Target   string          `db:"target" json:"target"`
	TargetID *uuid.UUID      `db:"target_id" json:"target_id"`
	Detail   json.RawMessage `db:"detail" json:"detail"`
	Address  string          `db:"address" json:"address"` // "" where it is somebody else's
}

// DossierImport is an import the person started.
type DossierImport struct {
	ID        uuid.UUID `db:"id" json:"id"`
	Filename  string    `db:"filename" json:"filename"`
	CreatedAt time.Time `db:"created_at" json:"created_at"`
}

// DossierRow is a row of a file that was refused.
type DossierRow struct {
	ImportID uuid.UUID `db:"import_id" json:"import_id"`
	Row      int64     `db:"row" json:"row"`
	Reason   string    `db:"reason" json:"reason"`
	Email    *string   `db:"email" json:"email"`
	Value    *string   `db:"value" json:"value"`
}

// dossierLines bounds each list of a dossier.
const dossierLines = 10_000

// Dossier gathers what is kept about a person, but for the files of imports. It
// is read in one transaction, and that it was is an entry in the audit log.
func (s *Store) Dossier(ctx context.Context, p Person, by Entry) (d Dossier, err error) {
	defer translate(&err, "gather what is kept about user %s", p.UserID)
	tx, err := s.db.BeginTxx(ctx, nil)
	if err != nil {
		return d, err
	}
	defer tx.Rollback()
	d = Dossier{Sessions: []DossierSession{}, Did: []DossierEntry{}, Underwent: []DossierEntry{}, Imports: []DossierImport{}, Refused: []DossierRow{}}
	if err := tx.GetContext(ctx, &d.User, `
		SELECT u.id, u.email, u.name, u.role, u.department, u.status, u.password_hash IS NOT NULL AS has_password, u.import_id,
		       u.created_at, u.updated_at, i.status AS invitation, i.sent_at, i.expires_at, i.accepted_at, i.last_error, i.attempts
		  FROM users u LEFT JOIN invitations i ON i.user_id = u.id WHERE u.id = $1`, p.UserID); err != nil {
		return d, err
	}
	for _, list := range []struct {
		into  any
		query string
		args  []any
	}{
		{&d.Sessions, `SELECT created_at, last_seen_at, expires_at, address, browser FROM sessions WHERE user_id = $1 ORDER BY created_at DESC LIMIT $2`, []any{p.UserID, dossierLines}},
		{&d.Did, `SELECT at, action, target, target_id, address,
		                  CASE WHEN target = 'user' AND target_id <> $1
		                       THEN detail #- '{before,name}' #- '{after,name}' #- '{before,department}' #- '{after,department}' ELSE detail END AS detail
		             FROM audit_log
		           WHERE actor_kind = 'user' AND actor_id = $1 AND (target_id = $1 OR NOT detail ? 'import') -- the rows of imports would crowd out all else
		           ORDER BY id DESC LIMIT $2`, []any{p.UserID, dossierLines}},
		{&d.Underwent, `SELECT at, action, target, target_id, detail, '' AS address FROM audit_log
		                 WHERE target_id = $1 AND NOT (actor_kind = 'user' AND actor_id = $1) ORDER BY id DESC LIMIT $2`, []any{p.UserID, dossierLines}},
		{&d.Imports, `SELECT id, filename, created_at FROM imports WHERE actor_kind = 'user' AND actor_id = $1 ORDER BY id DESC LIMIT $2`, []any{p.UserID, dossierLines}},
		{&d.Refused, `SELECT import_id, row, reason, email, value FROM import_errors
		               WHERE lower(email) IN (lower($1), $2) ORDER BY import_id DESC, row LIMIT $3`, []any{p.Email, p.EmailKey, dossierLines}},
	} {
		if err := tx.SelectContext(ctx, list.into, list.query, list.args...); err != nil {
			return d, err
		}
	}
	if err := tx.GetContext(ctx, &d.ResetAt, `SELECT max(asked_at) FROM password_resets WHERE email_key = $1`, p.EmailKey); err != nil {
		return d, err
	}
	if err := tx.GetContext(ctx, &d.Factor, `SELECT max(confirmed_at) FROM second_factors WHERE user_id = $1`, p.UserID); err != nil {
		return d, err
	}
	if err := audit(ctx, tx, by.on("user.dossier", "user", p.UserID)); err != nil {
		return d, err
	}
	return d, tx.Commit()
}
