-- +goose Up
CREATE TABLE import_profiles (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    options    jsonb NOT NULL,
    version    bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT import_profiles_name_unique UNIQUE (name),
    CONSTRAINT import_profiles_name_form CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    CONSTRAINT import_profiles_options_object CHECK (jsonb_typeof(options) = 'object')
);
COMMENT ON TABLE import_profiles IS 'Named options of imports. Uploads name one; what it says then is stored with the import, so a later change of the profile changes no import.';
COMMENT ON COLUMN import_profiles.options IS 'Options by name, only those that are set, as in the API.';
COMMENT ON COLUMN import_profiles.version IS 'Raised by every change; with the id it makes the ETag.';

ALTER TABLE imports
    ADD COLUMN profile text NOT NULL DEFAULT '';
COMMENT ON COLUMN imports.profile IS 'The import profile that the mapping is from; empty if the upload had a mapping of its own, or none.';
