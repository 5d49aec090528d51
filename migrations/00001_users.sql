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
    missing_from  text,
    edits         integer NOT NULL DEFAULT 0,
    reset_count   integer NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_email_key_unique UNIQUE (email_key),
    CONSTRAINT users_role_known CHECK (role IN ('user', 'admin')),
    CONSTRAINT users_status_known CHECK (status IN ('invited', 'active', 'disabled')),
    CONSTRAINT users_active_has_password CHECK (status <> 'active' OR password_hash IS NOT NULL),
    CONSTRAINT users_invited_has_no_password CHECK (status <> 'invited' OR password_hash IS NULL),
    CONSTRAINT users_missing_is_disabled CHECK (missing_from IS NULL OR status = 'disabled')
);
-- Few rows, read whenever an administrator might be the last one.
CREATE INDEX users_admins ON users (id) WHERE role = 'admin';
-- The list of users finds these few among many. Imports never write to this
-- index, because they create users as invited. An index of all users by name or
-- status would slow an import down by a tenth each.
CREATE INDEX users_not_invited ON users (status, id) WHERE status <> 'invited';

COMMENT ON TABLE users IS 'All users. Ids are UUIDv7, in order of creation, so lists page by id and need no index on created_at.';
COMMENT ON COLUMN users.email IS 'As typed; mail goes to this.';
COMMENT ON COLUMN users.email_key IS 'As compared: lower-case ASCII local part, @, lower-case A-label domain.';
COMMENT ON COLUMN users.import_id IS 'The import that created the user; null for others. Imports are never deleted, and a foreign key would cost every imported row a look-up.';
COMMENT ON COLUMN users.missing_from IS 'The source whose roster the user was missing from when it was disabled for that; null for all others. Coming back enables only such a user.';
COMMENT ON COLUMN users.edits IS 'How often the user was changed since creation; an undo leaves edited users alone.';
COMMENT ON COLUMN users.reset_count IS 'Part of a password-reset link. Raised when a link is used, which makes all other links invalid.';

CREATE TABLE external_ids (
    source      text NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    user_id     uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Never begins with source: looked up by user and source in a table without
    -- statistics, PostgreSQL might read all keys of a source for each user.
    PRIMARY KEY (external_id, source),
    CONSTRAINT external_ids_user_unique UNIQUE (user_id, source),
    CONSTRAINT external_ids_length CHECK (char_length(external_id) BETWEEN 1 AND 128),
    CONSTRAINT external_ids_source_form CHECK (source ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$')
);
COMMENT ON TABLE external_ids IS 'The keys by which other systems know users, at most one for each user and source.';
COMMENT ON COLUMN external_ids.source IS 'The system whose key this is, as named by the token that imports its file.';
COMMENT ON COLUMN external_ids.external_id IS 'As written: leading zeros and case count.';

CREATE TABLE sessions (
    token_hash       bytea PRIMARY KEY,
    id               uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id          uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    address          text NOT NULL DEFAULT '',
    browser          text NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL DEFAULT now(),
    authenticated_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at     timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL,
    CONSTRAINT sessions_id_unique UNIQUE (id)
);
CREATE INDEX sessions_user ON sessions (user_id);

COMMENT ON TABLE sessions IS 'Signed-in browsers. Only the SHA-256 of the cookie is stored.';
COMMENT ON COLUMN sessions.id IS 'Identifies the session on pages, so that the secret never appears there.';
COMMENT ON COLUMN sessions.address IS 'The network address at sign-in.';
COMMENT ON COLUMN sessions.browser IS 'In words, such as Firefox on Linux; the User-Agent header itself is not stored.';
COMMENT ON COLUMN sessions.authenticated_at IS 'When the password, and the second factor if there is one, was last entered in this session.';

CREATE TABLE second_factors (
    user_id      uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    id           uuid NOT NULL,
    secret       text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    last_step    bigint NOT NULL DEFAULT 0,
    failed_codes integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE second_factors IS 'The authenticator app of a user: time-based codes (RFC 6238).';
COMMENT ON COLUMN second_factors.id IS 'Distinguishes an app from one that replaced it while a code was being checked.';
COMMENT ON COLUMN second_factors.secret IS 'Encrypted with a key derived from ROLLCALL_SECRET.';
COMMENT ON COLUMN second_factors.confirmed_at IS 'When the user first entered a valid code; null: setup is not finished, and sign-in asks for no code.';
COMMENT ON COLUMN second_factors.last_step IS 'The time step of the last code that was used. Codes of this step and earlier ones are refused.';
COMMENT ON COLUMN second_factors.failed_codes IS 'Codes of the app tried since the last right code, or recovery code. At the limit only a recovery code is accepted.';

CREATE TABLE recovery_codes (
    user_id   uuid NOT NULL REFERENCES second_factors (user_id) ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);
COMMENT ON TABLE recovery_codes IS 'Replace the code of a lost app, once each. Only the SHA-256 of a code is stored, and its row is deleted when it is used.';

CREATE TABLE password_resets (
    email_key text COLLATE "C" PRIMARY KEY,
    asked_at  timestamptz NOT NULL DEFAULT now(),
    due_at    timestamptz DEFAULT now(),
    attempts  integer NOT NULL DEFAULT 0
);
-- What is still to be mailed, oldest first; nearly always empty.
CREATE INDEX password_resets_due ON password_resets (due_at) WHERE due_at IS NOT NULL;

COMMENT ON TABLE password_resets IS 'Requests for a new password: the outbox of those mails. Addresses without a user are stored too, so that the answer takes the same time for all; they are dropped when they come due.';
COMMENT ON COLUMN password_resets.asked_at IS 'Asking again within minutes sends no second mail; rows are deleted after a day.';
COMMENT ON COLUMN password_resets.due_at IS 'Next attempt; null: done. A claim moves it ahead, so that a mail whose sender died comes due again.';

CREATE TABLE api_tokens (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    token_hash   bytea NOT NULL,
    scopes       text[] NOT NULL,
    created_by   text NOT NULL,
    owner_id     uuid,
    source       text NOT NULL DEFAULT 'default',
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    CONSTRAINT api_tokens_hash_unique UNIQUE (token_hash),
    CONSTRAINT api_tokens_scopes_known CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['imports', 'imports:read', 'admin']),
    CONSTRAINT api_tokens_source_form CHECK (source ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$')
);
COMMENT ON TABLE api_tokens IS 'Bearer tokens of programs. Only the SHA-256 of a token is stored.';
COMMENT ON COLUMN api_tokens.owner_id IS 'The user who created the token or took it over; it works only while that user is an active administrator. Null: created on the command line. No foreign key: an erased owner must not leave the token without one.';
COMMENT ON COLUMN api_tokens.source IS 'The source of the imports that the token starts.';
COMMENT ON COLUMN api_tokens.last_used_at IS 'To the minute: written at most once a minute.';
