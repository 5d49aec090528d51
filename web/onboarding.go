package web

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"rollcall/roster"
	"rollcall/storage"
	"rollcall/web/login"
)

const (
	onboardingPath = "/admin/onboarding"
	// listedDepartments is how many departments the page shows.
	listedDepartments = 20
)

// onboardingView shows how far invited people have come: all of them, those of an
// import, or those of a department.
type onboardingView struct {
	userSearch         // Import and Department: whose onboarding it is
	File       string  // name of the import's file
	Stages     []stage // of everyone in scope
	Groups     []departmentOnboarding
	More       int64 // departments that are not listed
	Days       acceptedChart
	Counts     storage.OnboardingCounts
	Reminding  bool // reminders go out
}

func (v onboardingView) pageMeta() pageMeta {
	f := pageMeta{Template: "onboarding", Title: "Onboarding", Section: sectionOnboarding}
	if v.Live() {
		f.Refresh = 10
	}
	return f
}

// Live reports whether mail is going out.
func (v onboardingView) Live() bool { return v.Counts.Pending > 0 || v.Reminding }

// All is the path of everyone's onboarding.
func (onboardingView) All() string { return onboardingPath }

// Remind is the path of the page that asks whether to remind those whose link works.
func (v onboardingView) Remind() string {
	return v.people(roster.InvitationSent).path(remindPath)
}

// people are those in scope whose invitation is in a state.
func (v userSearch) people(state roster.InvitationStatus) userSearch {
	v.Invitation = state
	return v
}

// stage is a bar of the page and the people behind it.
type stage struct {
	Label  string
	Kind   string // class of its color
	N      int64
	Of     int64 // of how many
	People string
}

// Share is N in percent of Of.
func (s stage) Share() float64 { return share(s.N, s.Of) }

// Percent is the share for people, "–" of none.
func (s stage) Percent() string { return percent(s.N, s.Of) }

// departmentOnboarding is a row of the table of departments.
type departmentOnboarding struct {
	Name     string // "" for people without one
	Path     string // the department's own page
	Counts   storage.OnboardingCounts
	Stages   []stage // parts of one bar, from the left
	Accepted stage
}

// At is where a part of the bar begins, in percent.
func (d departmentOnboarding) At(part int) (at float64) {
	for _, s := range d.Stages[:part] {
		at += s.Share()
	}
	return at
}

// fill turns counts into what the page shows.
func (v *onboardingView) fill(o storage.Onboarding) {
	v.Counts, v.Reminding = o.Total, o.Reminding
	v.Stages = v.stages(o.Total)
	for _, d := range o.Departments {
		search := v.userSearch
		search.Department, search.NoDepartment = d.Name, d.Name == ""
		row := departmentOnboarding{Name: d.Name, Path: search.path(onboardingPath), Counts: d.OnboardingCounts}
		all := search.stages(d.OnboardingCounts)
		row.Accepted, row.Stages = all[2], all[2:]
		v.Groups = append(v.Groups, row)
	}
	v.More = o.DepartmentCount - int64(len(o.Departments))
	v.Days = newAcceptedChart(v.userSearch, o.Accepted)
}

// stages are everyone invited, those to whom mail went, those who accepted, and
// what became of the others.
func (v userSearch) stages(n storage.OnboardingCounts) []stage {
	of := func(label, kind string, count int64, state roster.InvitationStatus) stage {
		return stage{label, kind, count, n.Invited(), v.people(state).path(login.HomePath)}
	}
	return []stage{
		of("Invited", "invited", n.Invited(), storage.InvitationAny),
		of("Sent", "mailed", n.Mailed(), storage.InvitationMailed),
		of("Accepted", "accepted", n.Accepted, roster.InvitationAccepted),
		of("Waiting for a reply", "waiting", n.Sent, roster.InvitationSent),
		of("Expired", "expired", n.Expired, roster.InvitationExpired),
		of("Bounced", "bounced", n.Bounced, roster.InvitationBounced),
		of("Not sent", "unsent", n.Unsent(), storage.InvitationUnsent),
	}
}

// showOnboarding shows how far people have come. Parameters: import, department,
// no_department; see readUserSearch.
func (s *Site) showOnboarding(c *gin.Context, admin *roster.User) error {
	search := readUserSearch(c)
	v := onboardingView{userSearch: userSearch{Import: search.Import, Department: search.Department, NoDepartment: search.NoDepartment}}
	scope := storage.OnboardingScope{Department: v.Department, Departmentless: v.NoDepartment}
	ctx := c.Request.Context()
	if v.Import != "" {
		scope.ImportID = uuid.MustParse(v.Import) // validated when it was read
		i, err := s.deps.Store.Import(ctx, scope.ImportID)
		if err != nil {
			return err
		}
		v.File = i.Filename
	}
	o, err := s.onboarding.read(ctx, scope)
	if err != nil {
		return err
	}
	v.fill(o)
	return s.show(c, http.StatusOK, admin, v)
}
