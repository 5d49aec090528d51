package storage

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// Groups of invitations that [UserFilter] knows beside the single states.
const (
	InvitationAny    roster.InvitationStatus = "any"    // all but revoked ones
	InvitationMailed roster.InvitationStatus = "mailed" // taken by the mail server, whatever came of it: sent, expired, bounced or accepted
	InvitationUnsent roster.InvitationStatus = "unsent" // held, pending or failed
)

// invitationGroups are the conditions of those groups over an invitation i.
var invitationGroups = map[roster.InvitationStatus]string{
	InvitationAny:    "i.status <> 'revoked'",
	InvitationMailed: "(i.status IN ('sent', 'accepted') OR " + bounced + ")",
	InvitationUnsent: "(i.status IN ('held', 'pending', 'failed') AND " + notBounced + ")",
}

// OnboardingScope says whose onboarding is counted. The zero value means everyone.
type OnboardingScope struct {
	ImportID   uuid.UUID // users created by this import; uuid.Nil: all
	Department string    // in any case; "": all, or with Departmentless those without
	// Departmentless: only users without a department.
	Departmentless bool
}

// Onboarding is how far invited people have come.
type Onboarding struct {
	Total       OnboardingCounts
	Departments []DepartmentOnboarding // the largest, most people first
	// DepartmentCount is how many departments there are, those not in the list
	// included; having none counts as one.
	DepartmentCount int64
	Accepted        []AcceptedDay // days on which someone accepted, ascending
	Reminding       bool          // reminders wait to be mailed, to anyone
}

// OnboardingCounts are numbers of people by the state of their invitation, with
// the conditions of [UserFilter]: a list of users has as many.
type OnboardingCounts struct {
	Held, Pending, Failed, Bounced, Sent, Expired, Accepted int64
}

// Invited is how many have an invitation that was not revoked.
func (c OnboardingCounts) Invited() int64 { return c.Mailed() + c.Unsent() }

// Mailed is how many invitations the mail server took.
func (c OnboardingCounts) Mailed() int64 { return c.Bounced + c.Sent + c.Expired + c.Accepted }

// Unsent is how many invitations it did not take, or not yet.
func (c OnboardingCounts) Unsent() int64 { return c.Held + c.Pending + c.Failed }

func (c *OnboardingCounts) add(status roster.InvitationStatus, n int64) {
	switch status {
	case roster.InvitationHeld:
		c.Held += n
	case roster.InvitationPending:
		c.Pending += n
	case roster.InvitationFailed:
		c.Failed += n
	case roster.InvitationBounced:
		c.Bounced += n
	case roster.InvitationSent:
		c.Sent += n
	case roster.InvitationExpired:
		c.Expired += n
	case roster.InvitationAccepted:
		c.Accepted += n
	}
}

// DepartmentOnboarding is the part of a department.
type DepartmentOnboarding struct {
	Name string // "" for people without one; names that differ in case are one department
	OnboardingCounts
}

// AcceptedDay is how many people accepted on a day.
type AcceptedDay struct {
	Day time.Time // its start, UTC
	N   int64
}

// Onboarding counts the people in scope, and by department the largest ones up to
// a limit. It reads each of them once: see ADR 51 for what that takes.
func (s *Store) Onboarding(ctx context.Context, scope OnboardingScope, limit int) (o Onboarding, err error) {
	defer translate(&err, "count onboarding")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		o = Onboarding{}
		// For an import among many PostgreSQL expects one user in its range of ids, and
		// would read the range of invitations once for each user that there is.
		if _, err := tx.ExecContext(ctx, `SET LOCAL enable_nestloop = off`); err != nil {
			return err
		}
		where, empty, err := scope.where(ctx, tx)
		if err != nil || empty {
			return err
		}
		var cells []onboardingCell
		if err := tx.SelectContext(ctx, &cells, countOnboarding(where, limit), where.args...); err != nil {
			return err
		}
		o.fill(cells)
		return tx.GetContext(ctx, &o.Reminding, `SELECT EXISTS (SELECT FROM reminders)`)
	})
	return o, err
}

