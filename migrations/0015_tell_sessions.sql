-- +goose Up
-- People see where they are signed in and end what they do not know.
ALTER TABLE sessions
    ADD COLUMN id      uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN address text NOT NULL DEFAULT '',
    ADD COLUMN browser text NOT NULL DEFAULT '',
    ADD CONSTRAINT sessions_id_unique UNIQUE (id);

COMMENT ON COLUMN sessions.id IS 'Names the session on pages, where its secret has no place.';
COMMENT ON COLUMN sessions.address IS 'The network address of the sign-in.';
COMMENT ON COLUMN sessions.browser IS 'In words, such as Firefox on Linux; what the browser sent is not kept.';

-- Changes of a user are recorded with the values before and after. Those that
-- name a person go when the person is erased.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION audit_forget(person uuid, label text) RETURNS bigint
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
    UPDATE audit_log SET detail = detail #- '{before,name}' #- '{after,name}' #- '{before,department}' #- '{after,department}'
     WHERE target = 'user' AND target_id = person
       AND (detail #> '{before}' ?| ARRAY['name', 'department'] OR detail #> '{after}' ?| ARRAY['name', 'department']);
    RETURN changed;
END $$;
-- +goose StatementEnd

COMMENT ON FUNCTION audit_forget IS 'Takes name and network address of an erased person out of what they did, and name and department out of what was changed of them; what was done, when and by which id stays. The one way in which a role that may only append can change the log.';
