-- +goose Up
CREATE TABLE password_resets (
    email_key text COLLATE "C" PRIMARY KEY,
    asked_at  timestamptz NOT NULL DEFAULT now(),
    due_at    timestamptz DEFAULT now(),
    attempts  integer NOT NULL DEFAULT 0
);
-- What is still to be mailed, oldest first; nearly always empty.
CREATE INDEX password_resets_due ON password_resets (due_at) WHERE due_at IS NOT NULL;

COMMENT ON TABLE password_resets IS 'Who asked for a new password: the outbox of those mails. Addresses nobody has stand here too, so that asking takes the same time for all; they are dropped when their turn comes.';
COMMENT ON COLUMN password_resets.asked_at IS 'Asking again within minutes sends no second mail; rows are deleted after a day.';
COMMENT ON COLUMN password_resets.due_at IS 'Not to be tried before; null: dealt with. A claim moves it ahead, so that a mail whose sender died comes due again.';
