package migrations_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lib/pq"

	"rollcall/test/pgtest"
)

// The rows that the cases below change: a completed import and a user with an
// accepted invitation.
const fixture = `
	INSERT INTO imports (id, status, dry_run, on_duplicate, send_invitations, filename, size_bytes, sha256,
	                     actor_kind, actor_id, actor, started_at, finished_at, total, checked, valid, processed, imported, failed)
	VALUES ('00000000-0000-7000-8000-000000000001', 'completed', false, 'skip', true, 'f.csv', 1, sha256(''),
	        'config', '00000000-0000-0000-0000-000000000000', 'test', now(), now(), 3, 3, 2, 3, 2, 1);
	INSERT INTO users (id, email, email_key, name, status, password_hash)
	VALUES ('00000000-0000-7000-8000-000000000002', 'a@example.com', 'a@example.com', 'A', 'active', 'hash');
	INSERT INTO invitations (user_id, status, sent_at, expires_at, accepted_at)
	VALUES ('00000000-0000-7000-8000-000000000002', 'accepted', now(), now(), now());
	INSERT INTO api_tokens (id, name, token_hash, scopes, created_by)
	VALUES ('00000000-0000-7000-8000-000000000003', 't', sha256(''), '{imports}', 'test');
	INSERT INTO audit_log (id, actor_kind, actor_id, actor, action, target)
	VALUES ('00000000-0000-7000-8000-000000000004', 'system', '00000000-0000-0000-0000-000000000000', 'test', 'a', 'b');
	INSERT INTO webhooks (id, actor_kind, actor_id, actor, url, secret)
	VALUES ('00000000-0000-7000-8000-000000000005', 'config', '00000000-0000-0000-0000-000000000000', 'test', 'https://example.com', 's');
	INSERT INTO webhook_deliveries (id, webhook_id, import_id, event, body)
	VALUES ('00000000-0000-7000-8000-000000000006', '00000000-0000-7000-8000-000000000005', '00000000-0000-7000-8000-000000000001', 'import.completed', '{}');`

