-- +goose Up
CREATE TABLE imports (
    id               uuid PRIMARY KEY,
    status           text NOT NULL DEFAULT 'queued',
    dry_run          boolean NOT NULL,
    on_duplicate     text NOT NULL,
    send_invitations boolean NOT NULL,
    encoding         text NOT NULL DEFAULT '',
    delimiter        text NOT NULL DEFAULT '',
    mapping          jsonb,
    webhook_url      text NOT NULL DEFAULT '',

    filename         text NOT NULL,
    size_bytes       bigint NOT NULL,
    sha256           bytea NOT NULL,
    format           jsonb,
    header           text[],

    total            bigint,
    checked          bigint NOT NULL DEFAULT 0,
    valid            bigint NOT NULL DEFAULT 0,
    processed        bigint NOT NULL DEFAULT 0,
    imported         bigint NOT NULL DEFAULT 0,
    updated          bigint NOT NULL DEFAULT 0,
    failed           bigint NOT NULL DEFAULT 0,
    admins           bigint NOT NULL DEFAULT 0,
    invites_held     bigint NOT NULL DEFAULT 0,
    invites_pending  bigint NOT NULL DEFAULT 0,
    invites_sent     bigint NOT NULL DEFAULT 0,
    invites_failed   bigint NOT NULL DEFAULT 0,
    invites_accepted bigint NOT NULL DEFAULT 0,
    warnings         jsonb NOT NULL DEFAULT '[]',
    failure          jsonb,

    fence            bigint NOT NULL DEFAULT 0,
    lease_until      timestamptz,
    dispatch         bigint NOT NULL DEFAULT 0,
    rung_at          timestamptz,
    at_row           bigint NOT NULL DEFAULT 0,
    at_line          bigint NOT NULL DEFAULT 0,
    at_offset        bigint NOT NULL DEFAULT 0,
    at_skip          bigint NOT NULL DEFAULT 0,
    crashes          integer NOT NULL DEFAULT 0,

    first_user_id    uuid,
    last_user_id     uuid,

    actor_kind       text NOT NULL,
    actor_id         uuid NOT NULL,
    actor            text NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    started_at       timestamptz,
    finished_at      timestamptz,
    undone_at        timestamptz,
    purged_at        timestamptz,
    revision         bigint NOT NULL DEFAULT 0,

    CONSTRAINT imports_status_known CHECK (status IN ('queued', 'checking', 'ready', 'importing', 'completed', 'canceled', 'failed')),
    CONSTRAINT imports_on_duplicate_known CHECK (on_duplicate IN ('skip', 'update')),
    CONSTRAINT imports_sha256_size CHECK (octet_length(sha256) = 32),
    CONSTRAINT imports_started CHECK (status NOT IN ('checking', 'ready', 'importing', 'completed') OR started_at IS NOT NULL),
    CONSTRAINT imports_finished CHECK ((status IN ('completed', 'canceled', 'failed')) = (finished_at IS NOT NULL)),
    CONSTRAINT imports_ready_is_dry CHECK (status <> 'ready' OR dry_run),
    CONSTRAINT imports_dry_writes_nothing CHECK (NOT dry_run OR processed = 0),
    CONSTRAINT imports_failure CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CONSTRAINT imports_failed_wrote_nothing CHECK (status <> 'failed' OR processed = 0),
    CONSTRAINT imports_lease_while_working CHECK (lease_until IS NULL OR status IN ('checking', 'importing')),
    CONSTRAINT imports_purged_after_end CHECK (purged_at IS NULL OR finished_at IS NOT NULL),
    CONSTRAINT imports_ready_counts CHECK (status <> 'ready' OR (total IS NOT NULL AND total = checked AND total = valid + failed)),
    CONSTRAINT imports_completed_counts CHECK (status <> 'completed' OR (total IS NOT NULL AND total = processed AND total = imported + updated + failed)),
    CONSTRAINT imports_counts_positive CHECK (checked >= 0 AND valid >= 0 AND processed >= 0 AND imported >= 0 AND updated >= 0 AND failed >= 0),
    CONSTRAINT imports_invites_positive CHECK (invites_held >= 0 AND invites_pending >= 0 AND invites_sent >= 0 AND invites_failed >= 0 AND invites_accepted >= 0)
);
-- The sweeper's question, every few seconds; nearly always empty.
CREATE INDEX imports_working ON imports (id) WHERE status IN ('queued', 'checking', 'importing');
-- A token's own imports, newest first.
CREATE INDEX imports_actor ON imports (actor_kind, actor_id, id);
-- What retention has still to purge.
CREATE INDEX imports_unpurged ON imports (finished_at) WHERE purged_at IS NULL AND finished_at IS NOT NULL;

