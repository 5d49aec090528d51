-- +goose Up
CREATE TABLE import_edits (
    import_id     uuid NOT NULL REFERENCES imports (id),
    row           bigint NOT NULL,
    cells         jsonb NOT NULL,
    whole         boolean NOT NULL,
    line          bigint NOT NULL,
    file_text     text NOT NULL,
    file_problems jsonb NOT NULL DEFAULT '[]',
    email_key     text COLLATE "C" NOT NULL,
    external_id   text NOT NULL DEFAULT '',
    PRIMARY KEY (import_id, row),
    CONSTRAINT import_edits_cells_object CHECK (jsonb_typeof(cells) = 'object'),
    CONSTRAINT import_edits_problems_array CHECK (jsonb_typeof(file_problems) = 'array')
);
COMMENT ON TABLE import_edits IS 'Rows of a checked import with cells that were changed after the upload, at most 1,000 an import: what is imported and reported is the file with these cells. Kept and deleted with the upload.';
COMMENT ON COLUMN import_edits.cells IS 'The changed cells: our column to the value.';
COMMENT ON COLUMN import_edits.whole IS 'The row could not be read in the file: cells that are not in cells are blank.';
COMMENT ON COLUMN import_edits.file_text IS 'The address as the file has it, or else the name: an erasure finds the row by that and its line.';
COMMENT ON COLUMN import_edits.file_problems IS 'Of a row that could not be read, why: its problems once the edit is undone.';
COMMENT ON COLUMN import_edits.email_key IS 'With external_id what the row is now known by; empty if it has none.';

CREATE TABLE import_row_keys (
    import_id uuid NOT NULL REFERENCES imports (id),
    first_row bigint NOT NULL,
    bucket    smallint NOT NULL,
    data      bytea NOT NULL,
    PRIMARY KEY (import_id, bucket, first_row)
);
ALTER TABLE import_row_keys ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE import_row_keys IS 'Which rows of a checked import may have an address or external_id: finds the rows that an edit concerns without reading the file. Deleted when the import begins or ends.';
COMMENT ON COLUMN import_row_keys.bucket IS 'The last four bits of the hashes; -1: of a small batch, all of them.';
COMMENT ON COLUMN import_row_keys.data IS 'Hashes of 8 bytes and row numbers of 4, unordered.';

ALTER TABLE imports
    ADD COLUMN keyed_rows  bigint NOT NULL DEFAULT 0,
    ADD COLUMN edits       bigint NOT NULL DEFAULT 0,
    ADD COLUMN edits_fence bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT imports_edits_positive CHECK (edits >= 0 AND keyed_rows >= 0);
COMMENT ON COLUMN imports.keyed_rows IS 'Rows that are in import_row_keys. Rows can be edited if all are: a worker of an earlier version does not store them.';
COMMENT ON COLUMN imports.edits IS 'How often rows were edited. A change is a new revision even where no count changes.';
COMMENT ON COLUMN imports.edits_fence IS 'The fence of the last claim by a worker that knows of edits.';

-- +goose StatementBegin
CREATE FUNCTION imports_bump_edits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.revision = OLD.revision THEN
        NEW.revision := OLD.revision + 1;
        PERFORM pg_notify('rollcall_imports', NEW.id::text);
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
-- Triggers run in the order of their names: this one after imports_bump_revision.
CREATE TRIGGER imports_bump_revision_of_edits BEFORE UPDATE OF edits ON imports
    FOR EACH ROW WHEN (NEW.edits IS DISTINCT FROM OLD.edits) EXECUTE FUNCTION imports_bump_edits();
COMMENT ON FUNCTION imports_bump_edits IS 'Numbers an edit that changes no count.';

-- +goose StatementBegin
CREATE FUNCTION imports_refuse_claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN NULL; -- as if another worker had it
END $$;
-- +goose StatementEnd
-- A worker of an earlier version would import the file without its edits.
CREATE TRIGGER imports_claim_with_edits BEFORE UPDATE OF fence ON imports
    FOR EACH ROW WHEN (NEW.edits > 0 AND NEW.fence > OLD.fence AND NEW.edits_fence <> NEW.fence) EXECUTE FUNCTION imports_refuse_claim();
COMMENT ON FUNCTION imports_refuse_claim IS 'Keeps workers that know nothing of edits from an edited import.';
