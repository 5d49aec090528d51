package storage

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// PersonalData is everything that is kept about one person, for the person.
type PersonalData struct {
	User       PersonalDataUser         `json:"user"`
	Sessions   []PersonalDataSession    `json:"sessions"`
	Did        []PersonalDataAuditEntry `json:"did"`                     // by the person, newest first
	Underwent  []PersonalDataAuditEntry `json:"underwent"`               // done to the account by others; who they are is theirs
	Imports    []PersonalDataImport     `json:"imports"`                 // started by the person
	FailedRows []PersonalDataRow        `json:"refused_rows"`            // rows of files that name the person's address
	ResetAt    *time.Time               `json:"password_reset_asked_at"` // when a new password was last asked for, if it is still known
	Factor     *time.Time               `json:"second_factor_since"`     // when the second factor was set up; nil: there is none
	Keys       []PersonalDataKey        `json:"external_ids"`            // by which other systems know the person
	Updates    []PersonalDataUpdate     `json:"changed_by_imports"`      // with the values before, while they are kept
	Missing    []uuid.UUID              `json:"missing_from_imports"`    // full rosters that the person is not in
	Waiting    []PersonalDataWaiting    `json:"waiting_rows"`            // rows about the person that wait for others
	Edits      []PersonalDataEdit       `json:"edited_rows"`             // rows that were given the person's address before they were imported
	Notices    []PersonalDataNotice     `json:"queued_notices"`          // mails to the person that are still to be sent
}

// PersonalDataKey is the person's key in another system.
type PersonalDataKey struct {
	Source     string `db:"source" json:"source"`
	ExternalID string `db:"external_id" json:"external_id"`
}

// PersonalDataUpdate is a change that an import made to the account.
type PersonalDataUpdate struct {
	ImportID uuid.UUID        `db:"import_id" json:"import_id"`
	Row      *int64           `db:"row" json:"row"`       // nil: no row, the person was missing
	Before   *json.RawMessage `db:"before" json:"before"` // nil after retention
}

// PersonalDataWaiting is a row whose address is still another user's.
type PersonalDataWaiting struct {
	ImportID uuid.UUID `db:"import_id" json:"import_id"`
	Row      int64     `db:"row" json:"row"`
	Email    string    `db:"email" json:"email"`
}

// PersonalDataEdit is a row of an import whose cells were changed after the upload.
type PersonalDataEdit struct {
	ImportID uuid.UUID       `db:"import_id" json:"import_id"`
	Row      int64           `db:"row" json:"row"`
	Cells    json.RawMessage `db:"cells" json:"cells"`
}

// PersonalDataNotice is a mail that is still to be sent.
type PersonalDataNotice struct {
	Kind      string    `db:"kind" json:"kind"`
	Email     string    `db:"email" json:"email"`
	CreatedAt time.Time `db:"created_at" json:"created_at"`
}

// PersonalDataUser is the account.
type PersonalDataUser struct {
	ID           uuid.UUID       `db:"id" json:"id"`
	Email        string          `db:"email" json:"email"`
	Name         string          `db:"name" json:"name"`
	Role         string          `db:"role" json:"role"`
	Department   string          `db:"department" json:"department"`
	Attributes   json.RawMessage `db:"attributes" json:"attributes"`
	Locale       *string         `db:"locale" json:"locale"`
	Status       string          `db:"status" json:"status"`
	HasPassword  bool            `db:"has_password" json:"has_password"`
	ImportID     *uuid.UUID      `db:"import_id" json:"import_id"`
	CreatedAt    time.Time       `db:"created_at" json:"created_at"`
	UpdatedAt    time.Time       `db:"updated_at" json:"updated_at"`
	Invitation   *string         `db:"invitation" json:"invitation"`
	InvitedAt    *time.Time      `db:"sent_at" json:"invited_at"`
	LinkExpires  *time.Time      `db:"expires_at" json:"link_expires"`
	AcceptedAt   *time.Time      `db:"accepted_at" json:"accepted_at"`
	MailProblem  *string         `db:"last_error" json:"mail_problem"`
	MailAttempts *int            `db:"attempts" json:"mail_attempts"`
	Reminders    *int            `db:"reminders" json:"reminders"`
	RemindedAt   *time.Time      `db:"reminded_at" json:"reminded_at"`
}

