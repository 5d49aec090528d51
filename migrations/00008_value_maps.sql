-- +goose Up
ALTER TABLE imports
    ADD COLUMN value_map   jsonb,
    ADD COLUMN role_values jsonb,
    ADD CONSTRAINT imports_value_map_object CHECK (value_map IS NULL OR jsonb_typeof(value_map) = 'object'),
    ADD CONSTRAINT imports_role_values_bounded CHECK (role_values IS NULL OR jsonb_array_length(role_values) <= 51);
COMMENT ON COLUMN imports.value_map IS 'What values of the file mean: our column, then the value in the file, then our value. Null: themselves. Deleted with the file.';
COMMENT ON COLUMN imports.role_values IS 'The first 50 different values of the role column, and one more if there are more, for the form that maps them. Null until the file is checked, and deleted with it.';
