-- +goose Up
ALTER TABLE users
    ADD COLUMN attributes jsonb,
    ADD CONSTRAINT users_attributes_object CHECK (attributes IS NULL OR (jsonb_typeof(attributes) = 'object' AND attributes <> '{}'));
COMMENT ON COLUMN users.attributes IS 'Values of declared attributes (ROLLCALL_ATTRIBUTES) by name, none of them blank. Null without any, so that it takes no room then.';

ALTER TABLE imports ADD COLUMN attributes text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN imports.attributes IS 'Attributes that were declared when the file was uploaded: the columns that it may have besides the usual ones.';

-- Of what was changed about an erased person only role and status stay, whatever
-- else a change may tell.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION audit_anonymize(person uuid, label text) RETURNS bigint
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
                    '{before}', (SELECT COALESCE(jsonb_object_agg(key, value), '{}') FROM jsonb_each(detail->'before') WHERE key IN ('role', 'status'))),
                    '{after}', (SELECT COALESCE(jsonb_object_agg(key, value), '{}') FROM jsonb_each(detail->'after') WHERE key IN ('role', 'status')))
     WHERE target = 'user' AND target_id = person
       AND jsonb_typeof(detail->'before') = 'object' AND jsonb_typeof(detail->'after') = 'object'
       AND ((detail->'before') - ARRAY['role', 'status'] <> '{}' OR (detail->'after') - ARRAY['role', 'status'] <> '{}');
    RETURN changed;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION audit_anonymize IS 'Removes name and network address of an erased person from what they did, and all but role and status from what was changed about them; what was done, when and by which id stays. The only way in which a role that may only append can change the log.';