// PersonalDataSession is a browser in which the person is signed in.
type PersonalDataSession struct {
	CreatedAt  time.Time `db:"created_at" json:"created_at"`
	LastSeenAt time.Time `db:"last_seen_at" json:"last_seen_at"`
	ExpiresAt  time.Time `db:"expires_at" json:"expires_at"`
	Address    string    `db:"address" json:"address"` // of the sign-in
	Browser    string    `db:"browser" json:"browser"` // in words
}

// PersonalDataAuditEntry is a line of the audit log.
type PersonalDataAuditEntry struct {
	At       time.Time       `db:"at" json:"at"`
	Action   string          `db:"action" json:"action"`
	Target   string          `db:"target" json:"target"`
	TargetID *uuid.UUID      `db:"target_id" json:"target_id"`
	Detail   json.RawMessage `db:"detail" json:"detail"`
	Address  string          `db:"address" json:"address"` // "" where it is somebody else's
}

// PersonalDataImport is an import the person started.
type PersonalDataImport struct {
	ID        uuid.UUID `db:"id" json:"id"`
	Filename  string    `db:"filename" json:"filename"`
	CreatedAt time.Time `db:"created_at" json:"created_at"`
}

// PersonalDataRow is a row of a file that was refused.
type PersonalDataRow struct {
	ImportID uuid.UUID `json:"import_id"`
	Row      int64     `json:"row"`
	Reason   string    `json:"reason"`
	Email    *string   `json:"email"`
	Value    *string   `json:"value"`
}

// personalDataAuditLimit bounds each list of a dossier.
const personalDataAuditLimit = 10_000

