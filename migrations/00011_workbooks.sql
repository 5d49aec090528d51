-- +goose Up
ALTER TABLE imports
    ADD COLUMN sheet           text NOT NULL DEFAULT '',
    ADD COLUMN header_row      bigint NOT NULL DEFAULT 0,
    ADD COLUMN workbook        jsonb,
    ADD COLUMN converted_bytes bigint,
    ADD COLUMN file_erased_at  timestamptz,
    ADD CONSTRAINT imports_header_row_positive CHECK (header_row >= 0),
    ADD CONSTRAINT imports_converted_workbook CHECK (converted_bytes IS NULL OR workbook IS NOT NULL OR purged_at IS NOT NULL);

COMMENT ON COLUMN imports.sheet IS 'The sheet of a workbook that was asked for; empty: the first visible one with cells.';
COMMENT ON COLUMN imports.header_row IS 'The row with the names of the columns that was asked for; 0: the first row that is not blank.';
COMMENT ON COLUMN imports.workbook IS 'What was found in a workbook: its sheets, and which one was read; null: the file is no workbook, or was not opened yet.';
COMMENT ON COLUMN imports.converted_bytes IS 'Size of the sheet in import_sheets, once all of it is there; null before, and for any other file.';
COMMENT ON COLUMN imports.file_erased_at IS 'When the upload was deleted because a person in it was erased; its converted sheet stays, without the person.';

CREATE TABLE import_sheets (
    import_id uuid NOT NULL REFERENCES imports (id),
    seq       integer NOT NULL,
    data      bytea NOT NULL,
    PRIMARY KEY (import_id, seq)
);
ALTER TABLE import_sheets ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE import_sheets IS 'The sheet of a workbook that is imported, converted to CSV in pieces of 1 MiB (the last one shorter): unlike the workbook, it can be read from any row on. Kept and deleted with the upload.';
