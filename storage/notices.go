package storage

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// NoticeKind is what a notice is about.
type NoticeKind string

// The kinds of notices.
const (
	NoticeMailServer     NoticeKind = "mail_server"     // to administrators
	NoticeSecondFactor   NoticeKind = "second_factor"   // to its user and to administrators
	NoticeAddressChanged NoticeKind = "address_changed" // to both addresses of a user
	NoticeImportHeld     NoticeKind = "import_held"     // to administrators
	NoticeImportEnded    NoticeKind = "import_ended"    // to addresses of the import or of its token
	NoticeImportMissed   NoticeKind = "import_missed"   // to administrators and addresses of the token
)

// FactorEvent is what happened to a second factor.
type FactorEvent string

// What can happen to a second factor. Only the command line resets one.
const (
	FactorSet     FactorEvent = "set"
	FactorRemoved FactorEvent = "removed"
	FactorReset   FactorEvent = "reset"
)

// Notice is a mail about what has happened, claimed to be sent.
type Notice struct {
	ID       uuid.UUID
	Kind     NoticeKind
	To, Name string // the recipient
	Actor    string // who made the change; "" where the mail does not say so

	Held   HeldImport   // of NoticeImportHeld
	Ended  EndedImport  // of NoticeImportEnded
	Missed MissedImport // of NoticeImportMissed

	// Of NoticeSecondFactor.
	Factor  FactorEvent
	Account string // address of its user; "": erased since
	Own     bool   // the user is the recipient

	// Of NoticeMailServer.
	From   string // host before the change; "": that of the environment
	Host   string // host since; "": that of the environment
	Before *EmailSettings

	Attempts  int // this one included
	CreatedAt time.Time
	Now       time.Time // by the database's clock
}

// HeldImport is what a notice says about an import that is held.
type HeldImport struct {
	ImportID uuid.UUID `db:"id" json:"import"`
	Filename string    `db:"filename" json:"filename"`
	Disable  int64     `db:"plan_disable" json:"disable"`
	Limit    int64     `db:"disable_limit" json:"limit"`
}

// factorDetail is what a notice says about a change of a second factor.
type factorDetail struct {
	User   uuid.UUID   `json:"user"`
	Change FactorEvent `json:"change"`
}

// mailServerDetail is what a notice says about a change of the mail server.
type mailServerDetail struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// noticeSecondFactor has all active administrators, and the user if active, told
// of a change of a user's second factor.
func noticeSecondFactor(ctx context.Context, tx *sqlx.Tx, userID uuid.UUID, change FactorEvent, by AuditEntry) error {
	return noticeAdmins(ctx, tx, NoticeSecondFactor, userID, factorDetail{userID, change}, nil, by)
}

// noticeMailServer has all active administrators told that the mail settings
// change, unless mail goes out as before. nil: no settings.
func noticeMailServer(ctx context.Context, tx *sqlx.Tx, before, after *EmailSettings, by AuditEntry) error {
	was, is := EmailSettings{}, EmailSettings{}
	if before != nil {
		was = *before
	}
	if after != nil {
		is = *after
	}
	was.Rate, is.Rate = 0, 0
	is.UpdatedAt, is.UpdatedBy = was.UpdatedAt, was.UpdatedBy
	if was == is {
		return nil
	}
	return noticeAdmins(ctx, tx, NoticeMailServer, uuid.Nil, mailServerDetail{From: was.Host, To: is.Host}, before, by)
}

// noticeImportHeld has all active administrators told of an import that waits for
// approval.
func noticeImportHeld(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	var held HeldImport
	if err := tx.GetContext(ctx, &held, `SELECT id, filename, plan_disable, disable_limit FROM imports WHERE id = $1`, id); err != nil {
		return err
	}
	return noticeAdmins(ctx, tx, NoticeImportHeld, uuid.Nil, held, nil, AuditEntry{})
}