// PersonalData gathers what is kept about a person, but for the files of imports. It
// is read in one transaction, and that it was is an entry in the audit log.
func (s *Store) PersonalData(ctx context.Context, p DataSubject, by AuditEntry) (d PersonalData, err error) {
	defer translate(&err, "gather what is kept about user %s", p.UserID)
	tx, err := s.db.BeginTxx(ctx, readCommitted)
	if err != nil {
		return d, err
	}
	defer tx.Rollback()
	d = PersonalData{Sessions: []PersonalDataSession{}, Did: []PersonalDataAuditEntry{}, Underwent: []PersonalDataAuditEntry{}, Imports: []PersonalDataImport{}, FailedRows: []PersonalDataRow{},
		Keys: []PersonalDataKey{}, Updates: []PersonalDataUpdate{}, Missing: []uuid.UUID{}, Waiting: []PersonalDataWaiting{}, Edits: []PersonalDataEdit{}, Notices: []PersonalDataNotice{}}
	if err := tx.GetContext(ctx, &d.User, `
		SELECT u.id, u.email, u.name, u.role, u.department, COALESCE(u.attributes, '{}') AS attributes, u.locale, u.status, u.password_hash IS NOT NULL AS has_password, u.import_id,
		       u.created_at, u.updated_at, CASE WHEN `+bounced+` THEN 'bounced' ELSE i.status END AS invitation, i.sent_at, i.expires_at, i.accepted_at, i.last_error, i.attempts, i.reminders, i.reminded_at
		  FROM users u LEFT JOIN invitations i ON i.user_id = u.id WHERE u.id = $1`, p.UserID); err != nil {
		return d, err
	}
	for _, list := range []struct {
		into  any
		query string
		args  []any
	}{
		{&d.Sessions, `SELECT created_at, last_seen_at, expires_at, address, browser FROM sessions WHERE user_id = $1 ORDER BY created_at DESC LIMIT $2`, []any{p.UserID, personalDataAuditLimit}},
		{&d.Did, `SELECT at, action, target, target_id, address,
		                  CASE WHEN target = 'user' AND target_id <> $1
		                       THEN detail #- '{before,name}' #- '{after,name}' #- '{before,department}' #- '{after,department}' #- '{before,email}' #- '{after,email}' #- '{before,external_id}' #- '{after,external_id}' #- '{before,attributes}' #- '{after,attributes}' #- '{before,locale}' #- '{after,locale}'
		                       ELSE detail END AS detail
		             FROM audit_log
		           WHERE actor_kind = 'user' AND actor_id = $1 AND (target_id = $1 OR NOT detail ? 'import') -- the rows of imports would crowd out all else
		           ORDER BY id DESC LIMIT $2`, []any{p.UserID, personalDataAuditLimit}},
		{&d.Underwent, `SELECT at, action, target, target_id, detail, '' AS address FROM audit_log
		                 WHERE target_id = $1 AND NOT (actor_kind = 'user' AND actor_id = $1) ORDER BY id DESC LIMIT $2`, []any{p.UserID, personalDataAuditLimit}},
		{&d.Imports, `SELECT id, filename, created_at FROM imports WHERE actor_kind = 'user' AND actor_id = $1 ORDER BY id DESC LIMIT $2`, []any{p.UserID, personalDataAuditLimit}},
		{&d.Keys, `SELECT source, external_id FROM external_ids WHERE user_id = $1 ORDER BY source`, []any{p.UserID}},
		{&d.Updates, `SELECT import_id, CASE WHEN row > 0 THEN row END AS row, before FROM import_updates WHERE user_id = $1
		               ORDER BY import_id DESC, row LIMIT $2`, []any{p.UserID, personalDataAuditLimit}},
		{&d.Missing, `SELECT import_id FROM import_missing WHERE user_id = $1 ORDER BY import_id DESC LIMIT $2`, []any{p.UserID, personalDataAuditLimit}},
		{&d.Waiting, `SELECT d.import_id, d.row, COALESCE(d.fields->'User'->>'Email', '') AS email FROM import_deferred_rows d JOIN imports i ON i.id = d.import_id
		               WHERE ` + deferredAbout + ` ORDER BY d.import_id DESC, d.row LIMIT $3`, []any{p.UserID, p.EmailKey, personalDataAuditLimit}},
		{&d.Edits, `SELECT import_id, row, cells FROM import_edits WHERE email_key = $1 ORDER BY import_id DESC, row LIMIT $2`, []any{p.EmailKey, personalDataAuditLimit}},
		{&d.Notices, `SELECT kind, email, created_at FROM notices WHERE user_id = $1 OR user_id IS NULL AND email = $3 ORDER BY created_at DESC LIMIT $2`, []any{p.UserID, personalDataAuditLimit, p.EmailKey}},
	} {
		if err := tx.SelectContext(ctx, list.into, list.query, list.args...); err != nil {
			return d, err
		}
	}
	if d.FailedRows, err = rowErrorsOf(ctx, tx, p); err != nil {
		return d, err
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

// rowErrorsOf finds the failed rows with the person's address.
func rowErrorsOf(ctx context.Context, tx *sqlx.Tx, p DataSubject) ([]PersonalDataRow, error) {
	found := []PersonalDataRow{}
	err := eachErrorBlock(ctx, tx, uuid.Nil, func(id uuid.UUID, rows []roster.RowError) bool {
		for _, r := range rows {
			if email := strings.ToLower(r.Email); (email == strings.ToLower(p.Email) || email == p.EmailKey) && len(found) < personalDataAuditLimit {
				found = append(found, PersonalDataRow{id, r.Row, string(r.Reason()), &r.Email, &r.Problems[0].Value})
			}
		}
		return false
	})
	return found, err
}
