-- +goose Up
-- An import now tells how far its undo has come, so that makes a revision too.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION imports_revise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- What nobody sees (leases, dispatch numbers, the cursor) makes no new revision.
    IF (NEW.status, NEW.dry_run, NEW.total, NEW.checked, NEW.valid, NEW.processed, NEW.imported, NEW.updated, NEW.failed, NEW.admins,
        NEW.invites_held, NEW.invites_pending, NEW.invites_sent, NEW.invites_failed, NEW.invites_accepted,
        NEW.warnings, NEW.failure, NEW.undone_at, NEW.undo_removed, NEW.undo_kept, NEW.undo_finished_at, NEW.purged_at)
       IS DISTINCT FROM
       (OLD.status, OLD.dry_run, OLD.total, OLD.checked, OLD.valid, OLD.processed, OLD.imported, OLD.updated, OLD.failed, OLD.admins,
        OLD.invites_held, OLD.invites_pending, OLD.invites_sent, OLD.invites_failed, OLD.invites_accepted,
        OLD.warnings, OLD.failure, OLD.undone_at, OLD.undo_removed, OLD.undo_kept, OLD.undo_finished_at, OLD.purged_at)
    THEN
        NEW.revision := OLD.revision + 1;
        PERFORM pg_notify('rollcall_imports', NEW.id::text);
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