// where is the condition over users u and invitations i. The ids of an import's
// users are close together, so its users are read by the primary key. empty: the
// import has created none.
func (scope OnboardingScope) where(ctx context.Context, tx *sqlx.Tx) (where *whereBuilder, empty bool, err error) {
	f := UserFilter{ImportID: scope.ImportID, Department: scope.Department, AnyCase: true, NoDepartment: scope.Departmentless, Invitation: InvitationAny}
	where = f.where()
	if scope.ImportID == uuid.Nil {
		return where, false, nil
	}
	var span struct {
		First *uuid.UUID `db:"first_user_id"`
		Last  *uuid.UUID `db:"last_user_id"`
	}
	if err := tx.GetContext(ctx, &span, `SELECT first_user_id, last_user_id FROM imports WHERE id = $1`, scope.ImportID); err != nil {
		return nil, false, err
	}
	if span.First == nil || span.Last == nil {
		return nil, true, nil
	}
	where.add("u.id >= ? AND i.user_id >= ?", *span.First)
	where.add("u.id <= ? AND i.user_id <= ?", *span.Last)
	return where, false, nil
}

// onboardingCell is how many people share a state, of all, of a department or of
// those who accepted on a day.
type onboardingCell struct {
	Part        string                  `db:"part"` // "all", "department" or "day"
	Name        string                  `db:"name"`
	Day         *time.Time              `db:"day"`
	Status      roster.InvitationStatus `db:"status"`
	N           int64                   `db:"n"`
	Departments int64                   `db:"departments"`
}

// countOnboarding reads the people once, and adds up what it counted in three ways.
func countOnboarding(where *whereBuilder, limit int) string {
	return `
		WITH cells AS MATERIALIZED (
			SELECT u.department, CASE WHEN ` + bounced + ` THEN 'bounced' WHEN i.status = 'sent' AND i.expires_at <= now() THEN 'expired' ELSE i.status END AS status,
			       (i.accepted_at AT TIME ZONE 'UTC')::date AS day, count(*) AS n
			  FROM users u JOIN invitations i ON i.user_id = u.id ` + where.sql() + `
			 GROUP BY 1, 2, 3
		), named AS MATERIALIZED (
			SELECT lower(department) AS key, department, status, sum(n) AS n FROM cells GROUP BY 1, 2, 3
		), largest AS (
			SELECT key, min(department) AS name, count(*) OVER () AS departments FROM named GROUP BY key ORDER BY sum(n) DESC, key LIMIT ` + where.arg(limit) + `
		)
		SELECT 'all' AS part, '' AS name, NULL::date AS day, status, sum(n)::bigint AS n, 0 AS departments FROM cells GROUP BY status
		UNION ALL
		SELECT 'day', '', day, status, sum(n)::bigint, 0 FROM cells WHERE status = 'accepted' GROUP BY day, status
		UNION ALL
		SELECT 'department', l.name, NULL, c.status, sum(c.n)::bigint, l.departments
		  FROM largest l JOIN named c ON c.key = l.key GROUP BY l.name, c.status, l.departments`
}

func (o *Onboarding) fill(cells []onboardingCell) {
	departments := map[string]*OnboardingCounts{}
	for _, c := range cells {
		switch c.Part {
		case "all":
			o.Total.add(c.Status, c.N)
		case "day":
			o.Accepted = append(o.Accepted, AcceptedDay{c.Day.UTC(), c.N})
		default:
			if departments[c.Name] == nil {
				departments[c.Name] = &OnboardingCounts{}
			}
			departments[c.Name].add(c.Status, c.N)
			o.DepartmentCount = c.Departments
		}
	}
	for name, counts := range departments {
		o.Departments = append(o.Departments, DepartmentOnboarding{name, *counts})
	}
	slices.SortFunc(o.Departments, func(a, b DepartmentOnboarding) int {
		return cmp.Or(cmp.Compare(b.Invited(), a.Invited()), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(o.Accepted, func(a, b AcceptedDay) int { return a.Day.Compare(b.Day) })
}
