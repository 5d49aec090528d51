package invitations

import (
	"context"
	"sync"
	"time"

	"rollcall/mail/settings"
)

// invitationTexts keeps what Settings > Invitation says. A claim tells when that
// last changed, so that no mail is written by older texts.
type invitationTexts struct {
	settings *settings.Settings

	mu      sync.Mutex // held by the one that reads them for all
	read    bool
	current settings.Invitation
}

// at returns the texts as of their last change; nil: none were ever stored.
func (t *invitationTexts) at(ctx context.Context, changed *time.Time) (settings.Invitation, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var at time.Time
	if changed != nil {
		at = *changed
	}
	if t.read && !t.current.UpdatedAt.Before(at) {
		return t.current, nil
	}
	ctx, cancel := context.WithTimeout(ctx, settingsTimeout)
	defer cancel()
	current, err := t.settings.Invitation(ctx)
	if err != nil {
		return settings.Invitation{}, err
	}
	t.read, t.current = true, current
	return current, nil
}
