-- +goose Up
CREATE TABLE mail_workers (
    id         uuid PRIMARY KEY,
    beat       bigint NOT NULL DEFAULT 0,
    seen_beat  bigint NOT NULL DEFAULT -1,
    missed     integer NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT mail_workers_missed_positive CHECK (missed >= 0)
);
COMMENT ON TABLE mail_workers IS 'Workers that send invitations. A claim counts only while its worker is in here.';
COMMENT ON COLUMN mail_workers.beat IS 'Raised by the worker every second.';
COMMENT ON COLUMN mail_workers.seen_beat IS 'The beat that was seen at the last look.';
COMMENT ON COLUMN mail_workers.missed IS 'Looks in a row that found no new beat. They are counted, not timed, so that a time in which the database is away kills no worker.';

ALTER TABLE invitations ADD COLUMN claimed_by uuid;
COMMENT ON COLUMN invitations.claimed_by IS 'The worker of mail_workers that has the claim; null: the claim lasts until claimed_until in any case.';
