-- +goose Up
CREATE TABLE mail_refusals (
    user_id    uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    generation integer NOT NULL,
    reply      text NOT NULL,
    domain     text COLLATE "C" NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    cleared_at timestamptz
);
CREATE INDEX mail_refusals_open ON mail_refusals (at) WHERE cleared_at IS NULL;
CREATE INDEX mail_refusals_cleared ON mail_refusals (cleared_at) WHERE cleared_at IS NOT NULL;
COMMENT ON TABLE mail_refusals IS 'Recipients that the mail server has lately refused for good. If it refuses many and accepts none, the server is at fault and not they: then they are pending again, and sending pauses.';
COMMENT ON COLUMN mail_refusals.generation IS 'Of the invitation that was refused.';
COMMENT ON COLUMN mail_refusals.reply IS 'Reply code and enhanced status code, such as 550 5.7.1.';
COMMENT ON COLUMN mail_refusals.domain IS 'Domain of the address; refusals count if they are in several.';
COMMENT ON COLUMN mail_refusals.cleared_at IS 'When the server first accepted another mail after this refusal. It works, so the next refusal of the same recipient is final.';

ALTER TABLE mail_state
    ADD COLUMN configuration boolean NOT NULL DEFAULT false,
    ADD COLUMN slowed_rate   double precision,
    ADD COLUMN slowed_at     timestamptz,
    ADD CONSTRAINT mail_state_slowed CHECK ((slowed_rate IS NULL) = (slowed_at IS NULL) AND (slowed_rate IS NULL OR slowed_rate > 0));
COMMENT ON COLUMN mail_state.configuration IS 'The pause is because of something that only an administrator can fix.';
COMMENT ON COLUMN mail_state.slowed_rate IS 'Invitations a second over all workers after the mail server asked for fewer, as of slowed_at; doubles every five minutes. Null: it has not.';
