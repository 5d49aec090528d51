package storage_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"rollcall/roster"
	"rollcall/storage"
)

// modelled is what the test believes of one invitation.
type modelled struct {
	status     roster.InvitationStatus
	generation int32
	dispatch   int32
	claimed    bool
	everSent   bool // of this generation: the link has a time of life
}

// mailroom is invitations of one import, and the model of them.
type mailroom struct {
	*testEnv
	importID uuid.UUID
	ids      []uuid.UUID
	model    map[uuid.UUID]*modelled
	tasks    []storage.DueInvitation // ever handed out; most are out of date
}

// TestInvitationsAreTheModel drives invitations through anything that can
// happen to them, in any order, and compares them with a model a page long:
// above all, counters never drift, old tasks and links never do anything, and a
// password is set once.
func TestInvitationsAreTheModel(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		m := newMailroom(h, round, rapid.Bool().Draw(rt, "send"))
		rt.Repeat(map[string]func(*rapid.T){
			"dispatch":   m.dispatchDue,
			"claim":      m.claimTask,
			"record":     m.recordOutcome,
			"resend":     m.resendOne,
			"resend all": m.resendAll,
			"revoke":     m.revokeOne,
			"bounce":     m.bounceOne,
			"accept":     m.acceptOne,
			"":           m.compare,
		})
	})
}

func newMailroom(h *testEnv, round int, send bool) *mailroom {
	var names []string
	for n := range 4 {
		names = append(names, fmt.Sprintf("r%d-%d", round, n))
	}
	i, people := h.imported(roster.Options{SendInvitations: send}, names...)
	h.exec(`DELETE FROM invitations WHERE import_id <> $1`, i.ID) // of the rounds before
	m := &mailroom{testEnv: h, importID: i.ID, model: map[uuid.UUID]*modelled{}}
	status := roster.InvitationHeld
	if send {
		status = roster.InvitationPending
	}
	for _, p := range people {
		m.ids = append(m.ids, p.ID)
		m.model[p.ID] = &modelled{status: status, generation: 1}
	}
	return m
}

func (m *mailroom) any(t *rapid.T) (uuid.UUID, *modelled) {
	id := rapid.SampledFrom(m.ids).Draw(t, "user")
	return id, m.model[id]
}

// task is one handed out at some time, or one that never was.
func (m *mailroom) task(t *rapid.T) storage.DueInvitation {
	return rapid.SampledFrom(append(m.tasks, storage.DueInvitation{UserID: m.ids[0], Dispatch: 99})).Draw(t, "task")
}

func expect(t *rapid.T, doing string, err, want error) {
	if want == nil && err != nil || !errors.Is(err, want) {
		t.Fatalf("%s: %v, want %v", doing, err, want)
	}
}

func (m *mailroom) dispatchDue(t *rapid.T) {
	due, err := m.DispatchInvitations(m.ctx, storage.DispatchLimit{Limit: 2, Again: time.Hour})
	expect(t, "dispatch", err, nil)
	for _, d := range due {
		is := m.model[d.UserID]
		if is.status != roster.InvitationPending || is.claimed || d.Dispatch != is.dispatch+1 {
			t.Fatalf("handed out %+v of %+v", d, is)
		}
		is.dispatch++
		m.tasks = append(m.tasks, d)
	}
}

func (m *mailroom) claimTask(t *rapid.T) {
	d := m.task(t)
	is := m.model[d.UserID]
	out, err := m.ClaimInvitation(m.ctx, d, time.Minute, time.Hour)
	if is.status != roster.InvitationPending || is.claimed || d.Dispatch != is.dispatch {
		expect(t, "claim", err, storage.ErrNotClaimable)
		return
	}
	expect(t, "claim", err, nil)
	if out.Generation != is.generation {
		t.Fatalf("claimed %+v of %+v", out, is)
	}
	is.claimed, is.everSent = true, true
}

func (m *mailroom) recordOutcome(t *rapid.T) {
	d := m.task(t)
	is := m.model[d.UserID]
	o := storage.SendResult{UserID: d.UserID, Dispatch: d.Dispatch, Error: "words", Wait: time.Hour,
		Status: rapid.SampledFrom([]roster.InvitationStatus{roster.InvitationSent, roster.InvitationFailed, roster.InvitationPending}).Draw(t, "status"),
		Spared: rapid.Bool().Draw(t, "spared"), Unknown: rapid.Bool().Draw(t, "unknown")}
	if is.status == roster.InvitationPending && d.Dispatch == is.dispatch {
		if !is.claimed {
			return // nobody has an outcome to record
		}
		is.status, is.claimed = o.Status, false
		is.dispatch++ // the task has done its work
	}
	expect(t, "record", m.RecordOutcomes(m.ctx, []storage.SendResult{o}), nil)
}

