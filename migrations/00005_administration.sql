-- +goose Up
CREATE TABLE settings (
    name       text PRIMARY KEY,
    value      jsonb NOT NULL,
    updated_by text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE settings IS 'What administrators set at run time. Secrets inside are encrypted with a key derived from ROLLCALL_SECRET.';

CREATE TABLE audit_log (
    id         uuid PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    actor_kind text NOT NULL,
    actor_id   uuid NOT NULL,
    actor      text NOT NULL,
    action     text NOT NULL,
    target     text NOT NULL,
    target_id  uuid,
    detail     jsonb NOT NULL DEFAULT '{}',
    address    text NOT NULL DEFAULT '',
    CONSTRAINT audit_log_actor_known CHECK (actor_kind IN ('user', 'token', 'config', 'system'))
);
COMMENT ON TABLE audit_log IS 'Who did what, when, from where. Appended to, never changed.';

-- +goose StatementBegin
CREATE FUNCTION audit_anonymize(person uuid, label text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    changed bigint;
BEGIN
    IF label !~ '^erased:[0-9a-f]{32}$' THEN
        RAISE EXCEPTION 'an erased person is named by a keyed hash';
    END IF;
    IF EXISTS (SELECT FROM users WHERE id = person) THEN
        RAISE EXCEPTION 'user % is still there', person;
    END IF;
    UPDATE audit_log SET actor = label, address = '' WHERE actor_kind = 'user' AND actor_id = person;
    GET DIAGNOSTICS changed = ROW_COUNT;
    UPDATE audit_log
       SET detail = jsonb_set(jsonb_set(detail,
                    '{before}', (detail->'before') - ARRAY['name', 'department', 'email', 'external_id']),
                    '{after}', (detail->'after') - ARRAY['name', 'department', 'email', 'external_id'])
     WHERE target = 'user' AND target_id = person
       AND jsonb_typeof(detail->'before') = 'object' AND jsonb_typeof(detail->'after') = 'object'
       AND (detail->'before' ?| ARRAY['name', 'department', 'email', 'external_id']
         OR detail->'after' ?| ARRAY['name', 'department', 'email', 'external_id']);
    RETURN changed;
END $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION audit_anonymize (uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION audit_anonymize IS 'Removes name and network address of an erased person from what they did, and name, department, email and external ID from what was changed about them; what was done, when and by which id stays. The only way in which a role that may only append can change the log.';

CREATE TABLE maintenance_runs (
    name         text NOT NULL,
    period_start timestamptz NOT NULL,
    PRIMARY KEY (name, period_start)
);
COMMENT ON TABLE maintenance_runs IS 'Maintenance that is to happen once a period over all workers: the worker that inserts the row does the work.';

CREATE TABLE notices (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind       text NOT NULL,
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email      text NOT NULL,
    name       text NOT NULL,
    actor_id   uuid,
    actor      text NOT NULL DEFAULT '',
    detail     jsonb NOT NULL DEFAULT '{}',
    via        jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at     timestamptz NOT NULL DEFAULT now(),
    attempts   integer NOT NULL DEFAULT 0,
    CONSTRAINT notices_kind_known CHECK (kind IN ('mail_server', 'second_factor', 'address_changed', 'import_held'))
);
-- Nearly always empty; a row is deleted when it is mailed or given up.
CREATE INDEX notices_due ON notices (due_at);
CREATE INDEX notices_user ON notices (user_id);
COMMENT ON TABLE notices IS 'The outbox of mails about what has happened, one row for each mail: to administrators about the mail server, a second factor or an import that is held; to a user about their second factor; to both addresses of a user whose address was changed.';
COMMENT ON COLUMN notices.user_id IS 'The recipient.';
COMMENT ON COLUMN notices.email IS 'Where it goes: the recipient''s address at the time, or the one before.';
COMMENT ON COLUMN notices.actor_id IS 'Who made the change; null where the mail does not say so.';
COMMENT ON COLUMN notices.via IS 'The stored mail settings from before the change, its password still encrypted, so that the notice does not depend on the new server; null: those of the environment, or no change of the mail server.';
COMMENT ON COLUMN notices.due_at IS 'Next attempt. A claim moves it ahead, so that a mail whose sender died comes due again.';