// TestImpossibleStatesAreRefused: the database rejects what no code may ever
// write.
func TestImpossibleStatesAreRefused(t *testing.T) {
	t.Parallel()
	db := connect(t, pgtest.Owner(t, pgtest.New(t)))
	exec(t, db, fixture)
	const unended = `finished_at = NULL, `
	tried := map[string]bool{}
	for _, c := range []struct{ table, set, constraint string }{
		{"imports", `status = 'paused', ` + unended + `failed = failed`, "imports_status_known"},
		{"imports", `on_duplicate = 'merge'`, "imports_on_duplicate_known"},
		{"imports", `sha256 = '\x00'`, "imports_sha256_size"},
		{"imports", `started_at = NULL`, "imports_started"},
		{"imports", unended + `status = 'completed'`, "imports_finished"},
		{"imports", `status = 'importing'`, "imports_finished"},
		{"imports", unended + `status = 'ready'`, "imports_ready_is_dry"},
		{"imports", `dry_run = true`, "imports_dry_writes_nothing"},
		{"imports", `failure = '{}'`, "imports_failure"},
		{"imports", `status = 'failed', processed = 0`, "imports_failure"},
		{"imports", `status = 'failed', failure = '{}'`, "imports_failed_wrote_nothing"},
		{"imports", `lease_until = now()`, "imports_lease_while_working"},
		{"imports", unended + `status = 'importing', purged_at = now()`, "imports_purged_after_end"},
		{"imports", unended + `status = 'ready', dry_run = true, processed = 0, valid = 1`, "imports_ready_counts"},
		{"imports", unended + `status = 'ready', dry_run = true, processed = 0, total = NULL`, "imports_ready_counts"},
		{"imports", `total = NULL`, "imports_completed_counts"},
		{"imports", `imported = 1`, "imports_completed_counts"},
		{"imports", `valid = -1`, "imports_counts_positive"},
		{"imports", `unchanged = -1, imported = imported + 1`, "imports_unchanged_positive"},
		{"imports", `plan_update = -1`, "imports_plan_positive"},
		{"imports", `edits = -1`, "imports_edits_positive"},
		{"imports", `keyed_rows = -1`, "imports_edits_positive"},
		{"imports", `plan_departments_cleared = -1`, "imports_departments_cleared_positive"},
		{"imports", `blank = 'drop'`, "imports_blank_known"},
		{"imports", `source = '-'`, "imports_source_form"},
		{"imports", `stage = 'none'`, "imports_stage_known"},
		{"imports", `missing = 'erase'`, "imports_missing_known"},
		{"imports", `missing = 'disable'`, "imports_missing_updates"},
		{"imports", `value_map = '[]'`, "imports_value_map_object"},
		{"imports", `role_values = (SELECT jsonb_agg(n) FROM generate_series(1, 52) n)`, "imports_role_values_bounded"},
		{"users", `attributes = '{}'`, "users_attributes_object"},
		{"users", `locale = ''`, "users_locale_form"},
		{"imports", `plan_disable = -1`, "imports_disabled_positive"},
		{"imports", unended + `status = 'held', imported = 0, total = 3, valid = 2`, "imports_held_wrote_nothing"},
		{"imports", `header_row = -1`, "imports_header_row_positive"},
		{"imports", `converted_bytes = 1`, "imports_converted_workbook"},
		{"api_tokens", `source = ''`, "api_tokens_source_form"},
		{"users", `missing_from = 'default'`, "users_missing_is_disabled"},
		{"imports", `invites_sent = -1`, "imports_invites_positive"},
		{"imports", `invites_reminders = -1`, "imports_invites_reminders_positive"},
		{"imports", unended + `status = 'importing', undo_requested_at = now()`, "imports_undo_after_end"},
		{"imports", `undo_finished_at = now()`, "imports_undo_finished"},
		{"imports", `previous_import_id = id`, "imports_previous_is_another"},
		{"imports", `notify = array_fill('a'::text, ARRAY[11])`, "imports_notify_bounded"},
		{"imports", `trace_parent = '00-trace'`, "imports_trace_parent"},
		{"users", `role = 'owner'`, "users_role_known"},
		{"users", `status = 'gone'`, "users_status_known"},
		{"users", `password_hash = NULL`, "users_active_has_password"},
		{"users", `status = 'invited'`, "users_invited_has_no_password"},
		{"api_tokens", `scopes = '{}'`, "api_tokens_scopes_known"},
		{"api_tokens", `scopes = '{imports,root}'`, "api_tokens_scopes_known"},
		{"api_tokens", `notify = array_fill('a'::text, ARRAY[11])`, "api_tokens_notify_bounded"},
		{"api_tokens", `expected_every = 5`, "api_tokens_expected"},
		{"api_tokens", `expected_every = 0, expected_from = now()`, "api_tokens_expected"},
		{"api_tokens", `missed_at = now()`, "api_tokens_missed"},
		{"audit_log", `actor_kind = 'robot'`, "audit_log_actor_known"},
		{"invitations", `status = 'lost', accepted_at = NULL`, "invitations_status_known"},
		{"invitations", `status = 'sent', accepted_at = NULL, expires_at = NULL`, "invitations_sent"},
		{"invitations", `status = 'sent', accepted_at = NULL, sent_at = NULL`, "invitations_sent"},
		{"invitations", `accepted_at = NULL`, "invitations_accepted"},
		{"invitations", `status = 'revoked'`, "invitations_accepted"},
		{"invitations", `claimed_until = now()`, "invitations_claimed_while_pending"},
		{"invitations", `reminder_age = -1`, "invitations_reminders_positive"},
		{"invitations", `reminders = 1`, "invitations_reminded"},
		{"mail_state", `only_row = false`, "mail_state_only_row"},
		{"mail_state", `slowed_rate = 5`, "mail_state_slowed"},
		{"webhooks", `previous_secret = 's'`, "webhooks_previous"},
		{"webhooks", `events = '{}'`, "webhooks_events_known"},
		{"webhooks", `events = '{import.started}'`, "webhooks_events_known"},
		{"webhooks", `events = '{users.changed}'`, "webhooks_changes"},
		{"webhooks", `changes_after = 'AAAA', changes_position = 0`, "webhooks_changes"},
		{"webhooks", `events = '{users.changed}', changes_after = 'AAAA'`, "webhooks_changes"},
		{"webhooks", `disabled_at = now(), disabled_reason = 'failing'`, "webhooks_disabled"},
		{"webhooks", `events = '{users.changed}', changes_after = 'AAAA', changes_position = 0, disabled_at = now()`, "webhooks_disabled"},
		{"webhooks", `events = '{users.changed}', changes_after = 'AAAA', changes_position = 0, disabled_at = now(), disabled_reason = 'bored'`, "webhooks_disabled_reason_known"},
		{"webhook_deliveries", `body = NULL`, "webhook_deliveries_subject"},
		{"webhook_deliveries", `changes_after = 'AAAA', changes_next = 'AAAA'`, "webhook_deliveries_subject"},
		{"webhook_deliveries", `import_id = NULL, body = NULL, changes_after = 'AAAA'`, "webhook_deliveries_subject"},
		{"webhook_deliveries", `status = 'lost', finished_at = now()`, "webhook_deliveries_status_known"},
		{"webhook_deliveries", `status = 'delivered'`, "webhook_deliveries_finished"},
		{"webhook_deliveries", `finished_at = now()`, "webhook_deliveries_finished"},
		{"webhook_deliveries", `status = 'failed', finished_at = now(), claimed_until = now()`, "webhook_deliveries_claimed_while_pending"},
		{"webhook_deliveries", `attempt_log = (SELECT jsonb_agg(n) FROM generate_series(1, 51) n)`, "webhook_deliveries_attempt_log_bounded"},
	} {
		tried[c.constraint] = true
		t.Run(fmt.Sprintf("%s: %s", c.table, c.set), func(t *testing.T) {
			t.Parallel()
			_, err := db.ExecContext(t.Context(), `UPDATE `+c.table+` SET `+c.set)
			var refused *pq.Error
			if !errors.As(err, &refused) || refused.Constraint != c.constraint {
				t.Errorf("got %v, want a breach of %s", err, c.constraint)
			}
		})
	}
	rows, err := db.QueryContext(t.Context(), `
		SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = ANY('{imports,users,api_tokens,audit_log,invitations,mail_state,webhooks,webhook_deliveries}'::regclass[])`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if !tried[name] {
			t.Errorf("no case breaches %s", name)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestRevisions: visible changes, and only those, make a new revision and a
// notification.
func TestRevisions(t *testing.T) {
	t.Parallel()
	db := connect(t, pgtest.New(t))
	exec(t, db, fixture)
	revision := func() (n int) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), `SELECT revision FROM imports`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct {
		set  string
		seen int
	}{
		{`fence = fence + 1, dispatch = dispatch + 1, enqueued_at = now(), cursor_row = 7, failed_claims = 1`, 0},
		{`imported = imported`, 0},
		{`invites_sent = invites_sent + 1`, 1},
		{`warnings = '[{"code": "x"}]'`, 1},
		{`undo_requested_at = now()`, 1},
		{`undo_removed = undo_removed + 1`, 1},
		{`undo_kept = undo_kept + 1, undo_cursor = gen_random_uuid()`, 1},
		{`undo_finished_at = now()`, 1},
		{`purged_at = now()`, 1},
	} {
		before := revision()
		exec(t, db, `UPDATE imports SET `+c.set)
		if got := revision() - before; got != c.seen {
			t.Errorf("%s: %d new revisions, want %d", strings.TrimSpace(c.set), got, c.seen)
		}
	}
}
