package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// EndedImport is what a notice says about an import that has ended.
type EndedImport struct {
	ImportID  uuid.UUID     `json:"import"`
	Status    roster.Status `json:"status"`
	Failure   roster.Code   `json:"failure"` // of one that failed
	StartedAt time.Time     `json:"started_at"`
	Imported  int64         `json:"imported"`
	Updated   int64         `json:"updated"`
	Unchanged int64         `json:"unchanged"`
	Disabled  int64         `json:"disabled"`
	Failed    int64         `json:"failed"`
}

// MissedImport is what a notice says about an import that did not come.
type MissedImport struct {
	Token  string    `json:"token"` // its name
	Every  int64     `json:"every"` // seconds
	Since  time.Time `json:"since"`
	Source string    `json:"source"`
}

// announceEnd does what follows the end of an import, in the transaction that ends
// it: the event for its webhook, mails to those who want to be told, and the time
// from which the next import of its token is expected. Nobody is told of a dry run
// that was never confirmed.
func announceEnd(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	if _, err := tx.ExecContext(ctx, `
		WITH ended AS (
			SELECT i.id, i.status, i.actor_kind, i.actor_id,
			       CASE WHEN i.status = 'canceled' AND i.dry_run THEN '{}'
			            WHEN i.notify <> '{}' THEN i.notify
			            WHEN t.notify_failures AND i.status = 'completed' AND i.failed = 0 THEN '{}'
			            ELSE t.notify END AS notify,
			       jsonb_build_object('ended', jsonb_build_object('import', i.id, 'status', i.status, 'failure', COALESCE(i.failure->>'code', ''),
			           'started_at', i.created_at, 'imported', i.imported, 'updated', i.updated, 'unchanged', i.unchanged,
			           'disabled', i.disabled, 'failed', i.failed)) AS detail
			  FROM imports i LEFT JOIN api_tokens t ON i.actor_kind = 'token' AND t.id = i.actor_id
			 WHERE i.id = $1
		), told AS (
			INSERT INTO notices (kind, email, name, detail)
			SELECT 'import_ended', a.email, '', ended.detail FROM ended, unnest(ended.notify) AS a (email)
		), forgotten AS (
			UPDATE imports SET notify = '{}' WHERE id = $1 AND notify <> '{}'
		)
		UPDATE api_tokens t SET expected_from = now(), missed_at = NULL
		  FROM ended WHERE ended.status = 'completed' AND ended.actor_kind = 'token' AND t.id = ended.actor_id AND t.expected_every IS NOT NULL`, id); err != nil {
		return err
	}
	return insertDelivery(ctx, tx, id)
}

// SetNotify says of a dry run that waits to be confirmed whether an address is told
// when the import ends. [ErrWrongState] unless it waits.
func (s *Store) SetNotify(ctx context.Context, id uuid.UUID, email string, tell bool) (err error) {
	defer translate(&err, "choose who is told about import %s", id)
	r, err := s.db.ExecContext(ctx, `
		UPDATE imports SET notify = CASE WHEN $3 THEN (array_remove(notify, $2) || $2)[1:$4] ELSE array_remove(notify, $2) END
		 WHERE id = $1 AND status IN ('ready', 'held')`, id, email, tell, roster.MaxNotify)
	if err != nil {
		return err
	}
	return affectedOne(r, ErrWrongState)
}

// overdueToken is true of a token t whose import did not come. A token that expired
// or lost its owner is a likely reason.
const overdueToken = `(t.revoked_at IS NULL AND t.expected_from + make_interval(secs => t.expected_every) < now())`

// NoticeMissedImports has administrators and the addresses of a token told that an
// import did not come, once until one does. It returns how many tokens are so late
// from now on.
func (s *Store) NoticeMissedImports(ctx context.Context) (n int, err error) {
	defer translate(&err, "look for imports that did not come")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		var late []struct {
			ID     uuid.UUID `db:"id"`
			Name   string    `db:"name"`
			Source string    `db:"source"`
			Every  int64     `db:"expected_every"`
			Since  time.Time `db:"expected_from"`
		}
		if err := tx.SelectContext(ctx, &late, `
			UPDATE api_tokens t SET missed_at = now() WHERE t.missed_at IS NULL AND `+overdueToken+`
			RETURNING id, name, source, expected_every, expected_from`); err != nil {
			return err
		}
		n = len(late)
		for _, t := range late {
			detail := struct {
				Missed MissedImport `json:"missed"`
			}{MissedImport{Token: t.Name, Every: t.Every, Since: t.Since, Source: t.Source}}
			if err := noticeAdmins(ctx, tx, NoticeImportMissed, uuid.Nil, detail, nil, AuditEntry{}); err != nil {
				return err
			}
			text, err := jsonText(detail)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO notices (kind, email, name, detail)
				SELECT 'import_missed', a.email, '', $2 FROM api_tokens t, unnest(t.notify) AS a (email)
				 WHERE t.id = $1 AND NOT EXISTS (SELECT FROM users u WHERE u.email_key = a.email AND u.role = 'admin' AND u.status = 'active')`, t.ID, text); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
