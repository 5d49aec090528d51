-- +goose Up
ALTER TABLE imports
    ADD COLUMN undo_after       uuid,
    ADD COLUMN undo_removed     bigint NOT NULL DEFAULT 0,
    ADD COLUMN undo_kept        bigint NOT NULL DEFAULT 0,
    ADD COLUMN undo_finished_at timestamptz,
    ADD CONSTRAINT imports_undone_after_end CHECK (undone_at IS NULL OR finished_at IS NOT NULL),
    ADD CONSTRAINT imports_undo_finished CHECK (undo_finished_at IS NULL OR undone_at IS NOT NULL);
-- The sweeper's question; nearly always empty.
CREATE INDEX imports_undoing ON imports (id) WHERE undone_at IS NOT NULL AND undo_finished_at IS NULL;

COMMENT ON COLUMN imports.undone_at IS 'When an undo was asked for; it goes on in batches, here or in the sweeper, until undo_finished_at.';
COMMENT ON COLUMN imports.undo_after IS 'Cursor of the undo: users up to this id are dealt with.';
COMMENT ON COLUMN imports.undo_kept IS 'Users the import created who stay, because they have accepted or been edited since.';
