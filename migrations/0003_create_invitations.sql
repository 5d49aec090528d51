-- +goose Up
CREATE TABLE invitations (
    user_id       uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    import_id     uuid,
    status        text NOT NULL,
    generation    integer NOT NULL DEFAULT 1,
    due_at        timestamptz NOT NULL DEFAULT now(),
    dispatch      integer NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    attempts      integer NOT NULL DEFAULT 0,
    unknowns      integer NOT NULL DEFAULT 0,
    sent_at       timestamptz,
    expires_at    timestamptz,
    accepted_at   timestamptz,
    last_error    text,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT invitations_status_known CHECK (status IN ('held', 'pending', 'sent', 'failed', 'accepted', 'revoked')),
    CONSTRAINT invitations_sent CHECK (status <> 'sent' OR (sent_at IS NOT NULL AND expires_at IS NOT NULL)),
    CONSTRAINT invitations_accepted CHECK ((status = 'accepted') = (accepted_at IS NOT NULL)),
    CONSTRAINT invitations_claimed_while_pending CHECK (claimed_until IS NULL OR status = 'pending')
);
-- The dispatcher's question: what is due, oldest first.
CREATE INDEX invitations_due ON invitations (due_at) WHERE status = 'pending';

COMMENT ON TABLE invitations IS 'The outbox: who is to be asked to set a password. At most one row a user; sending afresh raises generation, which kills the older links. The link itself is derived from ROLLCALL_SECRET, user and generation, so no token is stored.';
COMMENT ON COLUMN invitations.due_at IS 'Not to be tried before. Dispatch moves it ahead, so a task lost in Redis comes due again by itself.';
COMMENT ON COLUMN invitations.dispatch IS 'Number of the last task for this invitation; part of the task''s id. A task with another number is out of date.';
COMMENT ON COLUMN invitations.claimed_until IS 'A worker is talking to the mail server until then, by this database''s clock.';
COMMENT ON COLUMN invitations.unknowns IS 'How often the connection was lost after the mail was handed over: it may have arrived.';

CREATE TABLE mail_state (
    only_row     boolean PRIMARY KEY DEFAULT true,
    paused_until timestamptz,
    pause_reason text NOT NULL DEFAULT '',
    pauses       integer NOT NULL DEFAULT 0,
    released_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT mail_state_only_row CHECK (only_row)
);
INSERT INTO mail_state DEFAULT VALUES;
COMMENT ON TABLE mail_state IS 'One row for all workers: is mail paused because the server is away or refuses our login, and until when mail was released under the rate limit.';
COMMENT ON COLUMN mail_state.pauses IS 'Pauses since the last mail that went out; the wait doubles with it.';

CREATE TABLE ticks (
    name text NOT NULL,
    tick timestamptz NOT NULL,
    PRIMARY KEY (name, tick)
);
COMMENT ON TABLE ticks IS 'Upkeep that is to happen once a period over all workers: who inserts the row does the work.';
