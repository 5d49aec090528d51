-- +goose Up
ALTER TABLE imports
    ADD COLUMN trace_parent text,
    ADD CONSTRAINT imports_trace_parent CHECK (trace_parent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$');
COMMENT ON COLUMN imports.trace_parent IS 'The span of the upload (W3C traceparent), which those of the workers belong under; null: not traced. Kept here, so that a task lost in Redis does not break the trace.';

CREATE TABLE tallies (
    kind  text NOT NULL,
    state text NOT NULL,
    n     bigint NOT NULL,
    CONSTRAINT tallies_kind_known CHECK (kind IN ('import', 'invitation'))
);
COMMENT ON TABLE tallies IS 'How many imports and invitations there are by state, as moves to be summed up: the sum of n. Moves are appended, so that no transaction waits for another, and folded into one row a state every few seconds.';

-- +goose StatementBegin
CREATE FUNCTION imports_tally() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- At an insertion every column of OLD is null.
    INSERT INTO tallies (kind, state, n)
    SELECT m.kind, m.state, m.n
      FROM (VALUES
            ('import', NEW.status, CASE WHEN NEW.status IS DISTINCT FROM OLD.status THEN 1 ELSE 0 END),
            ('import', OLD.status, CASE WHEN OLD.status IS NOT NULL AND NEW.status <> OLD.status THEN -1 ELSE 0 END),
            ('invitation', 'held', NEW.invites_held - COALESCE(OLD.invites_held, 0)),
            ('invitation', 'pending', NEW.invites_pending - COALESCE(OLD.invites_pending, 0)),
            ('invitation', 'sent', NEW.invites_sent - COALESCE(OLD.invites_sent, 0)),
            ('invitation', 'failed', NEW.invites_failed - COALESCE(OLD.invites_failed, 0)),
            ('invitation', 'accepted', NEW.invites_accepted - COALESCE(OLD.invites_accepted, 0))
           ) AS m (kind, state, n)
     WHERE m.n <> 0;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION imports_tally IS 'Writes down which states an import and its invitations moved between. The invites_ counters tell of all invitations that belong to an import.';

CREATE TRIGGER imports_tally_new AFTER INSERT ON imports FOR EACH ROW EXECUTE FUNCTION imports_tally();
CREATE TRIGGER imports_tally_moved AFTER UPDATE ON imports FOR EACH ROW
    WHEN ((OLD.status, OLD.invites_held, OLD.invites_pending, OLD.invites_sent, OLD.invites_failed, OLD.invites_accepted)
          IS DISTINCT FROM
          (NEW.status, NEW.invites_held, NEW.invites_pending, NEW.invites_sent, NEW.invites_failed, NEW.invites_accepted))
    EXECUTE FUNCTION imports_tally();

-- The triggers have locked imports against changes until this commits, so
-- nothing is counted twice or not at all.
INSERT INTO tallies (kind, state, n)
SELECT 'import', status, count(*) FROM imports GROUP BY status
UNION ALL
SELECT 'invitation', c.state, sum(c.n)::bigint
  FROM imports, LATERAL (VALUES
       ('held', invites_held), ('pending', invites_pending), ('sent', invites_sent),
       ('failed', invites_failed), ('accepted', invites_accepted)) AS c (state, n)
 GROUP BY c.state HAVING sum(c.n) > 0;

-- Invitations of people who came by no import: few, and counted when asked for.
CREATE INDEX invitations_single ON invitations (status) WHERE import_id IS NULL;
-- Dry runs that wait to be confirmed, which retention looks for at every step.
CREATE INDEX imports_ready ON imports (created_at) WHERE status = 'ready';
