package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall/webhook"
)

// resealer opens and seals as auth.Sealer does.
type resealer interface {
	opener
	Seal(plain, context string) string
	NeedsReseal(sealed string) bool
}

const (
	resealPage = 200
	resealMost = 30 * time.Second
)

// reseal seals the secrets of webhooks anew that were sealed under a previous
// ROLLCALL_SECRET, so that it can be dropped. Workers that do so at the same
// time write the same secrets.
func (c *Courier) reseal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, resealMost)
	defer cancel()
	for after := uuid.Nil; ; {
		page, err := c.store.WebhookSecrets(ctx, after, resealPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, old := range page {
			after = old.WebhookID
			fresh := old
			fresh.Secret = c.fresh(old.WebhookID, old.Secret)
			if old.Previous != nil {
				previous := c.fresh(old.WebhookID, *old.Previous)
				fresh.Previous = &previous
			}
			if err := c.store.ResealWebhook(ctx, old, fresh); err != nil {
				return err
			}
		}
	}
}

// fresh is the same secret, sealed with the current key. One that cannot be
// opened stays as it is: its deliveries tell.
func (c *Courier) fresh(id uuid.UUID, sealed string) string {
	if !c.sealer.NeedsReseal(sealed) {
		return sealed
	}
	plain, err := c.sealer.Open(sealed, webhook.SecretContext(id))
	if err != nil {
		return sealed
	}
	return c.sealer.Seal(plain, webhook.SecretContext(id))
}
