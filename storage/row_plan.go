package storage

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// RowPlan is what an import will do with a row, as things are now.
type RowPlan struct {
	Action   roster.Action
	UserID   uuid.UUID   // the user it is about; zero: a new one
	ImportID *uuid.UUID  // the import that created that user, if one did
	OldRole  roster.Role // "" of a new user
	Role     roster.Role // afterwards
	Changes  map[roster.Column]roster.FieldChange
	// DepartmentCleared: a blank cell empties the user's department.
	DepartmentCleared bool
	// OldKey and OldEmailKey are the key in the import's source and the address
	// that the user has; "" of a new user, or without a key.
	OldKey, OldEmailKey string
	// Problem is why the row cannot go in as things are; nil unless another user
	// has its address. HolderKey is then that user's key: the row can go in if the
	// file gives that user another address. "" if that cannot happen.
	Problem   *roster.Problem
	HolderKey string
	// AccessKept: the user keeps role and status although the row gives others.
	AccessKept bool
	// ActiveAdmins is by how many the row changes the number of active administrators.
	ActiveAdmins int
}

// PlanRows tells what an import with these rules would do with rows, each by
// itself: one plan a row, in their order. Whether the import may create
// administrators is not considered: a row that may not has a problem before. Plans
// of rows that change nothing name no user unless all is set, which is slower, or
// the row has no key and the user has; they may be the same one, not to be changed.
func (s *Store) PlanRows(ctx context.Context, m Matching, rows []UserRow, all bool) (plans []*RowPlan, err error) {
	defer translate(&err, "plan %d rows", len(rows))
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		wanted := withoutKeys
		if all {
			wanted = everyMatch
		}
		matches, err := matchRows(ctx, tx, m, rows, wanted)
		if err != nil {
			return err
		}
		plans = slices.Repeat([]*RowPlan{{Action: roster.ActionUnchanged}}, len(rows))
		slices.SortFunc(matches, func(a, b match) int { return a.index - b.index })
		admins := activeAdmins{ctx: ctx, tx: tx, before: m.AdminsBefore, left: -1}
		for k := range matches {
			f := &matches[k]
			if plans[f.index], err = planRow(m, f, &admins); err != nil {
				return err
			}
		}
		return nil
	})
	return plans, err
}

// activeAdmins counts the active administrators left, once it matters.
type activeAdmins struct {
	ctx    context.Context
	tx     *sqlx.Tx
	before int
	left   int // -1: not yet counted
}

// isLast reports whether there is only one left.
func (a *activeAdmins) isLast() (bool, error) {
	if a.left < 0 {
		if err := sqlx.GetContext(a.ctx, a.tx, &a.left, `SELECT count(*) FROM users WHERE role = 'admin' AND status = 'active'`); err != nil {
			return false, err
		}
		a.left += a.before
	}
	return a.left <= 1, nil
}

func (a *activeAdmins) change(n int) {
	if a.before += n; a.left >= 0 {
		a.left += n
	}
}

func planRow(m Matching, f *match, admins *activeAdmins) (*RowPlan, error) {
	p := &RowPlan{Action: roster.ActionCreate, Role: f.row.Role, Problem: f.problem(), HolderKey: f.holderKey}
	if f.user == nil {
		return p, nil
	}
	if m.KeepAdmins {
		if problem := m.adminProblem(f); problem != nil {
			p.Problem, p.HolderKey = problem, ""
		}
	}
	was := f.user.userValues
	now := m.wanted(f.row, f.user)
	if now.Role != was.Role || now.Status != was.Status {
		p.AccessKept = f.user.ID == m.Caller || m.KeepAdmins && was.Role == roster.RoleAdmin
		if !p.AccessKept && was.activeAdmin() && !now.activeAdmin() {
			var err error
			if p.AccessKept, err = admins.isLast(); err != nil {
				return p, err
			}
		}
	}
	if p.AccessKept {
		now.Role, now.Status = was.Role, was.Status
	}
	switch {
	case p.Problem != nil || was.activeAdmin() == now.activeAdmin():
	case was.activeAdmin():
		p.ActiveAdmins = -1
	default:
		p.ActiveAdmins = 1
	}
	admins.change(p.ActiveAdmins)
	p.Action, p.UserID, p.ImportID, p.OldRole, p.Role = roster.ActionUnchanged, f.user.ID, f.user.ImportID, was.Role, now.Role
	p.OldKey, p.OldEmailKey = was.Key, f.user.EmailKey
	if was != now {
		p.Action, p.Changes = roster.ActionUpdate, changes(was, now)
		p.DepartmentCleared = was.Department != "" && now.Department == ""
	}
	return p, nil
}
