package storage

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/apitypes"
)

// DeliveryStatus is how far a delivery has come.
type DeliveryStatus string

// The states of a delivery.
const (
	DeliveryPending   DeliveryStatus = "pending"   // to be sent, or to be tried again
	DeliveryDelivered DeliveryStatus = "delivered" // the receiver took it
	DeliveryFailed    DeliveryStatus = "failed"    // given up; it can be asked for again
)

// Delivery is one event on its way to one webhook.
type Delivery struct {
	ID         uuid.UUID
	ImportID   *uuid.UUID // nil: changes of users
	Event      string     // such as import.completed
	Status     DeliveryStatus
	DueAt      *time.Time // of the next attempt; nil unless pending
	CreatedAt  time.Time
	FinishedAt *time.Time
	Attempts   []Attempt // the last 50, oldest first
}

// Attempt is one attempt to deliver.
type Attempt struct {
	At      time.Time `json:"at"`
	Outcome string    `json:"outcome"` // ok, or how it failed, in one word
	Status  int       `json:"status"`  // of the answer; 0: there was none
	TookMS  int64     `json:"took_ms"`
}

type deliveryRow struct {
	ID         uuid.UUID      `db:"id"`
	ImportID   *uuid.UUID     `db:"import_id"`
	Event      string         `db:"event"`
	Status     DeliveryStatus `db:"status"`
	DueAt      *time.Time     `db:"due_at"`
	CreatedAt  time.Time      `db:"created_at"`
	FinishedAt *time.Time     `db:"finished_at"`
	Attempts   []byte         `db:"attempt_log"`
}

const deliveryColumns = `id, import_id, event, status, CASE WHEN status = 'pending' THEN due_at END AS due_at,
	created_at, finished_at, attempt_log`

func (r deliveryRow) asDelivery() (*Delivery, error) {
	d := &Delivery{
		ID: r.ID, ImportID: r.ImportID, Event: r.Event, Status: r.Status,
		DueAt: r.DueAt, CreatedAt: r.CreatedAt, FinishedAt: r.FinishedAt,
	}
	return d, json.Unmarshal(r.Attempts, &d.Attempts)
}

