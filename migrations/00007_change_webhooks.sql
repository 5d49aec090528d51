-- +goose Up
ALTER TABLE webhooks
    ADD COLUMN events           text[] NOT NULL DEFAULT '{import.completed,import.failed,import.canceled,import.held}',
    ADD COLUMN changes_after    text,
    ADD COLUMN changes_position bigint,
    ADD COLUMN disabled_at      timestamptz,
    ADD COLUMN disabled_reason  text,
    ADD CONSTRAINT webhooks_events_known CHECK (cardinality(events) > 0
        AND events <@ ARRAY['import.completed', 'import.failed', 'import.canceled', 'import.held', 'users.changed']),
    ADD CONSTRAINT webhooks_changes CHECK (('users.changed' = ANY (events)) = (changes_after IS NOT NULL)
        AND (changes_after IS NULL) = (changes_position IS NULL)),
    ADD CONSTRAINT webhooks_disabled CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)
        AND (disabled_at IS NULL OR changes_after IS NOT NULL)),
    ADD CONSTRAINT webhooks_disabled_reason_known CHECK (disabled_reason IN ('failing', 'gone', 'forbidden', 'expired'));
CREATE INDEX webhooks_changes_followers ON webhooks (id) WHERE changes_after IS NOT NULL;

COMMENT ON COLUMN webhooks.changes_after IS 'Cursor in the feed of changes: everything before it was delivered. Null: changes are not sent.';
COMMENT ON COLUMN webhooks.changes_position IS 'The position in changes_after, to tell how far it is behind.';
COMMENT ON COLUMN webhooks.disabled_at IS 'Since when changes are no longer sent. Events of imports still are.';
COMMENT ON COLUMN webhooks.disabled_reason IS 'failing: a delivery failed for a day; gone: the receiver said so; forbidden: the owner may not read users any more; expired: the changes that come next are no longer kept.';

ALTER TABLE webhook_deliveries
    ALTER COLUMN import_id DROP NOT NULL,
    ALTER COLUMN body DROP NOT NULL,
    ADD COLUMN changes_after text,
    ADD COLUMN changes_next  text,
    ADD CONSTRAINT webhook_deliveries_subject CHECK ((import_id IS NOT NULL) = (body IS NOT NULL)
        AND (import_id IS NULL) = (changes_after IS NOT NULL) AND (changes_after IS NULL) = (changes_next IS NULL));
-- Whether changes are on their way to a webhook: one delivery at a time keeps their order.
CREATE INDEX webhook_deliveries_changes ON webhook_deliveries (webhook_id) WHERE status = 'pending' AND changes_after IS NOT NULL;

COMMENT ON COLUMN webhook_deliveries.body IS 'What is sent, byte for byte, at every attempt; null for changes of users, whose body is made of the feed at each attempt, so that nothing about a person is kept here.';
COMMENT ON COLUMN webhook_deliveries.changes_after IS 'Of changes of users: the cursor that they are behind, and in changes_next the one behind the last of them. Null for events of imports.';
COMMENT ON TABLE webhook_deliveries IS 'The outbox of webhooks. Events of imports are written in the transaction that ends the import, so that one does not exist without the other; changes of users by the worker that sends them, from the feed.';
