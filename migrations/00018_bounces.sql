-- +goose Up
ALTER TABLE invitations ADD COLUMN bounced_generation integer;
COMMENT ON COLUMN invitations.bounced_generation IS 'The generation whose mail came back. While it is the present one and status is failed, the invitation is bounced. Programs from before see it as failed, and count it so.';

-- Counts the bounced invitations of an import, and finds those of all imports.
CREATE INDEX invitations_bounced ON invitations (import_id, user_id) WHERE status = 'failed' AND bounced_generation = generation;
