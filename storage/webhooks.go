package storage

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// MaxWebhooks is how many webhooks one caller may have.
const MaxWebhooks = 100

// ErrTooMany: the caller has as many of these as one may have.
var ErrTooMany = errors.New("too many")

// rotationOverlap is how long the secret before a rotation signs as well.
const rotationOverlap = 24 * time.Hour

// Webhook is where a caller wants to be told of the ends of its imports.
type Webhook struct {
	ID            uuid.UUID
	Owner         roster.Actor
	URL           string
	CreatedAt     time.Time
	PreviousUntil *time.Time // the secret before the last rotation signs until then; nil: there is none
}

type webhookRow struct {
	ID            uuid.UUID        `db:"id"`
	ActorKind     roster.ActorKind `db:"actor_kind"`
	ActorID       uuid.UUID        `db:"actor_id"`
	Actor         string           `db:"actor"`
	URL           string           `db:"url"`
	CreatedAt     time.Time        `db:"created_at"`
	PreviousUntil *time.Time       `db:"previous_until"`
}

const webhookColumns = `id, actor_kind, actor_id, actor, url, created_at,
	CASE WHEN previous_until > now() THEN previous_until END AS previous_until`

func (r webhookRow) asWebhook() *Webhook {
	return &Webhook{r.ID, roster.Actor{Kind: r.ActorKind, ID: r.ActorID, Label: r.Actor}, r.URL, r.CreatedAt, r.PreviousUntil}
}

// Sealing returns a fresh secret for a webhook, sealed. It is called inside a
// transaction and may be called again if that has to be begun anew.
type Sealing func(id uuid.UUID) string

// CreateWebhook registers a URL for the caller. [ErrAlreadyExists] if the caller
// has it already, [ErrTooMany] beyond [MaxWebhooks].
func (s *Store) CreateWebhook(ctx context.Context, url string, seal Sealing, by Entry) (w *Webhook, err error) {
	defer translate(&err, "create webhook")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if w, err = insertWebhook(ctx, tx, url, seal, by); err != nil {
			return err
		}
		if w == nil {
			return ErrAlreadyExists
		}
		return nil
	})
	return w, err
}

// insertWebhook registers a URL for the caller; nil if the caller has it.
func insertWebhook(ctx context.Context, tx *sqlx.Tx, url string, seal Sealing, by Entry) (*Webhook, error) {
	var has struct {
		This bool `db:"this"`
		All  int  `db:"total"`
	}
	count := func() error {
		return tx.GetContext(ctx, &has, `
			SELECT COALESCE(bool_or(url = $3), false) AS this, count(*) AS total FROM webhooks WHERE actor_kind = $1 AND actor_id = $2`,
			by.Actor.Kind, by.Actor.ID, url)
	}
	if err := count(); err != nil || has.This {
		return nil, err
	}
	// One registration of a caller at a time: otherwise two could each be the
	// hundredth, or wait for each other's.
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('webhooks ' || $1, 0))`, by.Actor.Key()); err != nil {
		return nil, err
	}
	if err := count(); err != nil || has.This {
		return nil, err
	}
	if has.All >= MaxWebhooks {
		return nil, ErrTooMany
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var r webhookRow
	if err := tx.GetContext(ctx, &r, `
		INSERT INTO webhooks (id, actor_kind, actor_id, actor, url, secret) VALUES ($1, $2, $3, $4, $5, $6)
		RETURNING `+webhookColumns, id, by.Actor.Kind, by.Actor.ID, by.Actor.Label, url, seal(id)); err != nil {
		return nil, err
	}
	return r.asWebhook(), audit(ctx, tx, by.on("webhook.create", "webhook", id))
}

// Webhooks lists webhooks, oldest first: those of one caller, or, if owner is
// nil, all. After is the last id of the page before; zero: from the first.
func (s *Store) Webhooks(ctx context.Context, owner *roster.Actor, after uuid.UUID, limit int) (_ []*Webhook, err error) {
	defer translate(&err, "list webhooks")
	var where conditions
	where.add("id > ?", after)
	if owner != nil {
		where.add("actor_kind = ?", owner.Kind)
		where.add("actor_id = ?", owner.ID)
	}
	var rows []webhookRow
	query := `SELECT ` + webhookColumns + ` FROM webhooks ` + where.sql() + ` ORDER BY id LIMIT ` + where.arg(limit)
	if err := s.db.SelectContext(ctx, &rows, query, where.args...); err != nil {
		return nil, err
	}
	webhooks := make([]*Webhook, len(rows))
	for i, r := range rows {
		webhooks[i] = r.asWebhook()
	}
	return webhooks, nil
}

// Webhook reads one webhook. [ErrNotFound] if there is none.
func (s *Store) Webhook(ctx context.Context, id uuid.UUID) (_ *Webhook, err error) {
	defer translate(&err, "read webhook %s", id)
	var r webhookRow
	if err := s.db.GetContext(ctx, &r, `SELECT `+webhookColumns+` FROM webhooks WHERE id = $1`, id); err != nil {
		return nil, err
	}
	return r.asWebhook(), nil
}

// RotateWebhook gives a webhook a fresh secret. The one before signs as well for
// a day, so that the receiver has time to learn the new one; one before that no
// longer does.
func (s *Store) RotateWebhook(ctx context.Context, id uuid.UUID, seal Sealing, by Entry) (_ *Webhook, err error) {
	defer translate(&err, "rotate secret of webhook %s", id)
	var r webhookRow
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := tx.GetContext(ctx, &r, `
			UPDATE webhooks SET previous_secret = secret, previous_until = now() + make_interval(secs => $3), secret = $2
			 WHERE id = $1
			RETURNING `+webhookColumns, id, seal(id), seconds(rotationOverlap)); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("webhook.rotate", "webhook", id))
	})
	return r.asWebhook(), err
}

// DeleteWebhook removes a webhook, its log, and what was still to be delivered.
func (s *Store) DeleteWebhook(ctx context.Context, id uuid.UUID, by Entry) (err error) {
	defer translate(&err, "delete webhook %s", id)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM webhooks WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if err := affectedOne(r, sql.ErrNoRows); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("webhook.delete", "webhook", id))
	})
}

// SealedSecrets are the secrets of one webhook as they are kept.
type SealedSecrets struct {
	WebhookID uuid.UUID `db:"id"`
	Secret    string    `db:"secret"`
	Previous  *string   `db:"previous_secret"` // nil: none
}

// WebhookSecrets reads the secrets of all webhooks, a page at a time. After is
// the last id of the page before; zero: from the first.
func (s *Store) WebhookSecrets(ctx context.Context, after uuid.UUID, limit int) (all []SealedSecrets, err error) {
	defer translate(&err, "read secrets of webhooks")
	return all, s.db.SelectContext(ctx, &all, `
		SELECT id, secret, previous_secret FROM webhooks WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// ResealWebhook keeps the same secrets under another seal. It changes nothing
// if they are the same, or have been rotated since they were read.
func (s *Store) ResealWebhook(ctx context.Context, old, fresh SealedSecrets) (err error) {
	defer translate(&err, "reseal secrets of webhook %s", old.WebhookID)
	_, err = s.db.ExecContext(ctx, `
		UPDATE webhooks SET secret = $3, previous_secret = $5
		 WHERE id = $1 AND secret = $2 AND previous_secret IS NOT DISTINCT FROM $4
		   AND (secret, previous_secret) IS DISTINCT FROM ($3, $5::text)`,
		old.WebhookID, old.Secret, fresh.Secret, old.Previous, fresh.Previous)
	return err
}
