package storage

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/apitypes"
	"rollcall/roster"
)

// maxChangesPerDelivery is how many changes one delivery has.
const maxChangesPerDelivery = 100

// DisableReason is why changes of users are no longer sent to a webhook.
type DisableReason string

// The reasons. A webhook that was failing or gone is enabled again when the delivery
// that failed is redelivered with success; the others have to be registered anew.
const (
	DisabledFailing   DisableReason = "failing"   // a delivery has failed for a day
	DisabledGone      DisableReason = "gone"      // the receiver answered 410
	DisabledForbidden DisableReason = "forbidden" // the owner may not read users any more
	DisabledExpired   DisableReason = "expired"   // what comes next is no longer kept
)

// DisabledWebhook is a webhook that was disabled just now.
type DisabledWebhook struct {
	ID     uuid.UUID
	Reason DisableReason
}

// follower is a webhook that changes are sent to.
type follower struct {
	ID        uuid.UUID        `db:"id"`
	ActorKind roster.ActorKind `db:"actor_kind"`
	ActorID   uuid.UUID        `db:"actor_id"`
	URL       string           `db:"url"`
	After     string           `db:"changes_after"`
}

// followersAtOnce bounds how many webhooks one planning deals with.
const followersAtOnce = 50

// PlanChangeDeliveries writes the next delivery of each webhook that follows changes
// of users, has not been told all, and has none on its way: one at a time, so that
// they arrive in order. It returns webhooks that were disabled instead, since their
// owner may not read users any more or what comes next is lost.
func (s *Store) PlanChangeDeliveries(ctx context.Context) (disabled []DisabledWebhook, err error) {
	defer translate(&err, "plan deliveries of changes")
	var followed bool
	if err := s.db.GetContext(ctx, &followed, `
		SELECT EXISTS (SELECT FROM webhooks WHERE changes_after IS NOT NULL AND disabled_at IS NULL)`); err != nil || !followed {
		return nil, err
	}
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		disabled = nil
		end, err := lastChange(ctx, tx)
		if err != nil {
			return err
		}
		var behind []follower
		if err := tx.SelectContext(ctx, &behind, `
			SELECT id, actor_kind, actor_id, url, changes_after FROM webhooks w
			 WHERE changes_after IS NOT NULL AND changes_after <> $1 AND disabled_at IS NULL
			   AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.status = 'pending' AND d.changes_after IS NOT NULL)
			 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED`, end.String(), followersAtOnce); err != nil {
			return err
		}
		for _, w := range behind {
			reason, err := planChangeDelivery(ctx, tx, w)
			if err != nil {
				return err
			}
			if reason != "" {
				disabled = append(disabled, DisabledWebhook{w.ID, reason})
			}
		}
		return nil
	})
	return disabled, err
}

// planChangeDelivery writes the next delivery of a webhook that is locked, or
// disables it for the reason it returns.
func planChangeDelivery(ctx context.Context, tx *sqlx.Tx, w follower) (DisableReason, error) {
	var busy bool // asked again under the lock
	if err := tx.GetContext(ctx, &busy, `
		SELECT EXISTS (SELECT FROM webhook_deliveries WHERE webhook_id = $1 AND status = 'pending' AND changes_after IS NOT NULL)`, w.ID); err != nil || busy {
		return "", err
	}
	rows, next, err := changesFor(ctx, tx, w)
	if reason := disableReason(err); reason != "" {
		return reason, disableWebhook(ctx, tx, w.ID, reason)
	}
	if err != nil || len(rows) == 0 {
		return "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO webhook_deliveries (id, webhook_id, event, changes_after, changes_next) VALUES ($1, $2, $3, $4, $5)`,
		id, w.ID, apitypes.EventUsersChanged, w.After, next.String())
	return "", err
}

// changesFor reads what comes next for a webhook. [ErrForbidden] if its owner may
// not read users at this moment.
func changesFor(ctx context.Context, tx *sqlx.Tx, w follower) ([]changeRow, roster.ChangeCursor, error) {
	may, err := canGrantAdmin(ctx, tx, roster.Actor{Kind: w.ActorKind, ID: w.ActorID}, AdminScopes())
	if err != nil {
		return nil, roster.ChangeCursor{}, err
	}
	if !may {
		return nil, roster.ChangeCursor{}, ErrForbidden
	}
	after, err := roster.ParseChangeCursor(w.After)
	if err != nil {
		return nil, after, err
	}
	return readChanges(ctx, tx, &after, maxChangesPerDelivery)
}

// disableReason is the reason that an error of changesFor is, "" for other errors.
func disableReason(err error) DisableReason {
	switch {
	case errors.Is(err, ErrForbidden):
		return DisabledForbidden
	case errors.Is(err, ErrChangesExpired):
		return DisabledExpired
	}
	return ""
}

