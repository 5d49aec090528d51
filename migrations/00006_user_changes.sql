-- +goose Up
CREATE SEQUENCE user_change_positions;
COMMENT ON SEQUENCE user_change_positions IS 'Numbers committed changes of users. Positions grow in the order of commits; some are left out.';

CREATE TABLE user_changes (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position bigint,
    mark     integer NOT NULL DEFAULT 0,
    type     text NOT NULL,
    user_ids uuid[] NOT NULL,
    size     integer GENERATED ALWAYS AS (cardinality(user_ids)) STORED,
    at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT user_changes_position_unique UNIQUE (position),
    CONSTRAINT user_changes_type_known CHECK (type IN ('created', 'updated', 'disabled', 'enabled', 'erased')),
    CONSTRAINT user_changes_size CHECK (size BETWEEN 1 AND 1000)
);
COMMENT ON TABLE user_changes IS 'What has changed about which users, in the order of commits, for thirty days. Written by triggers on users, so nothing that changes a user can leave it out. It says no more about a person than an id: readers join the user as it is when they read.';
COMMENT ON COLUMN user_changes.position IS 'Assigned while the transaction commits, under a lock that is held until it has: whoever sees a position sees all before it. Null only inside a transaction that has not committed.';
COMMENT ON COLUMN user_changes.mark IS 'A random number, part of cursors. After a restore or failover that lost commits, their positions are given to others, and a cursor from before is recognized by its mark.';
COMMENT ON COLUMN user_changes.user_ids IS 'Up to 1,000 users that one statement changed in the same way: an import writes one row for each thousand users.';

CREATE TABLE user_change_horizon (
    only_row boolean PRIMARY KEY DEFAULT true,
    position bigint NOT NULL DEFAULT 0,
    size     integer NOT NULL DEFAULT 0,
    mark     integer NOT NULL DEFAULT 0,
    CONSTRAINT user_change_horizon_only_row CHECK (only_row)
);
INSERT INTO user_change_horizon DEFAULT VALUES;
COMMENT ON TABLE user_change_horizon IS 'One row: the last change that retention has deleted. A cursor before it has missed something.';

-- +goose StatementBegin
CREATE FUNCTION user_changes_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Deferred: runs during COMMIT, after everything else the transaction does. The
    -- lock is released once the commit is visible, so the next one to number sees it.
    PERFORM pg_advisory_xact_lock(hashtextextended('rollcall user changes', 0));
    UPDATE user_changes
       SET position = nextval('user_change_positions'), mark = floor(random() * 2147483647)::integer, at = clock_timestamp()
     WHERE id = NEW.id;
    PERFORM pg_notify('rollcall_user_changes', '');
    RETURN NULL;
END $$;

-- Imports forbid some ways to join, for their own queries. What is joined here is
-- in memory and as large as the statement.
CREATE FUNCTION users_note_created() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_changes (type, user_ids)
    SELECT 'created', array_agg(id ORDER BY n)
      FROM (SELECT id, row_number() OVER () AS n FROM now_there) c
     GROUP BY (n - 1) / 1000 ORDER BY (n - 1) / 1000;
    RETURN NULL;
END $$;

CREATE FUNCTION users_note_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_changes (type, user_ids)
    SELECT 'erased', array_agg(id ORDER BY n)
      FROM (SELECT id, row_number() OVER () AS n FROM gone) c
     GROUP BY (n - 1) / 1000 ORDER BY (n - 1) / 1000;
    RETURN NULL;
END $$;

CREATE FUNCTION users_note_updated() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = on SET enable_sort = on AS $$
BEGIN
    -- edits stands for what is kept elsewhere, such as keys: every edit raises or,
    -- undone, lowers it.
    INSERT INTO user_changes (type, user_ids)
    SELECT type, array_agg(id ORDER BY n)
      FROM (SELECT is_now.id, row_number() OVER () AS n,
                   CASE WHEN is_now.status = 'disabled' AND was.status <> 'disabled' THEN 'disabled'
                        WHEN is_now.status <> 'disabled' AND was.status = 'disabled' THEN 'enabled'
                        ELSE 'updated' END AS type
              FROM is_now JOIN was ON was.id = is_now.id
             WHERE (is_now.email, is_now.name, is_now.role, is_now.department, is_now.status, is_now.edits)
                   IS DISTINCT FROM (was.email, was.name, was.role, was.department, was.status, was.edits)) c
     GROUP BY type, (n - 1) / 1000 ORDER BY (n - 1) / 1000, type;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE CONSTRAINT TRIGGER user_changes_number AFTER INSERT ON user_changes
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION user_changes_number();
CREATE TRIGGER users_note_created AFTER INSERT ON users
    REFERENCING NEW TABLE AS now_there FOR EACH STATEMENT EXECUTE FUNCTION users_note_created();
CREATE TRIGGER users_note_updated AFTER UPDATE ON users
    REFERENCING OLD TABLE AS was NEW TABLE AS is_now FOR EACH STATEMENT EXECUTE FUNCTION users_note_updated();
CREATE TRIGGER users_note_erased AFTER DELETE ON users
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION users_note_erased();
