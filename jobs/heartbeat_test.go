package jobs_test

import (
	"context"
	"testing"

	"rollcall/jobs/importer"
	"rollcall/roster"
	"rollcall/test/smtptest"
)

// looks makes others look for heartbeats, so often in a row.
func (h *testEnv) looks(n int) {
	h.Helper()
	for range n {
		if _, err := h.store.RemoveDeadMailWorkers(h.Context()); err != nil {
			h.Fatal(err)
		}
	}
}

// TestDeadWorkersClaimsAreFree: others send what a worker without a heartbeat had
// claimed, long before the lease is over. If it was only suspended, it sends
// nothing any more, and goes on with a life of its own.
func TestDeadWorkersClaimsAreFree(t *testing.T) {
	t.Parallel()
	h := newTestEnv(t)
	reached, wake := make(chan struct{}), make(chan struct{})
	server := smtptest.Start(t, smtptest.Config{Script: at("DATA", 1, func(e *smtptest.Event) {
		e.Hold = wake
		close(reached)
	})})
	stalled, other := newMailEnv(h, post{server: plain(server)}).open(), newMailEnv(h, post{server: plain(server)}).open()
	stalled.background(stalled.mailer.RunHeartbeat)
	stalled.mailer.StartHeartbeat()
	i := h.invite(1)
	done := make(chan error, 1)
	d := stalled.dispatch()[0]
	go func() { done <- stalled.mailer.Send(context.Background(), d) }()
	<-reached

	// A worker that is alive keeps its claim, however often others look.
	for range 3 {
		h.looks(2)
		beat := h.beats()
		poll(t, func() bool { return h.beats() > beat })
	}
	if _, err := h.store.DB().Exec(`UPDATE invitations SET due_at = now()`); err != nil {
		t.Fatal(err)
	}
	if n := other.round(); n != 0 {
		t.Fatal("taken from a worker that is alive")
	}

	// The rows of a dead one are found by five looks, however long they take.
	h.looks(6)
	if n := other.round(); n != 1 {
		t.Fatal("not taken over from a worker that was given up")
	}
	h.want("taken over", invitation{Status: "sent", Attempts: 2})
	poll(t, func() bool { return h.beats() > 0 }) // it has noticed, and begun another life
	close(wake)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := server.Accepted(); n != 1 {
		t.Errorf("%d mails to one person", n)
	}
	h.settled(i.ID, roster.InvitationCounts{Sent: 1})

	more := h.run(h.importer(importer.Config{}), h.upload("email,name\nlate@example.com,Late\n", roster.Options{SendInvitations: true}).ID)
	if n := stalled.round(); n != 1 {
		t.Errorf("%d due", n)
	}
	h.settled(more.ID, roster.InvitationCounts{Sent: 1})
}

// beats is how often the workers that are alive have told so.
func (h *testEnv) beats() (n int) {
	h.Helper()
	if err := h.store.DB().QueryRow(`SELECT COALESCE(sum(beat), 0) FROM mail_workers`).Scan(&n); err != nil {
		h.Fatal(err)
	}
	return n
}