// DeliveredChanges reads what a claimed delivery of changes has to tell: the same
// entries at every attempt, with the users as they are. [ErrForbidden] and
// [ErrChangesExpired] if it must not, or cannot, be sent any more.
func (s *Store) DeliveredChanges(ctx context.Context, d DueDelivery) (entries []roster.ChangeEntry, next roster.ChangeCursor, err error) {
	defer translate(&err, "read changes of delivery %s", d.ID)
	var rows []changeRow
	if next, err = roster.ParseChangeCursor(d.ChangesNext); err != nil {
		return nil, next, err
	}
	if err := s.transact(ctx, func(tx *sqlx.Tx) error {
		w := follower{After: d.ChangesAfter}
		if err := tx.GetContext(ctx, &w, `
			SELECT id, actor_kind, actor_id, url, $2::text AS changes_after FROM webhooks WHERE id = $1`, d.WebhookID, d.ChangesAfter); err != nil {
			return err
		}
		rows, _, err = changesFor(ctx, tx, w)
		return err
	}); err != nil {
		return nil, next, err
	}
	for i, r := range rows { // there may be more by now
		if r.Position > next.Position || r.Position == next.Position && r.Offset > next.Offset {
			rows = rows[:i]
			break
		}
	}
	entries, err = s.withUsers(ctx, rows)
	return entries, next, err
}

// settleChanges moves the cursor of a webhook past changes that were delivered, and
// enables it if it was failing; or it disables the webhook over changes that could
// not be delivered. Deliveries that were repeated on request, and are not what comes
// next, do neither.
func settleChanges(ctx context.Context, tx *sqlx.Tx, d settledDelivery, reason DisableReason) (disabled bool, err error) {
	if d.Status == DeliveryPending || d.ChangesAfter == nil {
		return false, nil
	}
	if d.Status == DeliveryDelivered {
		next, err := roster.ParseChangeCursor(*d.ChangesNext)
		if err != nil {
			return false, err
		}
		_, err = tx.ExecContext(ctx, `
			UPDATE webhooks
			   SET changes_after = $3, changes_position = $4,
			       disabled_at = CASE WHEN disabled_reason NOT IN ('failing', 'gone') THEN disabled_at END,
			       disabled_reason = CASE WHEN disabled_reason NOT IN ('failing', 'gone') THEN disabled_reason END
			 WHERE id = $1 AND changes_after = $2`, d.WebhookID, d.ChangesAfter, d.ChangesNext, next.Position)
		return false, err
	}
	var current bool
	if err := tx.GetContext(ctx, &current, `
		SELECT EXISTS (SELECT FROM webhooks WHERE id = $1 AND changes_after = $2 AND disabled_at IS NULL)`, d.WebhookID, d.ChangesAfter); err != nil || !current {
		return false, err
	}
	return true, disableWebhook(ctx, tx, d.WebhookID, reason)
}

// disableWebhook ends the sending of changes to a webhook.
func disableWebhook(ctx context.Context, tx *sqlx.Tx, id uuid.UUID, reason DisableReason) error {
	var url string
	if err := tx.GetContext(ctx, &url, `
		UPDATE webhooks SET disabled_at = now(), disabled_reason = $2 WHERE id = $1 RETURNING url`, id, reason); err != nil {
		return err
	}
	by := AuditEntry{Actor: roster.Actor{Kind: roster.ActorSystem, Label: "Rollcall"}}
	return audit(ctx, tx, by.on("webhook.disable", "webhook", id).with(map[string]any{"url": auditURL(url), "reason": reason}))
}

// DisabledWebhooks lists webhooks that changes are no longer sent to, the last
// disabled first, at most limit. What their URLs may hold as secrets is left out.
func (s *Store) DisabledWebhooks(ctx context.Context, limit int) (_ []*Webhook, err error) {
	defer translate(&err, "list disabled webhooks")
	var rows []webhookRow
	if err := s.db.SelectContext(ctx, &rows, `SELECT `+webhookColumns+` FROM webhooks WHERE disabled_at IS NOT NULL ORDER BY disabled_at DESC, id LIMIT $1`, limit); err != nil {
		return nil, err
	}
	webhooks := make([]*Webhook, len(rows))
	for i, r := range rows {
		webhooks[i] = r.asWebhook()
		webhooks[i].URL = auditURL(r.URL)
	}
	return webhooks, nil
}

// WebhookLag is how far the sending of changes is behind.
type WebhookLag struct {
	// Oldest is the age of the oldest change that a webhook was not told; 0: all are.
	Oldest time.Duration
	// Disabled is how many webhooks changes are no longer sent to.
	Disabled int64
}

const selectWebhookLag = `
	SELECT COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(f.at) FILTER (WHERE w.disabled_at IS NULL)), 0)::float8 AS age,
	       count(*) FILTER (WHERE w.disabled_at IS NOT NULL) AS disabled
	  FROM webhooks w
	  LEFT JOIN LATERAL (SELECT c.at FROM user_changes c WHERE c.position > w.changes_position ORDER BY c.position LIMIT 1) f ON true
	 WHERE w.changes_after IS NOT NULL`
