-- +goose Up
ALTER TABLE imports
    ADD COLUMN follows uuid REFERENCES imports (id),
    ADD CONSTRAINT imports_follows_another CHECK (follows <> id);
CREATE INDEX imports_follows ON imports (follows) WHERE follows IS NOT NULL;

COMMENT ON COLUMN imports.follows IS 'The import that this one goes on from: the same file read another way, or the mended error report; null: a file of its own.';
