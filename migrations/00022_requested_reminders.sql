-- +goose Up
ALTER TABLE reminders ADD COLUMN requested boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN reminders.requested IS 'An administrator asked for it: it is sent even if no reminder ages are configured. Workers from before drop it in that case.';
