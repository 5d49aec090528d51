package roster

// Action is what an import does, or has done, with a row.
type Action string

// The actions.
const (
	ActionCreate    Action = "create"    // makes a user
	ActionUpdate    Action = "update"    // changes an existing user
	ActionUnchanged Action = "unchanged" // the user is as the row says already
	ActionFail      Action = "fail"      // the row has problems and is skipped
)

// FieldChange is one value of a user before and after.
type FieldChange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Plan counts what an import will do, as found by its check. The zero value is
// an import that does nothing.
type Plan struct {
	Create       int64 // rows that make a user
	Update       int64 // rows that change one
	Unchanged    int64 // rows that change nothing
	Disable      int64 // users missing from a full roster
	AdminsGained int64 // users who become administrators, new ones included
	AdminsLost   int64 // administrators who become ordinary users
}

// Count adds a valid row's action and change of role to the plan, and reports
// whether its user gains or loses the rights of an administrator.
func (p *Plan) Count(a Action, before, after Role) (gained, lost bool) {
	switch a {
	case ActionCreate:
		p.Create++
	case ActionUpdate:
		p.Update++
	case ActionUnchanged:
		p.Unchanged++
	}
	gained, lost = before != RoleAdmin && after == RoleAdmin, before == RoleAdmin && after != RoleAdmin
	switch {
	case gained:
		p.AdminsGained++
	case lost:
		p.AdminsLost++
	}
	return gained, lost
}

// Blank says what a blank cell means for a user who is there already. A column
// that the file does not have changes nothing in either case, and email, name and
// role are never emptied.
type Blank string

// The two meanings of a blank cell.
const (
	BlankKeep  Blank = "keep"  // the stored value stays
	BlankClear Blank = "clear" // the stored value is emptied
)

// ParseBlank reads the request's word; blank means keep.
func ParseBlank(s string) (Blank, bool) {
	switch Blank(s) {
	case "", BlankKeep:
		return BlankKeep, true
	case BlankClear:
		return BlankClear, true
	}
	return "", false
}
