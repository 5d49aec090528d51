-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION audit_forget(person uuid, label text) RETURNS bigint
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
    RETURN changed;
END $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION audit_forget (uuid, text) FROM PUBLIC;

COMMENT ON FUNCTION audit_forget IS 'Takes name and network address of an erased person out of what they did; what was done, when and by which id stays. The one way in which a role that may only append can change the log.';
