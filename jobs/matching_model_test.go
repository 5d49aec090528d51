package jobs_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rollcall/jobs/importer"
	"rollcall/roster"
)

// modelRow is a row of a file: a key, an address and a name, any of which may be
// blank; the address "bad" is none.
type modelRow struct{ key, address, name string }

func (r modelRow) readable() bool { return r.key != "" || r.address != "bad" }

// modelUser is a user of the model.
type modelUser struct {
	key, address string
	disabled     bool
}

// model is what the rules make of users and a file. It decides about the whole
// file at once, and knows of no batches.
type model struct {
	users []*modelUser
	rows  []modelRow

	good  []bool
	about []*modelUser // nil: a new user
	want  struct{ imported, updated, unchanged, failed, disabled int64 }
}

func (m *model) byKey(key string) *modelUser {
	for _, u := range m.users {
		if key != "" && u.key == key {
			return u
		}
	}
	return nil
}

func (m *model) byAddress(address string) *modelUser {
	for _, u := range m.users {
		if u.address == address {
			return u
		}
	}
	return nil
}

// judge decides which rows are good by themselves and beside the rows above.
func (m *model) judge() {
	m.good, m.about = make([]bool, len(m.rows)), make([]*modelUser, len(m.rows))
	keys, addresses := map[string]bool{}, map[string]bool{}
	for k, r := range m.rows {
		if r.name == "" || r.address == "bad" || keys[r.key] || addresses[r.address] {
			continue
		}
		keys[r.key], addresses[r.address] = r.key != "", true
		m.good[k] = true
		if m.about[k] = m.byKey(r.key); m.about[k] == nil {
			if u := m.byAddress(r.address); u != nil && (r.key == "" || u.key == "") {
				m.about[k] = u
			}
		}
	}
	for k := range m.rows { // one user in two rows: the first one counts
		for j := range k {
			if m.about[k] != nil && m.about[j] == m.about[k] {
				m.good[k] = false
			}
		}
	}
}

// untangle takes out the rows whose address stays with somebody else, until none
// is left.
func (m *model) untangle() {
	for again := true; again; {
		again = false
		for k, r := range m.rows {
			holder := m.byAddress(r.address)
			if !m.good[k] || holder == nil || holder == m.about[k] {
				continue
			}
			moves := false
			for j := range m.rows {
				moves = moves || m.good[j] && m.about[j] == holder && m.rows[j].key != "" && m.rows[j].address != holder.address
			}
			if !moves || holder.key == "" {
				m.good[k], again = false, true
			}
		}
	}
}

// apply makes the users what the good rows say, all at once, and disables those
// who are missing.
func (m *model) apply() {
	var missing []*modelUser
	unreadable, valid := false, false
	for k, r := range m.rows {
		unreadable = unreadable || !r.readable()
		valid = valid || m.good[k]
	}
	if !valid {
		return
	}
	for _, u := range m.users {
		present := slices.ContainsFunc(m.rows, func(r modelRow) bool {
			return u.key != "" && r.key == u.key || r.address == u.address
		})
		if !present && !unreadable {
			missing = append(missing, u)
		}
	}
	for k, r := range m.rows {
		switch u := m.about[k]; {
		case !m.good[k]:
			m.want.failed++
		case u == nil:
			m.want.imported++
			m.users = append(m.users, &modelUser{key: r.key, address: r.address})
		case u.address == r.address && (r.key == "" || u.key == r.key):
			m.want.unchanged++
		default:
			m.want.updated++
			defer func() { u.address = r.address }() // all at once
			if r.key != "" {
				u.key = r.key
			}
		}
	}
	for _, u := range missing {
		u.disabled = true
		m.want.disabled++
	}
}

func (m *model) people() (people, disabled []string) {
	for _, u := range m.users {
		people = append(people, u.key+"="+u.address)
		if u.disabled {
			disabled = append(disabled, u.address)
		}
	}
	slices.Sort(people)
	slices.Sort(disabled)
	return people, disabled
}

// TestMatchingModel compares random files with what a model of the rules says:
// whoever has a key keeps the account, whatever addresses go round; refused rows
// count as present; and an undo takes all of it back.
func TestMatchingModel(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		h.empty()
		im := h.importer(importer.Config{BatchRows: 1 + random.IntN(4)})
		m := &model{}
		letters := strings.Split("abcdefgh", "")
		shuffle := func() {
			random.Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
		}
		key := func(k int) string { // one in five has none
			if random.IntN(5) == 0 {
				return ""
			}
			return fmt.Sprint(k)
		}
		shuffle()
		var first []string
		for k := range 1 + random.IntN(6) {
			u := &modelUser{key: key(k), address: letters[k]}
			m.users, first = append(m.users, u), append(first, u.key+"="+u.address)
		}
		before, _ := m.people()
		h.run(im, h.upload(keyed(first...), full).ID)
		shuffle()
		for k := range 1 + random.IntN(7) {
			r := modelRow{key(random.IntN(7)), letters[k], "N"}
			switch random.IntN(20) {
			case 0:
				r.address = "bad"
			case 1:
				r.address = letters[random.IntN(len(letters))]
			case 2, 3:
				r.name = ""
			}
			m.rows = append(m.rows, r)
		}
		file := "external_id,email,name\n"
		for _, r := range m.rows {
			if r.address == "bad" {
				file += fmt.Sprintf("%s,bad,%s\n", r.key, r.name)
			} else {
				file += fmt.Sprintf("%s,%s@example.com,%s\n", r.key, r.address, r.name)
			}
		}
		m.judge()
		m.untangle()
		m.apply()
		people, disabled := m.people()
		i := h.run(im, h.upload(file, full).ID)
		if got := h.people(); !slices.Equal(got, people) || !slices.Equal(h.disabled(), disabled) {
			t.Fatalf("round %d: %v, then\n%s%s: %v, disabled %v; want %v, disabled %v", round, first, file, i.Status, got, h.disabled(), people, disabled)
		}
		if i.Status == roster.Failed && i.Failure.Code == roster.EmptyRoster && m.want == (model{}).want {
			continue
		}
		got := m.want
		got.imported, got.updated, got.unchanged, got.failed, got.disabled = i.Imported, i.Updated, i.Unchanged, i.Counts.Failed, i.Disabled
		plan := roster.Plan{Create: got.imported, Update: got.updated, Unchanged: got.unchanged, Disable: got.disabled}
		if i.Status != roster.Completed || got != m.want || i.Plan != plan {
			t.Fatalf("round %d: %v, then\n%s%s: %+v, planned %+v; want %+v", round, first, file, i.Status, got, i.Plan, m.want)
		}
		if h.undo(i.ID); !slices.Equal(h.people(), before) || len(h.disabled()) > 0 {
			t.Fatalf("round %d: %v, then\n%safter the undo: %v, disabled %v", round, first, file, h.people(), h.disabled())
		}
	}
}
