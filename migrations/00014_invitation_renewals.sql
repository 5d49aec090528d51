-- +goose Up
ALTER TABLE invitations ADD COLUMN renewed_at timestamptz;
COMMENT ON COLUMN invitations.renewed_at IS 'When the invited person last asked for a fresh link in place of an expired one; at most one an hour.';