func (is *modelled) refresh() {
	*is = modelled{status: roster.InvitationPending, generation: is.generation + 1, dispatch: is.dispatch + 1}
}

func (m *mailroom) resendOne(t *rapid.T) {
	id, is := m.any(t)
	err := m.ResendInvitation(m.ctx, id, by)
	if is.status == roster.InvitationAccepted {
		expect(t, "resend", err, storage.ErrWrongState)
		return
	}
	expect(t, "resend", err, nil)
	is.refresh()
}

func (m *mailroom) resendAll(t *rapid.T) {
	var want int64
	bouncedToo := rapid.Bool().Draw(t, "bounced too")
	for _, is := range m.model {
		switch is.status {
		case roster.InvitationBounced:
			if !bouncedToo {
				continue
			}
			fallthrough
		case roster.InvitationHeld, roster.InvitationPending, roster.InvitationFailed:
			is.refresh()
			want++
		}
	}
	n, err := m.ResendInvitations(m.ctx, m.importID, bouncedToo, by)
	expect(t, "resend all", err, nil)
	if n != want {
		t.Fatalf("%d sent afresh, want %d", n, want)
	}
}

func (m *mailroom) revokeOne(t *rapid.T) {
	id, is := m.any(t)
	err := m.RevokeInvitation(m.ctx, id, by)
	if is.status == roster.InvitationAccepted || is.status == roster.InvitationRevoked {
		expect(t, "revoke", err, storage.ErrWrongState)
		return
	}
	expect(t, "revoke", err, nil)
	is.status, is.claimed = roster.InvitationRevoked, false
	is.dispatch++
}

func (m *mailroom) bounceOne(t *rapid.T) {
	id, is := m.any(t)
	b := storage.Bounce{
		UserID: id, Generation: rapid.Int32Range(1, is.generation).Draw(t, "generation"), Permanent: rapid.Bool().Draw(t, "permanent"), Reason: "words",
	}
	want := storage.BounceIgnored
	switch {
	case b.Generation != is.generation:
	case is.claimed:
		want = storage.BounceEarly
	case is.status == roster.InvitationSent || is.status == roster.InvitationPending:
		want = storage.BounceDelayed
		if b.Permanent {
			want, is.status = storage.BounceRecorded, roster.InvitationBounced
			is.dispatch++
		}
	}
	results, err := m.RecordBounces(m.ctx, []storage.Bounce{b})
	expect(t, "bounce", err, nil)
	if len(results) != 1 || results[0] != want {
		t.Fatalf("a bounce is %v, want %s", results, want)
	}
}

func (m *mailroom) acceptOne(t *rapid.T) {
	id, is := m.any(t)
	generation := rapid.Int32Range(1, is.generation+1).Draw(t, "generation")
	want := error(nil)
	switch {
	case is.status == roster.InvitationAccepted:
		want = storage.ErrLinkUsed
	case is.status == roster.InvitationRevoked:
		want = storage.ErrLinkRevoked
	case generation != is.generation:
		want = storage.ErrLinkReplaced
	case is.status == roster.InvitationHeld:
		want = storage.ErrLinkRevoked
	case !is.everSent:
		want = storage.ErrLinkExpired
	}
	_, err := m.Invitee(m.ctx, id, generation)
	expect(t, "look", err, want)
	expect(t, "accept", m.AcceptInvitation(m.ctx, id, generation, "hash", ""), want)
	if want == nil {
		is.status, is.claimed = roster.InvitationAccepted, false
	}
}

// compare is run after each step.
func (m *mailroom) compare(t *rapid.T) {
	drift, err := m.InvitationCountsDrift(m.ctx, m.importID)
	expect(t, "compare", err, nil)
	if drift != "" {
		t.Fatalf("the counters drift: %s", drift)
	}
	users, err := m.Users(m.ctx, storage.UserFilter{ImportID: m.importID, Limit: 10})
	expect(t, "list", err, nil)
	for _, u := range users {
		is := m.model[u.ID]
		dispatch := one[int32](m.testEnv, `SELECT dispatch FROM invitations WHERE user_id = $1`, u.ID)
		if u.Invitation.Status != is.status || u.Invitation.Generation != is.generation || dispatch != is.dispatch {
			t.Fatalf("%+v with dispatch %d, want %+v", u.Invitation, dispatch, is)
		}
	}
}