COMMENT ON TABLE imports IS 'One uploaded file on its way to becoming users. The row is the truth about it; a task in Redis only says: look.';
COMMENT ON COLUMN imports.total IS 'Rows in the file; null until it has been read once.';
COMMENT ON COLUMN imports.format IS 'Encoding and delimiter as found when the file was opened.';
COMMENT ON COLUMN imports.fence IS 'Raised by every claim. A batch commits only under the fence it was claimed with.';
COMMENT ON COLUMN imports.lease_until IS 'Until then the claim is good, by this database''s clock; null: nobody holds it.';
COMMENT ON COLUMN imports.dispatch IS 'Number of the last task rung for this import; part of the task''s id.';
COMMENT ON COLUMN imports.at_row IS 'Cursor: the row where the next batch of the present pass starts; 0: at the beginning.';
COMMENT ON COLUMN imports.at_offset IS 'Cursor: the byte from which the file is decoded to get there; at_skip decoded bytes are then dropped.';
COMMENT ON COLUMN imports.crashes IS 'Claims in a row that ended without a commit at the same cursor; a row that kills workers is found by this.';
COMMENT ON COLUMN imports.first_user_id IS 'With last_user_id the range of ids of the users created: finds them by primary key, without an index of their own.';
COMMENT ON COLUMN imports.revision IS 'Rises with every visible change: the ETag.';
COMMENT ON COLUMN imports.invites_pending IS 'The invites_ counters move in the same transaction as the invitations they count. Lock order: imports, users, invitations.';

-- +goose StatementBegin
CREATE FUNCTION imports_revise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- What nobody sees (leases, dispatch numbers, the cursor) makes no new revision.
    IF (NEW.status, NEW.dry_run, NEW.total, NEW.checked, NEW.valid, NEW.processed, NEW.imported, NEW.updated, NEW.failed, NEW.admins,
        NEW.invites_held, NEW.invites_pending, NEW.invites_sent, NEW.invites_failed, NEW.invites_accepted,
        NEW.warnings, NEW.failure, NEW.undone_at, NEW.purged_at)
       IS DISTINCT FROM
       (OLD.status, OLD.dry_run, OLD.total, OLD.checked, OLD.valid, OLD.processed, OLD.imported, OLD.updated, OLD.failed, OLD.admins,
        OLD.invites_held, OLD.invites_pending, OLD.invites_sent, OLD.invites_failed, OLD.invites_accepted,
        OLD.warnings, OLD.failure, OLD.undone_at, OLD.purged_at)
    THEN
        NEW.revision := OLD.revision + 1;
        PERFORM pg_notify('rollcall_imports', NEW.id::text);
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER imports_revise BEFORE UPDATE ON imports FOR EACH ROW EXECUTE FUNCTION imports_revise();
COMMENT ON FUNCTION imports_revise IS 'Numbers the visible changes and tells the API processes that wait for one.';

CREATE TABLE import_chunks (
    import_id uuid NOT NULL REFERENCES imports (id) DEFERRABLE INITIALLY DEFERRED,
    seq       integer NOT NULL,
    data      bytea NOT NULL,
    PRIMARY KEY (import_id, seq)
);
-- Not worth compressing for the days it is kept, and a slice can be read alone.
ALTER TABLE import_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE import_chunks IS 'The upload as received, in pieces of 1 MiB (the last one shorter). The foreign key is deferred because the import row is written last, when size and hash are known.';

CREATE TABLE import_errors (
    import_id uuid NOT NULL,
    row       bigint NOT NULL,
    line      bigint NOT NULL,
    reason    text NOT NULL,
    field     text NOT NULL,
    email     text,
    value     text,
    message   text NOT NULL,
    also      jsonb,
    PRIMARY KEY (import_id, row)
);
COMMENT ON TABLE import_errors IS 'Rows that were refused, one entry a row. No foreign key: imports are never deleted, and it would cost a look-up a row.';
COMMENT ON COLUMN import_errors.email IS 'Null after retention, like value.';

CREATE TABLE import_marks (
    import_id uuid NOT NULL REFERENCES imports (id),
    row       bigint NOT NULL,
    line      bigint NOT NULL,
    at_offset bigint NOT NULL,
    at_skip   bigint NOT NULL,
    PRIMARY KEY (import_id, row)
);
COMMENT ON TABLE import_marks IS 'Every few thousand rows a place to start reading: pages of a preview begin near it instead of at the top.';

CREATE TABLE idempotency_keys (
    caller      text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    import_id   uuid NOT NULL REFERENCES imports (id),
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, key)
);
COMMENT ON TABLE idempotency_keys IS 'Which import a caller''s Idempotency-Key led to. A key still arriving holds an advisory lock instead of a row, so a dead server leaves nothing behind.';
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'SHA-256 over the bytes and the options.';
