-- +goose Up
ALTER TABLE imports
    ADD COLUMN notify text[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT imports_notify_bounded CHECK (cardinality(notify) <= 10);
COMMENT ON COLUMN imports.notify IS 'Addresses, as compared, that are told when the import ends; emptied then. Empty: those of the token that started it.';

ALTER TABLE api_tokens
    ADD COLUMN notify          text[] NOT NULL DEFAULT '{}',
    ADD COLUMN notify_failures boolean NOT NULL DEFAULT false,
    ADD COLUMN expected_every  integer,
    ADD COLUMN expected_from   timestamptz,
    ADD COLUMN missed_at       timestamptz,
    ADD CONSTRAINT api_tokens_notify_bounded CHECK (cardinality(notify) <= 10),
    ADD CONSTRAINT api_tokens_expected CHECK ((expected_every IS NULL) = (expected_from IS NULL) AND (expected_every IS NULL OR expected_every > 0)),
    ADD CONSTRAINT api_tokens_missed CHECK (missed_at IS NULL OR expected_every IS NOT NULL);
COMMENT ON COLUMN api_tokens.notify IS 'Addresses, as compared, that are told when an import of this token ends, unless the import names others.';
COMMENT ON COLUMN api_tokens.notify_failures IS 'They are told only of imports that failed, were canceled or have failed rows.';
COMMENT ON COLUMN api_tokens.expected_every IS 'Seconds within which another import of this token should complete; null: none is expected.';
COMMENT ON COLUMN api_tokens.expected_from IS 'When the last one completed, or the token was created.';
COMMENT ON COLUMN api_tokens.missed_at IS 'When administrators were told that the import did not come; null: it is not overdue, or not noticed yet.';

ALTER TABLE notices ALTER COLUMN user_id DROP NOT NULL;
ALTER TABLE notices DROP CONSTRAINT notices_kind_known;
ALTER TABLE notices ADD CONSTRAINT notices_kind_known
    CHECK (kind IN ('mail_server', 'second_factor', 'address_changed', 'import_held', 'import_ended', 'import_missed'));
ALTER TABLE notices ADD CONSTRAINT notices_recipient
    CHECK (user_id IS NOT NULL OR kind IN ('import_ended', 'import_missed'));
COMMENT ON COLUMN notices.user_id IS 'The recipient; null: an address that was named to be told about an import.';
COMMENT ON TABLE notices IS 'The outbox of mails about what has happened, one row for each mail: to administrators about the mail server, a second factor, an import that is held or one that did not come; to a user about their second factor; to both addresses of a user whose address was changed; to the addresses that are to be told about an import.';
