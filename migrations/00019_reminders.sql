-- +goose Up
ALTER TABLE invitations
    ADD COLUMN reminder_age integer NOT NULL DEFAULT 0,
    ADD COLUMN reminders    integer NOT NULL DEFAULT 0,
    ADD COLUMN reminded_at  timestamptz,
    ADD CONSTRAINT invitations_reminders_positive CHECK (reminder_age >= 0 AND reminders >= 0),
    ADD CONSTRAINT invitations_reminded CHECK ((reminders > 0) = (reminded_at IS NOT NULL));
COMMENT ON COLUMN invitations.reminder_age IS 'Age of the invitation, in seconds since sent_at, up to which its reminders have been queued or skipped: one of the ages that were configured then.';
COMMENT ON COLUMN invitations.reminders IS 'Reminders that were mailed for this generation.';
-- What the search for due reminders reads: one range for each age that is
-- configured. Imports never write to it, because they create invitations as held
-- or pending.
CREATE INDEX invitations_remindable ON invitations (reminder_age, sent_at) WHERE status = 'sent';

CREATE TABLE reminders (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id         uuid NOT NULL REFERENCES invitations (user_id) ON DELETE CASCADE,
    generation      integer NOT NULL,
    due_at          timestamptz NOT NULL DEFAULT now(),
    dispatch        integer NOT NULL DEFAULT 0,
    claimed_until   timestamptz,
    claimed_by      uuid,
    attempts        integer NOT NULL DEFAULT 0,
    ambiguous_sends integer NOT NULL DEFAULT 0,
    CONSTRAINT reminders_user UNIQUE (user_id)
);
CREATE INDEX reminders_due ON reminders (due_at);
COMMENT ON TABLE reminders IS 'The outbox of reminders, which carry the link of the invitation once more. A row is deleted when its mail was sent, was given up, or is pointless because the link no longer works. Its columns are those of invitations.';
COMMENT ON COLUMN reminders.generation IS 'Of the invitation; a reminder of an older one is not sent.';

CREATE UNLOGGED TABLE reminder_handoffs (
    reminder_id uuid PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE reminder_handoffs IS 'As invitation_handoffs, for reminders.';

COMMENT ON TABLE replaced_invitations IS 'Reminders of the last hour, and invitations that were mailed in it and have been removed or replaced since: they count for the address, even if another user has it now.';

ALTER TABLE imports
    ADD COLUMN invites_reminders bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT imports_invites_reminders_positive CHECK (invites_reminders >= 0);
COMMENT ON COLUMN imports.invites_reminders IS 'Reminders mailed to users of this import; never goes back.';

-- +goose StatementBegin
CREATE FUNCTION imports_bump_reminders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    PERFORM pg_notify('rollcall_imports', NEW.id::text);
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER imports_bump_reminders BEFORE UPDATE OF invites_reminders ON imports FOR EACH ROW EXECUTE FUNCTION imports_bump_reminders();
COMMENT ON FUNCTION imports_bump_reminders IS 'Does for reminders what imports_bump_revision does for everything else.';
