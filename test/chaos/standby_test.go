//go:build unix

package chaos_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/test/proxytest"
)

// promotedWithin is how soon after the promotion of a standby everything must go on
// as before.
const promotedWithin = 20 * time.Second

// standby is a second PostgreSQL that follows the first one.
type standby struct {
	h        *testEnv
	postgres *postgres
	line     *proxytest.Proxy // between the programs and the standby
	follows  *proxytest.Proxy // between the standby and the primary
}

// syncStandby are settings of a primary that confirms no commit before its standby
// has it.
var syncStandby = map[string]string{"synchronous_standby_names": "*"}

// startStandby starts a standby of h.postgres and returns the DATABASE_URL with
// both, in the form of libpq.
func startStandby(h *testEnv, primary string) (*standby, string) {
	h.Helper()
	s := &standby{h: h, postgres: newPostgres(h.T, nil)}
	signal := filepath.Join(s.postgres.config.Dir, "postgres", "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		h.Fatal(err)
	}
	h.chownLike(signal, filepath.Dir(signal))
	follows, through := proxytest.Postgres(h.T, h.postgres.running.URL())
	s.follows = follows
	conninfo, err := url.Parse(through)
	if err != nil {
		h.Fatal(err)
	}
	s.postgres.config.Settings["primary_conninfo"] = fmt.Sprintf("host=%s port=%s user=%s sslmode=disable application_name=standby",
		conninfo.Hostname(), conninfo.Port(), conninfo.User.Username())
	s.postgres.start()
	h.eventually(20*time.Second, "the standby follows", func() bool {
		return one[int](h, `SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'`) == 1
	})
	var second string
	s.line, second = proxytest.Postgres(h.T, s.postgres.running.URL())
	first, err := url.Parse(primary)
	if err != nil {
		h.Fatal(err)
	}
	other, err := url.Parse(second)
	if err != nil {
		h.Fatal(err)
	}
	first.Host += "," + other.Host
	return s, first.String()
}

// failOver ends the primary and promotes the standby, as a cluster manager does. If
// the host is gone, connections to it stay open and get no answer, and so do new
// ones; otherwise they are refused.
func (s *standby) failOver(hostGone bool) (promoted time.Time) {
	h := s.h
	h.Helper()
	if hostGone {
		h.line.Silence(true)
	}
	if err := syscall.Kill(h.postgres.pid(), syscall.SIGQUIT); err != nil {
		h.Fatal(err)
	}
	<-h.postgres.running.Done()
	if !hostGone {
		h.line.Refuse(true)
		h.line.Cut()
	}
	h.postgres.running.Stop(context.Background())
	h.postgres.running = nil
	h.postgres = s.postgres
	h.connect()
	h.exec(`SELECT pg_promote()`)
	return time.Now()
}

// TestStandbyPromoted: the primary dies while rows go in, or while mail is sent, and
// its synchronous standby is promoted.
func TestStandbyPromoted(t *testing.T) {
	for _, whileMail := range []bool{false, true} {
		for _, hostGone := range []bool{false, true} {
			if !full && whileMail != hostGone {
				continue
			}
			t.Run(fmt.Sprintf("while mail is sent: %t, host gone: %t", whileMail, hostGone), func(t *testing.T) {
				parallel(t)
				standbyPromoted(t, whileMail, hostGone)
			})
		}
	}
}

