package storage

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// Vitals are what an operator watches in the database.
type Vitals struct {
	Imports     map[roster.Status]int64
	Invitations map[roster.InvitationStatus]int64 // by the states an import counts
	// QueueAge is how long the import has waited for a worker that has waited
	// longest.
	QueueAge time.Duration
	// Fruitless is how many claims in a row have ended without a commit, of the
	// import with the most of them. The present claim of one being worked on
	// counts until its first commit.
	Fruitless int64
	// DueAge is how long the oldest thing has been due, by kind: "invitation",
	// "password_reset", "webhook".
	DueAge     map[string]time.Duration
	MailPaused bool
}

// Every query of vitals reads a few rows, however many there are: sums that are
// kept, or the first entries of partial indexes. See ADR 20.
const (
	selectTallies = `SELECT kind, state, sum(n)::bigint AS n FROM tallies GROUP BY kind, state`
	selectSingle  = `SELECT status AS state, count(*) AS n FROM invitations WHERE import_id IS NULL GROUP BY status`
	selectWaiting = `
		SELECT COALESCE(EXTRACT(EPOCH FROM max(clock_timestamp() - since) FILTER (WHERE free)), 0)::float8 AS age,
		       COALESCE(max(crashes), 0) AS fruitless
		  FROM (SELECT lease_until IS NULL OR lease_until <= clock_timestamp() AS free, crashes,
		               CASE WHEN status = 'queued' THEN created_at ELSE GREATEST(started_at, rung_at, lease_until) END AS since
		          FROM imports WHERE status IN ('queued', 'checking', 'importing')) working`
	selectDue = `
		SELECT 'invitation' AS kind, (SELECT min(due_at) FROM invitations WHERE status = 'pending' AND due_at <= now()
		                               AND (claimed_until IS NULL OR claimed_until <= now())) AS since
		UNION ALL
		SELECT 'password_reset', (SELECT min(due_at) FROM password_resets WHERE due_at IS NOT NULL AND due_at <= now())
		UNION ALL
		SELECT 'webhook', (SELECT min(due_at) FROM webhook_deliveries WHERE status = 'pending' AND due_at <= now())`
)

// Vitals reads them.
func (s *Store) Vitals(ctx context.Context) (v Vitals, err error) {
	defer translate(&err, "read vitals")
	v = Vitals{Imports: map[roster.Status]int64{}, Invitations: map[roster.InvitationStatus]int64{}, DueAge: map[string]time.Duration{}}
	for _, status := range roster.Statuses() {
		v.Imports[status] = 0
	}
	for _, status := range counted {
		v.Invitations[status] = 0
	}
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := v.count(ctx, tx); err != nil {
			return err
		}
		return v.age(ctx, tx)
	})
	return v, err
}

func (v *Vitals) count(ctx context.Context, tx *sqlx.Tx) error {
	var tallies, single []struct {
		Kind  string `db:"kind"`
		State string `db:"state"`
		N     int64  `db:"n"`
	}
	if err := tx.SelectContext(ctx, &tallies, selectTallies); err != nil {
		return err
	}
	if err := tx.SelectContext(ctx, &single, selectSingle); err != nil {
		return err
	}
	for _, t := range tallies {
		if t.Kind == "import" {
			v.Imports[roster.Status(t.State)] = t.N
		} else {
			v.Invitations[roster.InvitationStatus(t.State)] = t.N
		}
	}
	for _, t := range single {
		if n, counts := v.Invitations[roster.InvitationStatus(t.State)]; counts {
			v.Invitations[roster.InvitationStatus(t.State)] = n + t.N
		}
	}
	return nil
}

func (v *Vitals) age(ctx context.Context, tx *sqlx.Tx) error {
	var waiting struct {
		Age       float64 `db:"age"`
		Fruitless int64   `db:"fruitless"`
	}
	if err := tx.GetContext(ctx, &waiting, selectWaiting); err != nil {
		return err
	}
	v.QueueAge, v.Fruitless = fromSeconds(waiting.Age), waiting.Fruitless
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
	return tx.GetContext(ctx, &v.MailPaused, `SELECT COALESCE(paused_until > now(), false) FROM mail_state`)
}

func fromSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// foldMost is how many rows of tallies are left alone: to sum them up costs
// nothing.
const foldMost = 50

// FoldTallies sums the moves up that were written down since the last time, one
// row a state. Whoever reads meanwhile sees the same sums.
func (s *Store) FoldTallies(ctx context.Context) (err error) {
	defer translate(&err, "fold tallies")
	_, err = s.db.ExecContext(ctx, `
		WITH gone AS (
			DELETE FROM tallies WHERE (SELECT count(*) FROM tallies) > $1 RETURNING kind, state, n
		)
		INSERT INTO tallies (kind, state, n)
		SELECT kind, state, sum(n)::bigint FROM gone GROUP BY kind, state`, foldMost)
	return err
}

// TalliesDrift compares the tallies with what they count, reading every import:
// for tests and for doubt. It returns "" if they agree.
func (s *Store) TalliesDrift(ctx context.Context) (drift string, err error) {
	defer translate(&err, "compare tallies")
	err = s.db.GetContext(ctx, &drift, `
		WITH counted AS (
			SELECT 'import' AS kind, status AS state, count(*) AS n FROM imports GROUP BY status
			UNION ALL
			SELECT 'invitation', status, count(*) FROM invitations
			 WHERE import_id IS NOT NULL AND status <> 'revoked' GROUP BY status
		), tallied AS (
			SELECT kind, state, sum(n) AS n FROM tallies GROUP BY kind, state
		)
		SELECT COALESCE(string_agg(format('%s %s: tallied %s, counted %s', kind, state, COALESCE(t.n, 0), COALESCE(c.n, 0)), '; '), '')
		  FROM counted c FULL JOIN tallied t USING (kind, state)
		 WHERE COALESCE(t.n, 0) <> COALESCE(c.n, 0)`)
	return drift, err
}
