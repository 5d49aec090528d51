-- +goose Up
CREATE TABLE second_factors (
    user_id      uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    id           uuid NOT NULL,
    secret       text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    last_step    bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE second_factors IS 'The authenticator app of a person: codes that depend on the time (RFC 6238).';
COMMENT ON COLUMN second_factors.id IS 'Tells an app from the one that took its place while a code was being checked.';
COMMENT ON COLUMN second_factors.secret IS 'Sealed with a key from ROLLCALL_SECRET.';
COMMENT ON COLUMN second_factors.confirmed_at IS 'When the person showed with a code that the app has the secret; null: being set up, which counts for nothing.';
COMMENT ON COLUMN second_factors.last_step IS 'The time step of the last code that was used. A code is good once, and none before it is good any more.';

CREATE TABLE recovery_codes (
    user_id   uuid NOT NULL REFERENCES second_factors (user_id) ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);
COMMENT ON TABLE recovery_codes IS 'What stands in for a lost app. Only the SHA-256 of a code is kept, and its row goes when it is used.';