// noticeAdmins stores a notice for each active administrator, and for one other
// user if active. via is nil unless the mail server was changed.
func noticeAdmins(ctx context.Context, tx *sqlx.Tx, kind NoticeKind, also uuid.UUID, detail any, via *EmailSettings, by AuditEntry) error {
	text, err := jsonText(detail)
	if err != nil {
		return err
	}
	var server *string
	if via != nil {
		if server, err = jsonText(*via); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO notices (kind, user_id, email, name, actor_id, actor, detail, via)
		SELECT $1, id, email, name, NULLIF($3, '00000000-0000-0000-0000-000000000000'::uuid), $4, $5, $6
		  FROM users WHERE status = 'active' AND (role = 'admin' OR id = $2)`,
		kind, also, by.Actor.ID, by.Actor.Label, text, server)
	return err
}

// noticeAddressChanges has both addresses of each user told.
func noticeAddressChanges(ctx context.Context, tx *sqlx.Tx, moved []userUpdate) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO notices (kind, user_id, email, name)
		SELECT 'address_changed', m.user_id, a.email, m.name
		  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS m (user_id, name, old, new),
		       LATERAL (VALUES (m.old), (m.new)) AS a (email)`,
		uuids(moved, func(d *userUpdate) uuid.UUID { return d.user.ID }),
		texts(moved, func(d *userUpdate) string { return d.now.Name }),
		texts(moved, func(d *userUpdate) string { return d.user.Email }),
		texts(moved, func(d *userUpdate) string { return d.now.Email }))
	return err
}

// ClaimNotice takes the notice that has been due longest; it comes due again
// after lease unless finished. ErrNotFound if none is due.
func (s *Store) ClaimNotice(ctx context.Context, lease time.Duration) (n Notice, err error) {
	defer translate(&err, "claim a notice")
	var row struct {
		ID        uuid.UUID  `db:"id"`
		Kind      NoticeKind `db:"kind"`
		UserID    uuid.UUID  `db:"user_id"`
		Email     string     `db:"email"`
		Name      string     `db:"name"`
		Actor     string     `db:"actor"`
		Detail    []byte     `db:"detail"`
		Via       []byte     `db:"via"`
		Account   string     `db:"account"`
		Attempts  int        `db:"attempts"`
		CreatedAt time.Time  `db:"created_at"`
		Now       time.Time  `db:"now"`
	}
	if err := s.db.GetContext(ctx, &row, `
		UPDATE notices n SET due_at = now() + make_interval(secs => $1), attempts = attempts + 1
		 WHERE id = (SELECT id FROM notices WHERE due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING id, kind, user_id, email, name, actor, detail, via,
		          COALESCE((SELECT u.email FROM users u WHERE u.id = (n.detail->>'user')::uuid), '') AS account,
		          attempts, created_at, now() AS now`, seconds(lease)); err != nil {
		return n, err
	}
	var detail struct {
		mailServerDetail
		factorDetail
		HeldImport
		Ended  EndedImport  `json:"ended"`
		Missed MissedImport `json:"missed"`
	}
	if err := json.Unmarshal(row.Detail, &detail); err != nil {
		return n, err
	}
	n = Notice{
		ID: row.ID, Kind: row.Kind, To: row.Email, Name: row.Name, Actor: row.Actor, Held: detail.HeldImport, Ended: detail.Ended, Missed: detail.Missed,
		Factor: detail.Change, Account: row.Account, Own: detail.User == row.UserID, From: detail.From, Host: detail.To,
		Attempts: row.Attempts, CreatedAt: row.CreatedAt, Now: row.Now,
	}
	if row.Via != nil {
		n.Before = &EmailSettings{}
		return n, json.Unmarshal(row.Via, n.Before)
	}
	return n, nil
}

// FinishNotice ends a claimed notice: mailed, or given up.
func (s *Store) FinishNotice(ctx context.Context, id uuid.UUID) (err error) {
	defer translate(&err, "finish notice %s", id)
	_, err = s.db.ExecContext(ctx, `DELETE FROM notices WHERE id = $1`, id)
	return err
}

// PostponeNotice tries a claimed notice again after wait.
func (s *Store) PostponeNotice(ctx context.Context, id uuid.UUID, wait time.Duration) (err error) {
	defer translate(&err, "postpone notice %s", id)
	_, err = s.db.ExecContext(ctx, `UPDATE notices SET due_at = now() + make_interval(secs => $2) WHERE id = $1`, id, seconds(wait))
	return err
}
