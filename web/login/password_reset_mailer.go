package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"rollcall/auth"
	"rollcall/mail"
	"rollcall/mail/settings"
	"rollcall/storage"
)

// Limits for sending the mails with reset links.
const (
	resetLease  = 2 * time.Minute // one attempt at most
	resetGiveUp = resetLife       // after that the link in it would have expired
	resetLook   = 15 * time.Second
	resetKeep   = 24 * time.Hour // requests are deleted after this
	resetPurge  = time.Hour      // how often they are deleted
)

// resetWaits are the waits after the first, second, … failed attempt; the last
// one repeats.
var resetWaits = [...]time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// resetSender processes the requested resets. They are stored in the database,
// so any process can send one even if the process that took the request is
// gone.
type resetSender struct {
	store    *storage.Store
	signer   *auth.Signer
	settings *settings.Settings
	log      *slog.Logger
	brand    string
	public   string        // base of the link
	hint     chan struct{} // wakes run when something is due
}

// wake makes run check for due resets at once. It never blocks.
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
				r.log.WarnContext(ctx, "failed to purge old password resets; will retry", "error", err)
			}
		}
		for r.step(ctx) {
		}
	}
}

// step processes one reset and reports whether there may be more.
func (r *resetSender) step(ctx context.Context) bool {
	due, err := r.store.ClaimReset(ctx, resetLease)
	if err != nil {
		if !errors.Is(err, storage.ErrNotFound) && ctx.Err() == nil {
			r.log.WarnContext(ctx, "failed to look up password resets", "error", err)
		}
		return false
	}
	// Let an attempt that has begun finish: if it were canceled after the mail
	// was handed over, the mail would be sent again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resetLease-resetLease/10)
	defer cancel()
	err = r.mail(ctx, due)
	late := due.Now.Sub(due.AskedAt) > resetGiveUp
	if err != nil {
		r.log.WarnContext(ctx, "failed to send password reset", "error", err, "attempt", due.Attempts, "given_up", late || forGood(err))
	}
	if err != nil && !late && !forGood(err) {
		err = r.store.PostponeReset(ctx, due, resetWaits[min(due.Attempts, len(resetWaits))-1])
	} else {
		err = r.store.FinishReset(ctx, due)
	}
	if err != nil { // it becomes due again when the lease expires
		r.log.WarnContext(ctx, "failed to store the outcome of a password reset", "error", err)
	}
	return err == nil
}

// forGood reports whether the mail server rejected this mail permanently or may
// have accepted it. Then it is not sent again; the user can request another.
func forGood(err error) bool {
	f, ok := errors.AsType[*mail.Failure](err)
	return ok && (f.Class == mail.Permanent || f.Class == mail.Unknown)
}

// resetMessageID is the same for all attempts to answer one request.
func resetMessageID(who storage.ResetTarget, due storage.DueReset, from string) string {
	_, domain, _ := strings.Cut(from, "@")
	return fmt.Sprintf("%s.%d.%d@%s", who.UserID, who.Counter, due.AskedAt.UnixMicro(), domain)
}

// mail sends the link, unless the user is gone or not eligible.
func (r *resetSender) mail(ctx context.Context, due storage.DueReset) error {
	who, err := r.store.ResetTarget(ctx, due.EmailKey)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	out, err := r.settings.Current(ctx)
	if err != nil {
		return err
	}
	expires := due.Now.Add(resetLife)
	texts, err := r.settings.Invitation(ctx)
	if err != nil {
		return err
	}
	message, err := mail.RenderReset(mail.Reset{
		Reader: texts.Reader(who.Locale), MessageID: resetMessageID(who, due, out.From), Brand: r.brand, From: out.From, To: who.Email, Name: who.Name,
		Link: r.public + "/reset/" + r.signer.ResetToken(who.UserID, who.Counter, expires), ExpiresAt: expires, Date: due.Now,
	})
	if err != nil {
		return err
	}
	if err := settings.Send(ctx, out.Server, message); err != nil {
		return err
	}
	if err := r.store.AuditResetMail(ctx, who.UserID); err != nil { // the mail is sent anyway
		r.log.WarnContext(ctx, "failed to audit password reset mail", "error", err)
	}
	return nil
}
