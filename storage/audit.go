package storage

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// AuditEntry is one line of the audit log. Callers fill in who and from where; the
// method that does the thing fills in what.
type AuditEntry struct {
	Actor    roster.Actor
	Address  string // the caller's network address, "" if there is none
	Action   string
	Target   string
	TargetID uuid.UUID
	Detail   map[string]any // no secrets; before and after where it is a change
}

// on completes an entry with what was done to what.
func (e AuditEntry) on(action, target string, id uuid.UUID) AuditEntry {
	e.Action, e.Target, e.TargetID = action, target, id
	return e
}

// with adds a detail.
func (e AuditEntry) with(detail map[string]any) AuditEntry {
	e.Detail = detail
	return e
}

// audit writes the entry in the transaction of the deed itself: one does not
// exist without the other.
func audit(ctx context.Context, tx *sqlx.Tx, e AuditEntry) error {
	detail := "{}"
	if e.Detail != nil {
		raw, err := json.Marshal(e.Detail)
		if err != nil {
			return err
		}
		detail = string(raw)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	var target *uuid.UUID
	if e.TargetID != uuid.Nil {
		target = &e.TargetID
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO audit_log (id, actor_kind, actor_id, actor, action, target, target_id, detail, address)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		id, e.Actor.Kind, e.Actor.ID, e.Actor.Label, e.Action, e.Target, target, detail, e.Address)
	return err
}

// AuditDownload writes into the audit log that data of an import left: what is
// file, errors or results.
func (s *Store) AuditDownload(ctx context.Context, importID uuid.UUID, what string, by AuditEntry) (err error) {
	defer translate(&err, "audit a download of import %s", importID)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		return audit(ctx, tx, by.on("import.download", "import", importID).with(map[string]any{"what": what}))
	})
}