func standbyPromoted(t *testing.T, whileMail, hostGone bool) {
	h := newTestEnv(t, envOptions{Standby: true, Settings: syncStandby})
	l := newLoad("standby", 4, sized(1_000, 25_000))
	calm := undisturbed(h, l)
	h.startAPI()
	workers := 2
	for range workers {
		h.startWorker()
	}
	p := &uploader{h: h, files: l.files}
	if whileMail {
		p.post(2)
		h.rowsIn(p.ids, l.patience())
		h.eventually(l.patience(), "mail goes out", func() bool {
			return one[int](h, `SELECT count(*) FROM invitations WHERE status = 'sent'`) > len(l.mailed)/10
		})
	}
	var posting sync.WaitGroup
	if !whileMail {
		p.files = slices.Clone(l.files)
		posting.Go(func() { p.post(2) })
		h.eventually(time.Minute, "rows go in", func() bool { return one[int](h, `SELECT count(*) FROM users`) > len(l.people)/10 })
	}
	rows, mails := one[int](h, `SELECT count(*) FROM users`), h.post.delivered().Mails
	promoted := h.standby.failOver(hostGone)
	kept := one[int](h, `SELECT count(*) FROM users`)
	posting.Wait()
	in := h.rowsIn(p.ids, l.patience()).Sub(promoted)
	h.lapse(l)
	got := h.outcome(l, p.ids)
	all := time.Since(promoted)
	h.same(l, got, calm)
	h.noneDoubled(p)
	d := h.delivered(l, workers*mailConcurrency)
	if kept < rows {
		t.Errorf("%d users before the failover, %d after it", rows, kept)
	}
	if in > promotedWithin+time.Duration(len(l.people))*time.Millisecond/5 {
		t.Errorf("all rows are in %v after the promotion", in)
	}
	h.figures("users before the failover", rows, "mails before it", mails, "uploads answered 503", p.refused.Load(), "slowest answer", p.slowest,
		"rows in after the promotion", in, "mail out after it", all, "mails", d.Mails, "duplicates", d.Duplicates)
}

// TestLaggingStandbyPromoted: the primary dies, and the standby that is promoted
// lacks its last commits, as one that follows asynchronously may. What they held is
// lost; all that is left fits together, and whoever got no answer, or wants to be
// sure, uploads again under the same Idempotency-Key.
func TestLaggingStandbyPromoted(t *testing.T) {
	parallel(t)
	h := newTestEnv(t, envOptions{Standby: true})
	l := newLoad("lagging", 6, sized(1_000, 10_000))
	calm := undisturbed(h, l)
	h.startAPI()
	h.startWorker()
	h.startWorker()
	first := &uploader{h: h, files: l.files[:2]}
	first.post(2)
	var stuck atomic.Bool
	h.eventually(l.patience(), "rows go in", func() bool {
		if one[int](h, `SELECT count(*) FROM users`) > 0 && !stuck.Swap(true) {
			h.standby.follows.Silence(true) // from now on everything is lost
		}
		return one[int](h, `SELECT count(*) FROM imports WHERE finished_at IS NOT NULL`) == 2
	})
	lost := &uploader{h: h, files: l.files[2:4], keys: 2}
	lost.post(2)
	h.rowsIn(lost.ids, l.patience())
	h.eventually(l.patience(), "mail goes out", func() bool { return h.post.delivered().Mails > len(l.mailed)/10 })
	before := one[int](h, `SELECT count(*) FROM users`)
	claimed := one[int](h, `SELECT count(*) FROM invitations WHERE status = 'pending' AND claimed_until > now()`)
	promoted := h.standby.failOver(false)
	mails := h.post.delivered().Mails
	kept := one[int](h, `SELECT count(*) FROM users`)
	if kept >= before {
		t.Errorf("%d users before the failover, %d after it: nothing was lost", before, kept)
	}
	for _, id := range lost.ids {
		h.eventually(promotedWithin, "a lost import is not found", func() bool { return h.ask("GET", "/api/admin/users/imports/"+id, nil).status == 404 })
	}
	h.consistent()
	again := &uploader{h: h, files: l.files}
	again.post(2)
	in := h.rowsIn(again.ids, l.patience()).Sub(promoted)
	if !slices.Equal(again.ids[:2], first.ids) {
		t.Errorf("the imports that were kept have become %s, they were %s", again.ids[:2], first.ids)
	}
	h.lapse(l)
	got := h.outcome(l, again.ids)
	h.same(l, got, calm)
	h.noneDoubled(again)
	// Everyone whose mail is forgotten may get another one, and so may those whom a
	// worker was about to send one. Users who are created once more have another id,
	// and so have their mails; the link in the first one does not work.
	d := h.post.delivered()
	if d.People != len(l.mailed) || d.Duplicates > mails+claimed {
		t.Errorf("%+v, want %d people, at most %d duplicates", d, len(l.mailed), mails+claimed)
	}
	h.figures("users before the failover", before, "after it", kept, "mails before it", mails, "claimed", claimed, "all rows in after the promotion", in,
		"mails", d.Mails, "duplicates", d.Duplicates)
}
