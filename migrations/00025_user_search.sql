-- +goose Up
CREATE TABLE user_search (
    upto  uuid PRIMARY KEY,
    after uuid NOT NULL,
    text  text COLLATE "C" NOT NULL
) WITH (toast_tuple_target = 8160);
ALTER TABLE user_search ALTER COLUMN text SET STORAGE EXTERNAL, ALTER COLUMN text SET STATISTICS 0;
COMMENT ON TABLE user_search IS 'Names, addresses and departments of some thirty users each, in lower case, to be searched for a part of them: a fifth of what users takes, and in far fewer rows. Derived from users, some time after they change; see user_search_state.';
COMMENT ON COLUMN user_search.after IS 'The block is about the users whose id is greater, up to and with upto. Blocks follow each other without a gap.';

CREATE TABLE user_search_state (
    only_row boolean PRIMARY KEY DEFAULT true,
    built_to uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    position bigint NOT NULL DEFAULT 0,
    CONSTRAINT user_search_state_only_row CHECK (only_row)
);
INSERT INTO user_search_state (position) SELECT COALESCE(max(position), 0) FROM user_changes;
COMMENT ON TABLE user_search_state IS 'One row. A search reads the blocks, and from users those behind built_to and those who changed at positions behind this one, so it finds everybody as they are.';
