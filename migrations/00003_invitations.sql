-- +goose Up
CREATE TABLE invitations (
    user_id         uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    import_id       uuid,
    status          text NOT NULL,
    generation      integer NOT NULL DEFAULT 1,
    due_at          timestamptz NOT NULL DEFAULT now(),
    dispatch        integer NOT NULL DEFAULT 0,
    claimed_until   timestamptz,
    attempts        integer NOT NULL DEFAULT 0,
    ambiguous_sends integer NOT NULL DEFAULT 0,
    sent_at         timestamptz,
    expires_at      timestamptz,
    accepted_at     timestamptz,
    last_error      text,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT invitations_status_known CHECK (status IN ('held', 'pending', 'sent', 'failed', 'accepted', 'revoked')),
    CONSTRAINT invitations_sent CHECK (status <> 'sent' OR (sent_at IS NOT NULL AND expires_at IS NOT NULL)),
    CONSTRAINT invitations_accepted CHECK ((status = 'accepted') = (accepted_at IS NOT NULL)),
    CONSTRAINT invitations_claimed_while_pending CHECK (claimed_until IS NULL OR status = 'pending')
);
-- What the dispatcher looks for: due invitations, oldest first.
CREATE INDEX invitations_due ON invitations (due_at) WHERE status = 'pending';
-- The list of users finds these few among many. Imports never write to this
-- index, because they create invitations as held or pending.
CREATE INDEX invitations_failed_revoked ON invitations (user_id) WHERE status IN ('failed', 'revoked');
-- Invitations of users who were added by hand: few, and counted when asked for.
CREATE INDEX invitations_without_import ON invitations (status) WHERE import_id IS NULL;

COMMENT ON TABLE invitations IS 'The outbox of invitation mails, at most one row for each user. Sending again raises generation, which makes the older links invalid. The link is derived from ROLLCALL_SECRET, user and generation, so no token is stored.';
COMMENT ON COLUMN invitations.due_at IS 'Earliest next attempt. Dispatch moves it ahead, so a task lost in Redis comes due again by itself.';
COMMENT ON COLUMN invitations.dispatch IS 'Number of the last task for this invitation; part of the task''s id. A task with another number is out of date.';
COMMENT ON COLUMN invitations.claimed_until IS 'A worker is talking to the mail server until then, by this database''s clock.';
COMMENT ON COLUMN invitations.ambiguous_sends IS 'How often the connection was lost after the mail was handed over: it may have arrived.';

CREATE UNLOGGED TABLE invitation_handoffs (
    user_id    uuid NOT NULL,
    generation integer NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, generation)
);
COMMENT ON TABLE invitation_handoffs IS 'Invitations that the mail server has accepted, until their outcome is recorded: a few at a time. A worker that takes over from one that died in between finds them here and sends no second mail. Unlogged, because the record must not wait for the disk; PostgreSQL empties the table if it crashes itself, and then the workers, which are alive, record the outcomes they have.';

CREATE TABLE replaced_invitations (
    address bytea NOT NULL,
    sent_at timestamptz NOT NULL,
    CONSTRAINT replaced_invitations_address CHECK (octet_length(address) = 32)
);
CREATE INDEX replaced_invitations_address_sent ON replaced_invitations (address, sent_at);
COMMENT ON TABLE replaced_invitations IS 'Invitations that were mailed within the last hour and have been removed or replaced since: they still count for the address, even if another user has it now. Nearly always empty.';
COMMENT ON COLUMN replaced_invitations.address IS 'SHA-256 of the address as compared. Deleted after an hour, and with an erasure.';

CREATE TABLE mail_state (
    only_row     boolean PRIMARY KEY DEFAULT true,
    paused_until timestamptz,
    pause_reason text NOT NULL DEFAULT '',
    pauses       integer NOT NULL DEFAULT 0,
    released_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT mail_state_only_row CHECK (only_row)
);
INSERT INTO mail_state DEFAULT VALUES;
COMMENT ON TABLE mail_state IS 'One row for all workers: whether mail is paused because the server is away or refuses our login, and until when mail was released under the rate limit.';
COMMENT ON COLUMN mail_state.pauses IS 'Pauses since the last mail that was sent; the wait doubles with each.';
