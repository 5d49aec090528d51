-- +goose Up
CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL,
    email_key     text COLLATE "C" NOT NULL,
    name          text NOT NULL,
    role          text NOT NULL DEFAULT 'user',
    department    text NOT NULL DEFAULT '',
    status        text NOT NULL DEFAULT 'invited',
    password_hash text,
    import_id     uuid,
    edits         integer NOT NULL DEFAULT 0,
    reset_count   integer NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_email_key_unique UNIQUE (email_key),
    CONSTRAINT users_role_known CHECK (role IN ('user', 'admin')),
    CONSTRAINT users_status_known CHECK (status IN ('invited', 'active', 'disabled')),
    CONSTRAINT users_active_has_password CHECK (status <> 'active' OR password_hash IS NOT NULL),
    CONSTRAINT users_invited_has_no_password CHECK (status <> 'invited' OR password_hash IS NULL)
);
-- Few rows, read whenever an administrator might be the last one.
CREATE INDEX users_admins ON users (id) WHERE role = 'admin';

COMMENT ON TABLE users IS 'Everyone Rollcall knows. Ids are UUIDv7: in order of creation, so lists page by id and need no index on created_at.';
COMMENT ON COLUMN users.email IS 'As typed; mail goes to this.';
COMMENT ON COLUMN users.email_key IS 'As compared: lower-case ASCII local part, @, lower-case A-label domain.';
COMMENT ON COLUMN users.import_id IS 'The import that created the user; null for others. Imports are never deleted, and a foreign key would cost every imported row a look-up.';
COMMENT ON COLUMN users.edits IS 'How often the user was changed since creation; an undo leaves edited users alone.';
COMMENT ON COLUMN users.reset_count IS 'Part of a password-reset link; raised when one is used, which kills the others.';

CREATE TABLE sessions (
    token_hash   bytea PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
COMMENT ON TABLE sessions IS 'Signed-in browsers. Only the SHA-256 of the cookie is kept.';

CREATE TABLE api_tokens (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    token_hash   bytea NOT NULL,
    scopes       text[] NOT NULL,
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    CONSTRAINT api_tokens_hash_unique UNIQUE (token_hash),
    CONSTRAINT api_tokens_scopes_known CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['imports', 'imports:read', 'admin'])
);
COMMENT ON TABLE api_tokens IS 'Bearer tokens of programs. Only the SHA-256 of a token is kept.';
COMMENT ON COLUMN api_tokens.last_used_at IS 'To the minute: written at most once a minute.';

CREATE TABLE settings (
    name       text PRIMARY KEY,
    value      jsonb NOT NULL,
    updated_by text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE settings IS 'What administrators set at run time. Secrets inside are sealed with a key from ROLLCALL_SECRET.';

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
