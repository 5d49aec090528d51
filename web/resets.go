package web

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"rollcall/auth"
	"rollcall/mail"
	"rollcall/storage"
)

// How the mails with links to a new password are sent.
const (
	resetLease  = 2 * time.Minute // one attempt at most
	resetGiveUp = resetLife       // nobody waits for the mail any longer
	resetLook   = 15 * time.Second
	resetKeep   = 24 * time.Hour // who asked is forgotten after this
	resetPurge  = time.Hour      // and this is how often
)

// resetWaits are the waits after the first, second, … failed attempt; the last
// one repeats.
var resetWaits = [...]time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// resetSender works through the resets that were asked for. They stand in the
// database, so that one is mailed even if the process that took the request is
// gone; any process does it.
type resetSender struct {
	store   *storage.Store
	signer  *auth.Signer
	mailing mailing
	log     *slog.Logger
	brand   string
	public  string        // base of the link
	hint    chan struct{} // something is due
}

// wake makes run look at once. It never blocks.
func (r *resetSender) wake() {
	select {
	case r.hint <- struct{}{}:
	default:
	}
}

// run sends until ctx ends.
func (r *resetSender) run(ctx context.Context) {
	look, purge := time.NewTicker(resetLook), time.NewTicker(resetPurge)
	defer look.Stop()
	defer purge.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.hint:
		case <-look.C:
		case <-purge.C:
			if err := r.store.PurgeResets(ctx, resetKeep); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "old password resets could not be purged", "error", err)
			}
		}
		for r.step(ctx) {
		}
	}
}

// step deals with one reset and reports whether there may be more.
func (r *resetSender) step(ctx context.Context) bool {
	due, err := r.store.ClaimReset(ctx, resetLease)
	if err != nil {
		if !errors.Is(err, storage.ErrNotFound) && ctx.Err() == nil {
			r.log.WarnContext(ctx, "password resets could not be looked up", "error", err)
		}
		return false
	}
	// An attempt that has begun runs to its end: cut off after the mail was
	// handed over, it would be made again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resetLease-resetLease/10)
	defer cancel()
	err = r.mail(ctx, due)
	late := due.Now.Sub(due.AskedAt) > resetGiveUp
	if err != nil {
		r.log.WarnContext(ctx, "password reset could not be mailed", "error", err, "attempt", due.Attempts, "given_up", late || forGood(err))
	}
	if err != nil && !late && !forGood(err) {
		err = r.store.PostponeReset(ctx, due, resetWaits[min(due.Attempts, len(resetWaits))-1])
	} else {
		err = r.store.FinishReset(ctx, due)
	}
	if err != nil { // it comes due again when the lease is over
		r.log.WarnContext(ctx, "outcome of a password reset could not be stored", "error", err)
	}
	return err == nil
}

// forGood reports whether the mail server will not take this mail, ever, or may
// have taken it: then the person asks again.
func forGood(err error) bool {
	f, ok := errors.AsType[*mail.Failure](err)
	return ok && (f.Class == mail.Permanent || f.Class == mail.Unknown)
}

// mail sends the link, if there is somebody who may have it.
func (r *resetSender) mail(ctx context.Context, due storage.DueReset) error {
	who, err := r.store.Resetter(ctx, due.EmailKey)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	server, from, err := r.mailing.settings(ctx)
	if err != nil {
		return err
	}
	expires := due.Now.Add(resetLife)
	message, err := mail.RenderReset(mail.Reset{
		Brand: r.brand, From: from, To: who.Email, Name: who.Name,
		Link: r.public + "/reset/" + r.signer.ResetToken(who.UserID, who.Counter, expires), ExpiresAt: expires, Date: due.Now,
	})
	if err != nil {
		return err
	}
	return send(ctx, server, message)
}
