-- +goose Up
CREATE TABLE import_actions (
    import_id uuid NOT NULL REFERENCES imports (id),
    action    text NOT NULL,
    first_row bigint NOT NULL,
    last_row  bigint NOT NULL,
    data      bytea NOT NULL,
    PRIMARY KEY (import_id, action, first_row),
    CONSTRAINT import_actions_action_known CHECK (action IN ('create', 'update', 'unchanged')),
    CONSTRAINT import_actions_in_order CHECK (first_row <= last_row)
);
COMMENT ON TABLE import_actions IS 'Which valid rows a checked import would create, update or leave unchanged, in blocks: what the preview lists by action. Failed rows are in import_errors. Only for imports that stop after the check to be confirmed.';
COMMENT ON COLUMN import_actions.data IS 'Row numbers as runs: varints of the distance from the row before and of the length. Blocks of one action may overlap.';

ALTER TABLE imports
    ADD COLUMN admin_lost_rows bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN plan_departments_cleared bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT imports_departments_cleared_positive CHECK (plan_departments_cleared >= 0);
COMMENT ON COLUMN imports.admin_rows IS 'Row numbers of the first rows that make someone an administrator, at most 20: the preview shows them.';
COMMENT ON COLUMN imports.admin_lost_rows IS 'Row numbers of the first rows that make an administrator an ordinary user, at most 20: the preview shows them.';
COMMENT ON COLUMN imports.plan_departments_cleared IS 'Rows whose blank cell empties the department of an existing user, as found by the check.';
