-- +goose Up
CREATE TABLE imports (
    id                 uuid PRIMARY KEY,
    status             text NOT NULL DEFAULT 'queued',
    dry_run            boolean NOT NULL,
    on_duplicate       text NOT NULL,
    missing            text NOT NULL DEFAULT 'keep',
    max_disable        text NOT NULL DEFAULT '',
    allow_disable      bigint,
    blank              text NOT NULL DEFAULT 'keep',
    source             text NOT NULL DEFAULT 'default',
    send_invitations   boolean NOT NULL,
    encoding           text NOT NULL DEFAULT '',
    delimiter          text NOT NULL DEFAULT '',
    mapping            jsonb,
    webhook_url        text NOT NULL DEFAULT '',

    filename           text NOT NULL,
    size_bytes         bigint NOT NULL,
    sha256             bytea NOT NULL,
    format             jsonb,
    header             text[],
    previous_import_id uuid REFERENCES imports (id),

    total              bigint,
    checked            bigint NOT NULL DEFAULT 0,
    valid              bigint NOT NULL DEFAULT 0,
    processed          bigint NOT NULL DEFAULT 0,
    imported           bigint NOT NULL DEFAULT 0,
    updated            bigint NOT NULL DEFAULT 0,
    unchanged          bigint NOT NULL DEFAULT 0,
    disabled           bigint NOT NULL DEFAULT 0,
    failed             bigint NOT NULL DEFAULT 0,
    error_counts       jsonb,
    admins             bigint NOT NULL DEFAULT 0,
    admin_rows         bigint[] NOT NULL DEFAULT '{}',
    plan_create        bigint NOT NULL DEFAULT 0,
    plan_update        bigint NOT NULL DEFAULT 0,
    plan_unchanged     bigint NOT NULL DEFAULT 0,
    plan_disable       bigint NOT NULL DEFAULT 0,
    plan_admins_gained bigint NOT NULL DEFAULT 0,
    plan_admins_lost   bigint NOT NULL DEFAULT 0,
    disable_limit      bigint,
    invites_held       bigint NOT NULL DEFAULT 0,
    invites_pending    bigint NOT NULL DEFAULT 0,
    invites_sent       bigint NOT NULL DEFAULT 0,
    invites_failed     bigint NOT NULL DEFAULT 0,
    invites_accepted   bigint NOT NULL DEFAULT 0,
    warnings           jsonb NOT NULL DEFAULT '[]',
    failure            jsonb,

    fence              bigint NOT NULL DEFAULT 0,
    lease_until        timestamptz,
    dispatch           bigint NOT NULL DEFAULT 0,
    enqueued_at        timestamptz,
    stage              text NOT NULL DEFAULT 'rows',
    cursor_row         bigint NOT NULL DEFAULT 0,
    cursor_line        bigint NOT NULL DEFAULT 0,
    cursor_offset      bigint NOT NULL DEFAULT 0,
    cursor_skip        bigint NOT NULL DEFAULT 0,
    missing_cursor     bigint NOT NULL DEFAULT 0,
    failed_claims      integer NOT NULL DEFAULT 0,
    trace_parent       text,

    first_user_id      uuid,
    last_user_id       uuid,

    actor_kind         text NOT NULL,
    actor_id           uuid NOT NULL,
    actor              text NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    started_at         timestamptz,
    finished_at        timestamptz,

    undo_requested_at  timestamptz,
    undo_cursor        uuid,
    undo_row           bigint,
    undo_removed       bigint NOT NULL DEFAULT 0,
    undo_kept          bigint NOT NULL DEFAULT 0,
    undo_restored      bigint NOT NULL DEFAULT 0,
    undo_finished_at   timestamptz,

    purged_at          timestamptz,
    revision           bigint NOT NULL DEFAULT 0,

    CONSTRAINT imports_status_known CHECK (status IN ('queued', 'checking', 'ready', 'held', 'importing', 'completed', 'canceled', 'failed')),
    CONSTRAINT imports_on_duplicate_known CHECK (on_duplicate IN ('skip', 'update')),
    CONSTRAINT imports_missing_known CHECK (missing IN ('keep', 'disable')),
    CONSTRAINT imports_missing_updates CHECK (missing = 'keep' OR on_duplicate = 'update'),
    CONSTRAINT imports_blank_known CHECK (blank IN ('keep', 'clear')),
    CONSTRAINT imports_source_form CHECK (source ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    CONSTRAINT imports_stage_known CHECK (stage IN ('rows', 'deferred', 'missing')),
    CONSTRAINT imports_sha256_size CHECK (octet_length(sha256) = 32),
    CONSTRAINT imports_started CHECK (status NOT IN ('checking', 'ready', 'held', 'importing', 'completed') OR started_at IS NOT NULL),
    CONSTRAINT imports_finished CHECK ((status IN ('completed', 'canceled', 'failed')) = (finished_at IS NOT NULL)),
    CONSTRAINT imports_ready_is_dry CHECK (status <> 'ready' OR dry_run),
    CONSTRAINT imports_dry_writes_nothing CHECK (NOT dry_run OR processed = 0),
    CONSTRAINT imports_failure CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CONSTRAINT imports_failed_wrote_nothing CHECK (status <> 'failed' OR processed = 0),
    CONSTRAINT imports_held_wrote_nothing CHECK (status <> 'held' OR (processed = 0 AND disabled = 0)),
    CONSTRAINT imports_lease_while_working CHECK (lease_until IS NULL OR status IN ('checking', 'importing')),
    CONSTRAINT imports_purged_after_end CHECK (purged_at IS NULL OR finished_at IS NOT NULL),
    CONSTRAINT imports_undo_after_end CHECK (undo_requested_at IS NULL OR finished_at IS NOT NULL),
    CONSTRAINT imports_undo_finished CHECK (undo_finished_at IS NULL OR undo_requested_at IS NOT NULL),
    CONSTRAINT imports_previous_is_another CHECK (previous_import_id <> id),
    CONSTRAINT imports_ready_counts CHECK (status NOT IN ('ready', 'held') OR (total IS NOT NULL AND total = checked AND total = valid + failed)),
    CONSTRAINT imports_completed_counts CHECK (status <> 'completed' OR (total IS NOT NULL AND total = processed AND total = imported + updated + unchanged + failed)),
    CONSTRAINT imports_counts_positive CHECK (checked >= 0 AND valid >= 0 AND processed >= 0 AND imported >= 0 AND updated >= 0 AND failed >= 0),
    CONSTRAINT imports_unchanged_positive CHECK (unchanged >= 0),
    CONSTRAINT imports_disabled_positive CHECK (disabled >= 0 AND plan_disable >= 0),
    CONSTRAINT imports_plan_positive CHECK (plan_create >= 0 AND plan_update >= 0 AND plan_unchanged >= 0 AND plan_admins_gained >= 0 AND plan_admins_lost >= 0),
    CONSTRAINT imports_invites_positive CHECK (invites_held >= 0 AND invites_pending >= 0 AND invites_sent >= 0 AND invites_failed >= 0 AND invites_accepted >= 0),
    CONSTRAINT imports_trace_parent CHECK (trace_parent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$')
);
-- What the sweeper looks for every few seconds; nearly always empty.
CREATE INDEX imports_working ON imports (id) WHERE status IN ('queued', 'checking', 'importing');
CREATE INDEX imports_undoing ON imports (id) WHERE undo_requested_at IS NOT NULL AND undo_finished_at IS NULL;
-- A token's own imports, newest first.
CREATE INDEX imports_actor ON imports (actor_kind, actor_id, id);
CREATE INDEX imports_previous ON imports (previous_import_id) WHERE previous_import_id IS NOT NULL;
-- What retention has still to purge, and dry runs that it cancels if they are never confirmed.
CREATE INDEX imports_unpurged ON imports (finished_at) INCLUDE (status) WHERE purged_at IS NULL AND finished_at IS NOT NULL;
CREATE INDEX imports_ready ON imports (created_at) WHERE status IN ('ready', 'held');

COMMENT ON TABLE imports IS 'One uploaded file on its way to becoming users. This row is the truth about it; a task in Redis is only a wake-up.';
COMMENT ON COLUMN imports.filename IS 'As uploaded; "(deleted)" once the file is purged. Header, mapping and the texts of warnings and failure are deleted with it, because they may contain values of the file.';
COMMENT ON COLUMN imports.missing IS 'What becomes of the source''s users who are not in the file: keep or disable.';
COMMENT ON COLUMN imports.max_disable IS 'How many users may be disabled without approval: a number, or a percentage of the source''s users; empty: the setting of the installation.';
COMMENT ON COLUMN imports.allow_disable IS 'How many an administrator has allowed; null: nobody was asked.';
COMMENT ON COLUMN imports.blank IS 'What a blank cell means for an existing user: keep the stored value or clear it.';
COMMENT ON COLUMN imports.unchanged IS 'Rows whose user was as the row says already: nothing was written for them.';
COMMENT ON COLUMN imports.admin_rows IS 'Row numbers of the first valid rows with the role admin, at most 20: the preview shows them.';
COMMENT ON COLUMN imports.plan_create IS 'With the other plan_ columns: what the check found the import would do.';
COMMENT ON COLUMN imports.disable_limit IS 'max_disable in users, as found by the check.';
COMMENT ON COLUMN imports.error_counts IS 'Failed rows by code, kept when retention deletes the rows themselves; null before.';
COMMENT ON COLUMN imports.total IS 'Rows in the file; null until it has been read once.';
COMMENT ON COLUMN imports.format IS 'Encoding and delimiter as found when the file was opened.';
COMMENT ON COLUMN imports.previous_import_id IS 'The import that this one continues: the same file with other reading options, or a corrected error report; null: a file of its own.';
COMMENT ON COLUMN imports.fence IS 'Raised by every claim. A batch commits only under the fence it was claimed with.';
COMMENT ON COLUMN imports.lease_until IS 'The claim is valid until then, by this database''s clock; null: not claimed.';
COMMENT ON COLUMN imports.dispatch IS 'Number of the last task enqueued for this import; part of the task''s id.';
COMMENT ON COLUMN imports.enqueued_at IS 'When the last task was enqueued. If no worker has claimed the import some time later, the sweeper enqueues another.';
COMMENT ON COLUMN imports.stage IS 'What the import pass is at: the rows of the file, then those that had to wait for others, then the users who are missing from a full roster.';
COMMENT ON COLUMN imports.cursor_row IS 'The row at which the next batch of the current pass starts; 0: at the beginning.';
COMMENT ON COLUMN imports.cursor_line IS 'The line of the file at which that row starts.';
COMMENT ON COLUMN imports.cursor_offset IS 'The byte from which the file is decoded to get to that row; cursor_skip decoded bytes are then dropped.';
COMMENT ON COLUMN imports.missing_cursor IS 'Users of import_missing up to this number have been dealt with.';
COMMENT ON COLUMN imports.failed_claims IS 'Claims in a row that ended without a commit at the same cursor. Isolates a row that kills workers.';
COMMENT ON COLUMN imports.first_user_id IS 'With last_user_id the range of ids of the users created: finds them by primary key, without an index of their own.';
COMMENT ON COLUMN imports.revision IS 'Rises with every visible change: the ETag.';
COMMENT ON COLUMN imports.invites_pending IS 'The invites_ counters change in the same transaction as the invitations they count. Lock order: imports, users, invitations.';
COMMENT ON COLUMN imports.undo_requested_at IS 'When an undo was requested. It runs in batches, in the request or in the sweeper, until undo_finished_at.';
COMMENT ON COLUMN imports.undo_cursor IS 'Users up to this id have been handled by the undo.';
COMMENT ON COLUMN imports.undo_row IS 'Rows of import_updates up to this one have been restored by the undo; null: none yet.';
COMMENT ON COLUMN imports.undo_kept IS 'Users created by the import who stay, because they have accepted or been edited since.';
COMMENT ON COLUMN imports.trace_parent IS 'The span of the upload (W3C traceparent), parent of the spans of the workers; null: not traced. Stored here, so that a task lost in Redis does not break the trace.';

-- +goose StatementBegin
CREATE FUNCTION imports_bump_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- What no client can see (leases, dispatch numbers, the cursor) makes no new revision.
    IF (NEW.status, NEW.dry_run, NEW.total, NEW.checked, NEW.valid, NEW.processed, NEW.imported, NEW.updated, NEW.unchanged, NEW.failed, NEW.admins,
        NEW.disabled, NEW.plan_disable, NEW.undo_restored,
        NEW.invites_held, NEW.invites_pending, NEW.invites_sent, NEW.invites_failed, NEW.invites_accepted,
        NEW.warnings, NEW.failure, NEW.undo_requested_at, NEW.undo_removed, NEW.undo_kept, NEW.undo_finished_at, NEW.purged_at)
       IS DISTINCT FROM
       (OLD.status, OLD.dry_run, OLD.total, OLD.checked, OLD.valid, OLD.processed, OLD.imported, OLD.updated, OLD.unchanged, OLD.failed, OLD.admins,
        OLD.disabled, OLD.plan_disable, OLD.undo_restored,
        OLD.invites_held, OLD.invites_pending, OLD.invites_sent, OLD.invites_failed, OLD.invites_accepted,
        OLD.warnings, OLD.failure, OLD.undo_requested_at, OLD.undo_removed, OLD.undo_kept, OLD.undo_finished_at, OLD.purged_at)
    THEN
        NEW.revision := OLD.revision + 1;
        PERFORM pg_notify('rollcall_imports', NEW.id::text);
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER imports_bump_revision BEFORE UPDATE ON imports FOR EACH ROW EXECUTE FUNCTION imports_bump_revision();
COMMENT ON FUNCTION imports_bump_revision IS 'Numbers the visible changes and notifies the API processes that wait for one.';

CREATE TABLE import_chunks (
    import_id uuid NOT NULL,
    seq       integer NOT NULL,
    data      bytea NOT NULL,
    PRIMARY KEY (import_id, seq)
);
-- Not worth compressing for the days it is kept, and without compression a part of a chunk can be read alone.
ALTER TABLE import_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE import_chunks IS 'The upload as received, in pieces of 1 MiB (the last one shorter). No foreign key: the chunks of an upload that is still arriving belong to an entry of import_uploads.';

-- Failed rows are packed, thousands to a block: stored one by one, a row of two bytes would cost 165.
CREATE TABLE import_errors (
    import_id uuid NOT NULL,
    first_row bigint NOT NULL,
    last_row  bigint NOT NULL,
    counts    jsonb NOT NULL,
    data      bytea NOT NULL,
    PRIMARY KEY (import_id, first_row),
    CONSTRAINT import_errors_order CHECK (first_row <= last_row)
);
-- The program compresses better than the database would.
ALTER TABLE import_errors ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE import_errors IS 'Failed rows of imports, a block of up to some thousand an entry. Blocks of the check and of the import pass may overlap. Deleted after retention. No foreign key: imports are never deleted.';
COMMENT ON COLUMN import_errors.counts IS 'How many rows of the block failed for each code first of all.';
COMMENT ON COLUMN import_errors.data IS 'The rows, their problems and offending values: deflated JSON, column by column.';

-- A large upload arrives in transactions of its own, a chunk each, so that a slow client holds none open.
CREATE TABLE import_uploads (
    import_id uuid PRIMARY KEY,
    caller    text NOT NULL,
    key       text,
    alive_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT import_uploads_key UNIQUE (caller, key)
);
COMMENT ON TABLE import_uploads IS 'Uploads of more than one chunk that are still arriving. The import takes the entry''s place, with the same id; the entry of an upload that failed is removed with its chunks.';
COMMENT ON COLUMN import_uploads.key IS 'The Idempotency-Key it holds; null: none.';
COMMENT ON COLUMN import_uploads.alive_at IS 'Renewed every few seconds by the process that receives it. Once that stops, the sweeper removes entry and chunks.';

CREATE TABLE upload_budgets (
    actor_kind text NOT NULL,
    actor_id   uuid NOT NULL,
    day        date NOT NULL,
    bytes      bigint NOT NULL,
    PRIMARY KEY (actor_kind, actor_id, day),
    CONSTRAINT upload_budgets_positive CHECK (bytes >= 0)
);
COMMENT ON TABLE upload_budgets IS 'Bytes of the files each caller has stored on a day (UTC).';

CREATE TABLE import_row_offsets (
    import_id     uuid NOT NULL REFERENCES imports (id),
    row           bigint NOT NULL,
    line          bigint NOT NULL,
    cursor_offset bigint NOT NULL,
    cursor_skip   bigint NOT NULL,
    PRIMARY KEY (import_id, row)
);
COMMENT ON TABLE import_row_offsets IS 'Every few thousand rows a place to start reading: pages of a preview begin near it instead of at the top.';

CREATE TABLE idempotency_keys (
    caller      text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    import_id   uuid NOT NULL REFERENCES imports (id),
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, key)
);
COMMENT ON TABLE idempotency_keys IS 'The import that a caller''s Idempotency-Key led to. A key whose upload is still arriving has an entry in import_uploads instead, which its process renews.';
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'SHA-256 over the bytes and the options.';

CREATE TABLE import_updates (
    import_id uuid NOT NULL,
    row       bigint NOT NULL,
    user_id   uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    edits     integer NOT NULL,
    before    jsonb,
    PRIMARY KEY (import_id, row)
);
CREATE INDEX import_updates_user ON import_updates (user_id);
COMMENT ON TABLE import_updates IS 'Users that an import has changed, and what they were before: an undo restores that. Rows that change nothing are not in it.';
COMMENT ON COLUMN import_updates.edits IS 'The user''s edits right after the change. If they have risen since, an undo leaves the user alone. -1: restored by an undo, with somebody of an earlier row.';
COMMENT ON COLUMN import_updates.before IS 'Values before the change, which go with the file. The key of a former address is moved_from.';

CREATE TABLE import_deferred_rows (
    import_id  uuid NOT NULL REFERENCES imports (id),
    row        bigint NOT NULL,
    holder_key text NOT NULL,
    fields     jsonb NOT NULL,
    PRIMARY KEY (import_id, row)
);
COMMENT ON TABLE import_deferred_rows IS 'Rows whose address belongs to another user who gets another one in the same file: they are imported together, after all other rows. Deleted at the end of the import.';
COMMENT ON COLUMN import_deferred_rows.holder_key IS 'The key of the user who has the address when the row is checked.';

CREATE TABLE import_missing (
    import_id   uuid NOT NULL REFERENCES imports (id),
    n           bigint NOT NULL,
    user_id     uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email_key   text COLLATE "C" NOT NULL,
    external_id text NOT NULL DEFAULT '',
    PRIMARY KEY (import_id, n)
);
CREATE INDEX import_missing_user ON import_missing (user_id);
COMMENT ON TABLE import_missing IS 'Users of the source who are not in a full roster, as found by its check: they are disabled after all rows. What it changes of them is in import_updates, in row -n.';
COMMENT ON COLUMN import_missing.email_key IS 'With external_id what was looked for in the file: whoever has others by the time of the import is not disabled.';
