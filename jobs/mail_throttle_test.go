package jobs_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rollcall/jobs"
	"rollcall/roster"
	"rollcall/test/redistest"
	"rollcall/test/smtptest"
)

// TestMailServerAllowsFewerConnections: every invitation is sent over the two
// connections that the mail server allows. The few rejected connections cost no
// invitation an attempt, pause nothing, and are logged once.
func TestMailServerAllowsFewerConnections(t *testing.T) {
	t.Parallel()
	const mails, size, allowed = 600, 8, 2
	h, q := newTestEnv(t), newQueue(t, redistest.URL(t))
	i := h.invite(mails)
	server := smtptest.Start(t, smtptest.Config{MaxConnections: allowed, Refusal: "421 4.7.0 Too many connections", Discard: true})
	var log bytes.Buffer
	stop := newMailEnv(h, post{server: plain(server), size: size, log: slog.New(slog.NewTextHandler(&log, nil))}).
		work(q, jobs.WorkerConfig{Redispatch: time.Minute})
	poll(t, func() bool { return h.read(i.ID).Invitations.Sent == mails })
	stop()
	for _, invitation := range h.invitations() {
		if invitation.Attempts != 1 {
			t.Errorf("%+v", invitation)
		}
	}
	if n := server.Connections(); server.Accepted() != mails || n > size {
		t.Errorf("%d mails over %d connections, want %d over at most %d", server.Accepted(), n, mails, size)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "mail server limits connections") {
		t.Errorf("log:\n%s", &log)
	}
}

// TestOneMailFindsOutForItsTask: once the mail server refuses everything, the other
// mails of a task are given back without a connection of their own.
func TestOneMailFindsOutForItsTask(t *testing.T) {
	t.Parallel()
	const mails, size = 60, 2
	h := newTestEnv(t)
	server := smtptest.Start(t, smtptest.Config{Script: func(e *smtptest.Event) { e.Reply = "554 No service" }})
	o := newMailEnv(h, post{server: plain(server), size: size}).open()
	i := h.invite(mails)
	if err := o.mailer.Send(t.Context(), o.dispatch()...); err != nil {
		t.Fatal(err)
	}
	h.settled(i.ID, roster.InvitationCounts{Pending: mails})
	for _, invitation := range h.invitations() {
		if invitation.Attempts != 0 || invitation.Claimed {
			t.Errorf("%+v", invitation)
		}
	}
	if n := server.Connections(); n > 2*size || h.paused().PausedUntil == nil {
		t.Errorf("%d connections for %d mails, paused: %+v", n, mails, h.paused())
	}
}