// insertDelivery writes the event of an import that has just ended into the
// outbox, in the transaction that ends it, if its request named a webhook and
// the webhook still exists.
func insertDelivery(ctx context.Context, tx *sqlx.Tx, id uuid.UUID) error {
	var r importRow
	err := tx.GetContext(ctx, &r, `SELECT `+importColumns+` FROM imports WHERE id = $1 AND webhook_url <> ''`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	i, err := r.asImport()
	if err != nil {
		return err
	}
	body, err := apitypes.EventBody(i)
	if err != nil {
		return err
	}
	delivery, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO webhook_deliveries (id, webhook_id, import_id, event, body)
		SELECT $1, id, $2, $3, $4 FROM webhooks WHERE actor_kind = $5 AND actor_id = $6 AND url = $7 AND $3::text = ANY (events)`,
		delivery, id, apitypes.EventType(i.Status), body, i.CreatedBy.Kind, i.CreatedBy.ID, i.Options.WebhookURL)
	return err
}

// Deliveries lists what was sent to a webhook, newest first. After is the last
// id of the page before; zero: from the newest.
func (s *Store) Deliveries(ctx context.Context, webhook, after uuid.UUID, limit int) (_ []*Delivery, err error) {
	defer translate(&err, "list deliveries of webhook %s", webhook)
	var where whereBuilder
	where.add("webhook_id = ?", webhook)
	if after != uuid.Nil {
		where.add("id < ?", after)
	}
	var rows []deliveryRow
	query := `SELECT ` + deliveryColumns + ` FROM webhook_deliveries ` + where.sql() + ` ORDER BY id DESC LIMIT ` + where.arg(limit)
	if err := s.db.SelectContext(ctx, &rows, query, where.args...); err != nil {
		return nil, err
	}
	deliveries := make([]*Delivery, len(rows))
	for i, r := range rows {
		if deliveries[i], err = r.asDelivery(); err != nil {
			return nil, err
		}
	}
	return deliveries, nil
}

// Redeliver makes a delivery due at once and gives it another day, whatever
// became of it before. It keeps its id, by which receivers tell repetitions.
func (s *Store) Redeliver(ctx context.Context, webhook, id uuid.UUID, by AuditEntry) (_ *Delivery, err error) {
	defer translate(&err, "redeliver %s", id)
	var r deliveryRow
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := tx.GetContext(ctx, &r, `
			UPDATE webhook_deliveries
			   SET status = 'pending', due_at = now(), deadline = now() + interval '1 day', attempt_count = 0,
			       fence = fence + 1, claimed_until = NULL, finished_at = NULL
			 WHERE id = $1 AND webhook_id = $2
			RETURNING `+deliveryColumns, id, webhook); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("webhook.redeliver", "delivery", id))
	})
	if err != nil {
		return nil, err
	}
	return r.asDelivery()
}

// DueDelivery is what is needed for one attempt.
type DueDelivery struct {
	ID             uuid.UUID  `db:"id"`
	WebhookID      uuid.UUID  `db:"webhook_id"`
	ImportID       *uuid.UUID `db:"import_id"` // nil: changes of users
	Fence          int64      `db:"fence"`
	Tries          int        `db:"attempt_count"` // this one included
	URL            string     `db:"url"`
	Body           []byte     `db:"body"`          // nil for changes: see [Store.DeliveredChanges]
	ChangesAfter   string     `db:"changes_after"` // "" for an import
	ChangesNext    string     `db:"changes_next"`
	Secret         string     `db:"secret"`          // sealed
	PreviousSecret *string    `db:"previous_secret"` // sealed; nil unless it still signs
}

// ClaimDeliveries takes due deliveries in hand for lease, at most limit, and of
// each webhook only the one that is longest due, while nobody is talking to it:
// a receiver that hangs keeps nobody waiting but itself.
func (s *Store) ClaimDeliveries(ctx context.Context, limit int, lease time.Duration) (due []DueDelivery, err error) {
	defer translate(&err, "claim deliveries")
	err = s.db.SelectContext(ctx, &due, `
		UPDATE webhook_deliveries d
		   SET claimed_until = clock_timestamp() + make_interval(secs => $2), due_at = clock_timestamp() + make_interval(secs => $2),
		       fence = d.fence + 1, attempt_count = d.attempt_count + 1
		  FROM webhooks w
		 WHERE w.id = d.webhook_id AND d.id IN (
		       SELECT n.id FROM webhook_deliveries n
		        WHERE n.status = 'pending' AND n.due_at <= clock_timestamp()
		          AND NOT EXISTS (SELECT FROM webhook_deliveries o
		                           WHERE o.webhook_id = n.webhook_id AND o.status = 'pending'
		                             AND (o.claimed_until > clock_timestamp() OR (o.due_at, o.id) < (n.due_at, n.id)))
		        ORDER BY n.due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		RETURNING d.id, d.webhook_id, d.import_id, d.fence, d.attempt_count, d.body, w.url, w.secret,
		          COALESCE(d.changes_after, '') AS changes_after, COALESCE(d.changes_next, '') AS changes_next,
		          CASE WHEN w.previous_until > now() THEN w.previous_secret END AS previous_secret`, limit, seconds(lease))
	return due, err
}

// DeliveryOutcome is how one attempt ended.
type DeliveryOutcome struct {
	ID      uuid.UUID
	Fence   int64
	Attempt Attempt        // At is filled in by the database
	Status  DeliveryStatus // pending: to be tried again after Wait, or given up if its day is over by then
	Wait    time.Duration
	// Disable is why a webhook that follows changes is disabled if this fails.
	Disable DisableReason
}

// settledDelivery is a delivery after an attempt.
type settledDelivery struct {
	Status       DeliveryStatus `db:"status"`
	WebhookID    uuid.UUID      `db:"webhook_id"`
	ChangesAfter *string        `db:"changes_after"`
	ChangesNext  *string        `db:"changes_next"`
}

// RecordDelivery settles an attempt and reports what has become of the delivery, and
// whether its webhook was disabled over it: one that follows changes gets none out
// of order, so it gets no more. [ErrClaimLost] if it has been claimed or asked for
// again since.
func (s *Store) RecordDelivery(ctx context.Context, o DeliveryOutcome) (now DeliveryStatus, disabled bool, err error) {
	defer translate(&err, "record attempt of delivery %s", o.ID)
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		d, err := settleAttempt(ctx, tx, o)
		if err != nil {
			return err
		}
		now = d.Status
		disabled, err = settleChanges(ctx, tx, d, cmp.Or(o.Disable, DisabledFailing))
		return err
	})
	return now, disabled, err
}

func settleAttempt(ctx context.Context, tx *sqlx.Tx, o DeliveryOutcome) (now settledDelivery, err error) {
	err = tx.GetContext(ctx, &now, `
		UPDATE webhook_deliveries d
		   SET status = v.status, claimed_until = NULL,
		       due_at = clock_timestamp() + make_interval(secs => $4),
		       finished_at = CASE WHEN v.status <> 'pending' THEN clock_timestamp() END,
		       attempt_log = CASE WHEN jsonb_array_length(d.attempt_log) >= 50 THEN d.attempt_log - 0 ELSE d.attempt_log END || v.attempt
		  FROM (SELECT id, CASE WHEN $3 = 'pending' AND deadline < clock_timestamp() + make_interval(secs => $4) THEN 'failed' ELSE $3 END AS status,
		               jsonb_build_object('at', clock_timestamp() - make_interval(secs => $7::float8 / 1000), 'outcome', $5::text, 'status', $6::int, 'took_ms', $7::bigint) AS attempt
		          FROM webhook_deliveries WHERE id = $1 AND fence = $2) v
		 WHERE d.id = v.id AND d.fence = $2
		RETURNING d.status, d.webhook_id, d.changes_after, d.changes_next`,
		o.ID, o.Fence, o.Status, seconds(o.Wait), o.Attempt.Outcome, o.Attempt.Status, o.Attempt.TookMS)
	if errors.Is(err, sql.ErrNoRows) {
		return now, ErrClaimLost
	}
	return now, err
}

// purgeDeliveryBatch is how many deliveries one transaction of a purge deletes.
const purgeDeliveryBatch = 1_000

// PurgeDeliveries takes one step of retention: it deletes deliveries that
// finished longer ago. done is true when none is left.
func (s *Store) PurgeDeliveries(ctx context.Context, retention time.Duration) (done bool, err error) {
	defer translate(&err, "purge deliveries")
	r, err := s.db.ExecContext(ctx, `
		DELETE FROM webhook_deliveries WHERE id IN (
		       SELECT id FROM webhook_deliveries WHERE finished_at <= now() - make_interval(secs => $1)
		        ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)`, seconds(retention), purgeDeliveryBatch)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n < purgeDeliveryBatch, err
}
