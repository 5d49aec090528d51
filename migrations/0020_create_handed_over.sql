-- +goose Up
CREATE UNLOGGED TABLE handed_over (
    user_id    uuid NOT NULL,
    generation integer NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, generation)
);
COMMENT ON TABLE handed_over IS 'Invitations the mail server has taken, until their outcome is on record: a few at a time. Whoever takes over from a worker that died in between finds them here and sends no second mail. Unlogged, because a mark must not wait for the disk; PostgreSQL forgets them if it crashes itself, and then the workers, which are alive, record the outcomes they have.';
