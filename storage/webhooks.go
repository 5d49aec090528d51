package storage

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"rollcall/apitypes"
	"rollcall/roster"
)

// MaxWebhooks is how many webhooks one caller may have.
const MaxWebhooks = 100

// ErrTooMany: the caller has as many of these as one may have.
var ErrTooMany = errors.New("too many")

// rotationOverlap is how long the secret before a rotation signs as well.
const rotationOverlap = 24 * time.Hour

// Webhook is where a caller wants to be told of the ends of its imports, or of
// changes of users.
type Webhook struct {
	ID            uuid.UUID
	Owner         roster.Actor
	URL           string
	Events        []string
	CreatedAt     time.Time
	PreviousUntil *time.Time // the secret before the last rotation signs until then; nil: there is none

	// Since when, and why, changes of users are not sent any more; nil and "": they
	// are, if Events has them.
	DisabledAt     *time.Time
	DisabledReason DisableReason
}

type webhookRow struct {
	ID            uuid.UUID        `db:"id"`
	ActorKind     roster.ActorKind `db:"actor_kind"`
	ActorID       uuid.UUID        `db:"actor_id"`
	Actor         string           `db:"actor"`
	URL           string           `db:"url"`
	Events        pq.StringArray   `db:"events"`
	CreatedAt     time.Time        `db:"created_at"`
	PreviousUntil *time.Time       `db:"previous_until"`
	DisabledAt    *time.Time       `db:"disabled_at"`
	Reason        DisableReason    `db:"disabled_reason"`
}

const webhookColumns = `id, actor_kind, actor_id, actor, url, events, created_at,
	disabled_at, COALESCE(disabled_reason, '') AS disabled_reason,
	CASE WHEN previous_until > now() THEN previous_until END AS previous_until`

func (r webhookRow) asWebhook() *Webhook {
	return &Webhook{
		ID: r.ID, Owner: roster.Actor{Kind: r.ActorKind, ID: r.ActorID, Label: r.Actor}, URL: r.URL, Events: r.Events,
		CreatedAt: r.CreatedAt, PreviousUntil: r.PreviousUntil, DisabledAt: r.DisabledAt, DisabledReason: r.Reason,
	}
}

// NewSealedSecret returns a fresh secret for a webhook, sealed. It is called inside a
// transaction and may be called again if that has to be begun anew.
type NewSealedSecret func(id uuid.UUID) string

// CreateWebhook registers a URL of the caller for events: changes of users from the
// next one on. [ErrAlreadyExists] if the caller has it already, [ErrTooMany] beyond
// [MaxWebhooks].
func (s *Store) CreateWebhook(ctx context.Context, url string, events []string, seal NewSealedSecret, by AuditEntry) (w *Webhook, err error) {
	defer translate(&err, "create webhook")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if w, err = insertWebhook(ctx, tx, url, events, seal, by); err != nil {
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
func insertWebhook(ctx context.Context, tx *sqlx.Tx, target string, events []string, seal NewSealedSecret, by AuditEntry) (*Webhook, error) {
	var has struct {
		This bool `db:"this"`
		All  int  `db:"total"`
	}
	count := func() error {
		return tx.GetContext(ctx, &has, `
			SELECT COALESCE(bool_or(url = $3), false) AS this, count(*) AS total FROM webhooks WHERE actor_kind = $1 AND actor_id = $2`,
			by.Actor.Kind, by.Actor.ID, target)
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
	var after *string
	var position *int64
	if slices.Contains(events, apitypes.EventUsersChanged) {
		end, err := lastChange(ctx, tx)
		if err != nil {
			return nil, err
		}
		after, position = new(end.String()), &end.Position
	}
	var r webhookRow
	if err := tx.GetContext(ctx, &r, `
		INSERT INTO webhooks (id, actor_kind, actor_id, actor, url, secret, events, changes_after, changes_position)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		RETURNING `+webhookColumns, id, by.Actor.Kind, by.Actor.ID, by.Actor.Label, target, seal(id), textArray(events), after, position); err != nil {
		return nil, err
	}
	return r.asWebhook(), audit(ctx, tx, by.on("webhook.create", "webhook", id).with(map[string]any{"url": auditURL(target), "events": events}))
}

// followImports has the caller's webhook for a URL told the ends of imports, if it
// was registered only for changes of users: an import has asked for that.
func followImports(ctx context.Context, tx *sqlx.Tx, target string, by roster.Actor) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE webhooks SET events = events || $4::text[]
		 WHERE actor_kind = $1 AND actor_id = $2 AND url = $3 AND NOT events && $4::text[]`, by.Kind, by.ID, target, textArray(apitypes.ImportEvents()))
	return err
}

// Webhooks lists webhooks, oldest first: those of one caller, or, if owner is
// nil, all. After is the last id of the page before; zero: from the first.
func (s *Store) Webhooks(ctx context.Context, owner *roster.Actor, after uuid.UUID, limit int) (_ []*Webhook, err error) {
	defer translate(&err, "list webhooks")
	var where whereBuilder
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
func (s *Store) RotateWebhook(ctx context.Context, id uuid.UUID, seal NewSealedSecret, by AuditEntry) (_ *Webhook, err error) {
	defer translate(&err, "rotate secret of webhook %s", id)
	var r webhookRow
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := tx.GetContext(ctx, &r, `
			UPDATE webhooks SET previous_secret = secret, previous_until = now() + make_interval(secs => $3), secret = $2
			 WHERE id = $1
			RETURNING `+webhookColumns, id, seal(id), seconds(rotationOverlap)); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("webhook.rotate", "webhook", id).with(map[string]any{"url": auditURL(r.URL)}))
	})
	return r.asWebhook(), err
}

// DeleteWebhook removes a webhook, its log, and what was still to be delivered.
func (s *Store) DeleteWebhook(ctx context.Context, id uuid.UUID, by AuditEntry) (err error) {
	defer translate(&err, "delete webhook %s", id)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		var gone string
		if err := tx.GetContext(ctx, &gone, `DELETE FROM webhooks WHERE id = $1 RETURNING url`, id); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("webhook.delete", "webhook", id).with(map[string]any{"url": auditURL(gone)}))
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

// ReencryptWebhook keeps the same secrets under another seal. It changes nothing
// if they are the same, or have been rotated since they were read.
func (s *Store) ReencryptWebhook(ctx context.Context, old, fresh SealedSecrets) (err error) {
	defer translate(&err, "reseal secrets of webhook %s", old.WebhookID)
	_, err = s.db.ExecContext(ctx, `
		UPDATE webhooks SET secret = $3, previous_secret = $5
		 WHERE id = $1 AND secret = $2 AND previous_secret IS NOT DISTINCT FROM $4
		   AND (secret, previous_secret) IS DISTINCT FROM ($3, $5::text)`,
		old.WebhookID, old.Secret, fresh.Secret, old.Previous, fresh.Previous)
	return err
}

// auditURL is a webhook's URL for the audit log: without user, query and fragment,
// which may hold secrets of the receiver.
func auditURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
