-- +goose Up
CREATE TABLE webhooks (
    id              uuid PRIMARY KEY,
    actor_kind      text NOT NULL,
    actor_id        uuid NOT NULL,
    actor           text NOT NULL,
    url             text NOT NULL,
    secret          text NOT NULL,
    previous_secret text,
    previous_until  timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhooks_url_unique UNIQUE (actor_kind, actor_id, url),
    CONSTRAINT webhooks_previous CHECK ((previous_secret IS NULL) = (previous_until IS NULL))
);
COMMENT ON TABLE webhooks IS 'Where a caller wants to be told that imports have ended; one row for each caller and URL.';
COMMENT ON COLUMN webhooks.secret IS 'Signs the deliveries. Encrypted with a key derived from ROLLCALL_SECRET.';
COMMENT ON COLUMN webhooks.previous_secret IS 'The secret before the last rotation; signs as well until previous_until.';

CREATE TABLE webhook_deliveries (
    id            uuid PRIMARY KEY,
    webhook_id    uuid NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    import_id     uuid NOT NULL,
    event         text NOT NULL,
    body          bytea NOT NULL,
    status        text NOT NULL DEFAULT 'pending',
    due_at        timestamptz NOT NULL DEFAULT now(),
    deadline      timestamptz NOT NULL DEFAULT now() + interval '1 day',
    claimed_until timestamptz,
    fence         bigint NOT NULL DEFAULT 0,
    attempt_count integer NOT NULL DEFAULT 0,
    attempt_log   jsonb NOT NULL DEFAULT '[]',
    created_at    timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    CONSTRAINT webhook_deliveries_status_known CHECK (status IN ('pending', 'delivered', 'failed')),
    CONSTRAINT webhook_deliveries_finished CHECK ((status = 'pending') = (finished_at IS NULL)),
    CONSTRAINT webhook_deliveries_claimed_while_pending CHECK (claimed_until IS NULL OR status = 'pending'),
    CONSTRAINT webhook_deliveries_attempt_log_bounded CHECK (jsonb_array_length(attempt_log) <= 50)
);
-- What the dispatcher looks for every second: due deliveries, and webhooks with a delivery in flight.
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_busy ON webhook_deliveries (webhook_id, due_at, id) WHERE status = 'pending';
-- The log of a webhook, newest first.
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (webhook_id, id);
-- What retention still has to delete.
CREATE INDEX webhook_deliveries_finished ON webhook_deliveries (finished_at) WHERE finished_at IS NOT NULL;

COMMENT ON TABLE webhook_deliveries IS 'The outbox of webhooks: written in the transaction that ends the import, so that one does not exist without the other.';
COMMENT ON COLUMN webhook_deliveries.body IS 'What is sent, byte for byte, at every attempt.';
COMMENT ON COLUMN webhook_deliveries.deadline IS 'A delivery that could not be made by then is failed.';
COMMENT ON COLUMN webhook_deliveries.fence IS 'Raised by every claim and by a redelivery: the outcome of an attempt counts only under its own.';
COMMENT ON COLUMN webhook_deliveries.attempt_count IS 'Attempts since it was written or last redelivered; the wait before the next grows with it.';
COMMENT ON COLUMN webhook_deliveries.attempt_log IS 'The last 50 attempts: when, answered with which status, failed in which way, in how many milliseconds.';
