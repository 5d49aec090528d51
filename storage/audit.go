package storage

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// Entry is one line of the audit log. Callers fill in who and from where; the
// method that does the thing fills in what.
type Entry struct {
	Actor    roster.Actor
	Address  string // the caller's network address, "" if there is none
	Action   string
	Target   string
	TargetID uuid.UUID
	Detail   map[string]any // no secrets; before and after where it is a change
}

// on completes an entry with what was done to what.
func (e Entry) on(action, target string, id uuid.UUID) Entry {
	e.Action, e.Target, e.TargetID = action, target, id
	return e
}

// with adds a detail.
func (e Entry) with(detail map[string]any) Entry {
	e.Detail = detail
	return e
}

// audit writes the entry in the transaction of the deed itself: one does not
// exist without the other.
func audit(ctx context.Context, tx *sqlx.Tx, e Entry) error {
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
