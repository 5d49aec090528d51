package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"rollcall/auth"
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

// reseal seals stored secrets anew that were sealed under a previous
// ROLLCALL_SECRET, so that it can be dropped. Workers that do so at the same
// time write the same secrets.
func (c *Courier) reseal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, resealMost)
	defer cancel()
	return errors.Join(c.resealPassword(ctx), c.resealWebhooks(ctx), c.resealFactors(ctx))
}

// resealPassword does so with the SMTP password.
func (c *Courier) resealPassword(ctx context.Context) error {
	s, err := c.store.EmailSettings(ctx)
	if err != nil || s == nil {
		return err
	}
	fresh := c.fresh(s.SealedPassword, PasswordContext)
	if fresh == s.SealedPassword {
		return nil
	}
	return c.store.ResealEmailPassword(ctx, s.SealedPassword, fresh)
}

// resealWebhooks does so with the secrets of webhooks.
func (c *Courier) resealWebhooks(ctx context.Context) error {
	for after := uuid.Nil; ; {
		page, err := c.store.WebhookSecrets(ctx, after, resealPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, old := range page {
			after = old.WebhookID
			fresh := old
			fresh.Secret = c.fresh(old.Secret, webhook.SecretContext(old.WebhookID))
			if old.Previous != nil {
				previous := c.fresh(*old.Previous, webhook.SecretContext(old.WebhookID))
				fresh.Previous = &previous
			}
			if err := c.store.ResealWebhook(ctx, old, fresh); err != nil {
				return err
			}
		}
	}
}

// resealFactors does so with the secrets of second factors.
func (c *Courier) resealFactors(ctx context.Context) error {
	for after := uuid.Nil; ; {
		page, err := c.store.SecondFactorSecrets(ctx, after, resealPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, old := range page {
			after = old.UserID
			fresh := c.fresh(old.Secret, auth.TOTPContext(old.UserID))
			if fresh == old.Secret {
				continue
			}
			if err := c.store.ResealSecondFactor(ctx, old, fresh); err != nil {
				return err
			}
		}
	}
}

// fresh is the same secret, sealed with the current key. One that cannot be
// opened stays as it is: those who use it tell.
func (c *Courier) fresh(sealed, place string) string {
	if !c.sealer.NeedsReseal(sealed) {
		return sealed
	}
	plain, err := c.sealer.Open(sealed, place)
	if err != nil {
		return sealed
	}
	return c.sealer.Seal(plain, place)
}
