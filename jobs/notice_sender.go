package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"rollcall/internal/backoff"
	"rollcall/jobs/invitations"
	"rollcall/mail"
	"rollcall/mail/settings"
	"rollcall/storage"
)

// How notices are sent.
const (
	noticeLease        = 3 * time.Minute // one attempt at most, through two servers
	noticeGrace        = 15 * time.Second
	noticePollInterval = 2 * time.Second
	noticeGiveUp       = 3 * 24 * time.Hour
)

var noticeBackoff = backoff.Policy{First: 10 * time.Second, Max: time.Hour}

// NoticeSender sends the notices stored in PostgreSQL: mails to administrators
// about a changed mail server, a changed second factor, an import that is held or
// one that did not come, to users about their own account, and to addresses that are
// to be told about an import. Any number may run side by side.
type NoticeSender struct {
	store    *storage.Store
	settings *settings.Settings
	log      *slog.Logger
	brand    string
	public   string // base of links, without a trailing slash
}

// NewNoticeSender makes a NoticeSender.
func NewNoticeSender(store *storage.Store, s *settings.Settings, log *slog.Logger, brand, public string) *NoticeSender {
	return &NoticeSender{store: store, settings: s, log: log, brand: brand, public: public}
}

// Run sends until ctx ends. An attempt that has begun still gets noticeGrace: a
// mail cut off after it was handed over would be sent again.
func (n *NoticeSender) Run(ctx context.Context) {
	poll := time.NewTicker(noticePollInterval)
	defer poll.Stop()
	for {
		for ctx.Err() == nil && n.step(ctx) {
		}
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
	}
}

// step deals with one notice and reports whether there may be more.
func (n *NoticeSender) step(stop context.Context) bool {
	due, err := n.store.ClaimNotice(stop, noticeLease)
	if err != nil {
		if !errors.Is(err, storage.ErrNotFound) && stop.Err() == nil {
			n.log.Warn("failed to look up notices", "error", err)
		}
		return false
	}
	ctx, cancel := invitations.WithGrace(stop, noticeLease-noticeLease/10, noticeGrace)
	defer cancel()
	err = n.send(ctx, due)
	done := err == nil || final(due.Kind, err) || due.Now.Sub(due.CreatedAt) > noticeGiveUp
	// An installation without mail is not at fault, and may get a server later.
	if err != nil && err != settings.ErrNoServer {
		n.log.Warn("failed to send notice", "kind", due.Kind, "error", err, "attempt", due.Attempts, "given_up", done)
	}
	recording, cancel := context.WithTimeout(context.WithoutCancel(stop), 5*time.Second)
	defer cancel()
	if done {
		err = n.store.FinishNotice(recording, due.ID)
	} else {
		err = n.store.PostponeNotice(recording, due.ID, noticeBackoff.Delay(due.Attempts))
	}
	if err != nil { // it becomes due again when the lease expires
		n.log.Warn("failed to store the outcome of a notice", "error", err)
	}
	return err == nil
}

// final reports whether a failed notice is not sent again: the mail server may
// have accepted it, or rejects it for good. A notice that warns of an attack is
// not given up that easily.
func final(kind storage.NoticeKind, err error) bool {
	f, ok := errors.AsType[*mail.Failure](err)
	warning := kind == storage.NoticeMailServer || kind == storage.NoticeSecondFactor
	return ok && (f.Class == mail.Unknown || f.Class == mail.Permanent && !warning)
}

// send mails a notice. One about the mail server goes through the previous server
// first, and through the current one only if that fails: an attacker who switches
// to their own server must not be the one to deliver the warning.
func (n *NoticeSender) send(ctx context.Context, due storage.Notice) error {
	var before error
	if due.Kind == storage.NoticeMailServer {
		half, cancel := context.WithTimeout(ctx, noticeLease/3)
		out, err := n.settings.By(due.Before)
		before = n.sendBy(half, out, err, due)
		cancel()
		if before == nil || final(due.Kind, before) {
			return before
		}
	}
	out, err := n.settings.Current(ctx)
	err = n.sendBy(ctx, out, err, due)
	if before == nil || err == nil || final(due.Kind, err) {
		return err
	}
	return errors.Join(before, err)
}

// sendBy mails a notice through a server, unless that could not be chosen.
func (n *NoticeSender) sendBy(ctx context.Context, out settings.Outgoing, err error, due storage.Notice) error {
	if err != nil {
		return err
	}
	message, err := n.render(due, out.From)
	if err != nil || message.To == "" {
		return err
	}
	_, domain, _ := strings.Cut(out.From, "@")
	message.MessageID = fmt.Sprintf("%s.n@%s", due.ID, domain) // the same for all attempts
	return settings.Send(ctx, out.Server, message)
}

// render makes the mail; none if its user has been erased.
func (n *NoticeSender) render(due storage.Notice, from string) (mail.Message, error) {
	notice := mail.Notice{Brand: n.brand, From: from, To: due.To, Name: due.Name, Date: due.Now}
	switch due.Kind {
	case storage.NoticeMailServer:
		return mail.RenderServerChange(notice, mail.ServerChange{
			Actor: due.Actor, Before: due.From, After: due.Host, ChangedAt: due.CreatedAt, Link: n.public + "/admin/audit?action=settings.",
		})
	case storage.NoticeSecondFactor:
		if due.Account == "" {
			return mail.Message{}, nil
		}
		return mail.RenderSecondFactorChange(notice, mail.SecondFactorChange{
			Account: due.Account, Own: due.Own, Change: string(due.Factor), ChangedAt: due.CreatedAt,
		})
	case storage.NoticeAddressChanged:
		return mail.RenderAddressChanged(notice)
	case storage.NoticeImportHeld:
		return mail.RenderImportHeld(notice, mail.HeldImport{
			Filename: due.Held.Filename, Disable: due.Held.Disable, Limit: due.Held.Limit, Link: n.public + "/admin/imports/" + due.Held.ImportID.String(),
		})
	case storage.NoticeImportEnded:
		e := due.Ended
		return mail.RenderImportEnded(notice, mail.EndedImport{
			Status: e.Status, Failure: e.Failure, StartedAt: e.StartedAt, Imported: e.Imported, Updated: e.Updated, Unchanged: e.Unchanged,
			Disabled: e.Disabled, Failed: e.Failed, Link: n.public + "/admin/imports/" + e.ImportID.String(),
		})
	case storage.NoticeImportMissed:
		m := due.Missed
		return mail.RenderImportMissed(notice, mail.MissedImport{
			Token: m.Token, Source: m.Source, Every: time.Duration(m.Every) * time.Second, Since: m.Since, Link: n.public + "/admin/settings/tokens",
		})
	}
	return mail.Message{}, fmt.Errorf("notice of unknown kind %q", due.Kind)
}
