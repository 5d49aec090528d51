package storage

import (
	"context"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// StateCounts are how many imports and invitations there are in each state, those
// without any included. Revoked invitations are not counted, as imports do not
// count them.
type StateCounts struct {
	Imports     map[roster.Status]int64
	Invitations map[roster.InvitationStatus]int64
}

// Stats are what an operator watches in the database.
type Stats struct {
	// QueueAge is how long the import has waited for a worker that has waited
	// longest.
	QueueAge time.Duration
	// CrashStreak is how many claims in a row have ended without a commit, of the
	// import with the most of them. The present claim of one being worked on
	// counts until its first commit.
	CrashStreak int64
	// DueAge is how long the oldest thing has been due, by kind: "invitation",
	// "password_reset", "webhook".
	DueAge map[string]time.Duration
	// MailPaused: no invitation is sent now. MailMisconfigured: because of
	// something that only an administrator can fix. MailSlowedTo is how many a
	// second are sent since the mail server asked for fewer; 0: it did not.
	MailPaused        bool
	MailMisconfigured bool
	MailSlowedTo      float64
	Webhooks          WebhookLag
	MissedImports     int64 // tokens whose expected import did not come
}

const (
	selectImports = `
		SELECT status, count(*) AS n,
		       sum(invites_held)::bigint AS held, sum(invites_pending)::bigint AS pending, sum(invites_sent)::bigint AS sent,
		       sum(invites_failed)::bigint AS failed, sum(invites_accepted)::bigint AS accepted,
		       (SELECT count(*) FROM invitations i WHERE import_id IS NOT NULL AND ` + bounced + `) AS bounced -- of all imports, in each row
		  FROM imports GROUP BY status`
	selectSingle = `
		SELECT CASE WHEN ` + bounced + ` THEN 'bounced' ELSE status END AS status, count(*) AS n
		  FROM invitations i WHERE import_id IS NULL GROUP BY 1`
)

// CountStates adds up the counters of all imports. It reads every import, but no
// user, and of the invitations that belong to an import only those that bounced. See
// ADR 20.
func (s *Store) CountStates(ctx context.Context) (c StateCounts, err error) {
	defer translate(&err, "count states")
	c = StateCounts{Imports: map[roster.Status]int64{}, Invitations: map[roster.InvitationStatus]int64{}}
	for _, status := range roster.Statuses() {
		c.Imports[status] = 0
	}
	for _, status := range append(slices.Clone(counted), roster.InvitationBounced) {
		c.Invitations[status] = 0
	}
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := c.addImports(ctx, tx); err != nil {
			return err
		}
		return c.addSingle(ctx, tx)
	})
	return c, err
}

func (c *StateCounts) addImports(ctx context.Context, tx *sqlx.Tx) error {
	var imports []struct {
		Status                                roster.Status
		N                                     int64
		Held, Pending, Sent, Failed, Accepted int64
		Bounced                               int64
	}
	if err := tx.SelectContext(ctx, &imports, selectImports); err != nil {
		return err
	}
	for _, i := range imports {
		c.Imports[i.Status] = i.N
		c.Invitations[roster.InvitationHeld] += i.Held
		c.Invitations[roster.InvitationPending] += i.Pending
		c.Invitations[roster.InvitationSent] += i.Sent
		c.Invitations[roster.InvitationFailed] += i.Failed
		c.Invitations[roster.InvitationAccepted] += i.Accepted
		c.Invitations[roster.InvitationBounced] = i.Bounced
	}
	c.Invitations[roster.InvitationFailed] -= c.Invitations[roster.InvitationBounced]
	return nil
}

// addSingle adds the invitations of users who came by no import.
func (c *StateCounts) addSingle(ctx context.Context, tx *sqlx.Tx) error {
	var single []struct {
		Status roster.InvitationStatus
		N      int64
	}
	if err := tx.SelectContext(ctx, &single, selectSingle); err != nil {
		return err
	}
	for _, i := range single {
		if _, known := c.Invitations[i.Status]; known {
			c.Invitations[i.Status] += i.N
		}
	}
	return nil
}

// The queries of stats read the first entries of partial indexes, however much
// there is.
const (
	selectWaiting = `
		SELECT COALESCE(EXTRACT(EPOCH FROM max(clock_timestamp() - since) FILTER (WHERE free)), 0)::float8 AS age,
		       COALESCE(max(failed_claims), 0) AS crash_streak
		  FROM (SELECT lease_until IS NULL OR lease_until <= clock_timestamp() AS free, failed_claims,
		               CASE WHEN status = 'queued' THEN created_at ELSE GREATEST(started_at, enqueued_at, lease_until) END AS since
		          FROM imports WHERE status IN ('queued', 'checking', 'importing')) working`
	selectDue = `
		SELECT 'invitation' AS kind, (SELECT min(due_at) FROM invitations WHERE status = 'pending' AND due_at <= now()
		                               AND (claimed_until IS NULL OR claimed_until <= now())) AS since
		UNION ALL
		SELECT 'password_reset', (SELECT min(due_at) FROM password_resets WHERE due_at IS NOT NULL AND due_at <= now())
		UNION ALL
		SELECT 'webhook', (SELECT min(due_at) FROM webhook_deliveries WHERE status = 'pending' AND due_at <= now())`
)

// Stats reads them.
func (s *Store) Stats(ctx context.Context) (v Stats, err error) {
	defer translate(&err, "read stats")
	v = Stats{DueAge: map[string]time.Duration{}}
	err = s.transact(ctx, func(tx *sqlx.Tx) error { return v.read(ctx, tx) })
	return v, err
}

func (v *Stats) read(ctx context.Context, tx *sqlx.Tx) error {
	var waiting struct {
		Age         float64 `db:"age"`
		CrashStreak int64   `db:"crash_streak"`
	}
	if err := tx.GetContext(ctx, &waiting, selectWaiting); err != nil {
		return err
	}
	v.QueueAge, v.CrashStreak = fromSeconds(waiting.Age), waiting.CrashStreak
	var due []struct {
		Kind string  `db:"kind"`
		Age  float64 `db:"age"`
	}
	if err := tx.SelectContext(ctx, &due, `
		SELECT kind, COALESCE(EXTRACT(EPOCH FROM now() - since), 0)::float8 AS age FROM (`+selectDue+`) due`); err != nil {
		return err
	}
	for _, d := range due {
		v.DueAge[d.Kind] = fromSeconds(d.Age)
	}
	var lag struct {
		Age      float64 `db:"age"`
		Disabled int64   `db:"disabled"`
	}
	if err := tx.GetContext(ctx, &lag, selectWebhookLag); err != nil {
		return err
	}
	if err := tx.GetContext(ctx, &v.MissedImports, `SELECT count(*) FROM api_tokens t WHERE t.expected_every IS NOT NULL AND `+overdueToken); err != nil {
		return err
	}
	v.Webhooks = WebhookLag{Oldest: fromSeconds(lag.Age), Disabled: lag.Disabled}
	return tx.QueryRowxContext(ctx, `
		SELECT COALESCE(paused_until > now(), false), pauses > 0 AND configuration, `+slowedTo+` FROM mail_state`).
		Scan(&v.MailPaused, &v.MailMisconfigured, &v.MailSlowedTo)
}

func fromSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
