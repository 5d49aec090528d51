package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/storage"
	"rollcall/webhook"
)

// reencrypter opens and seals secrets; see auth.Sealer.
type reencrypter interface {
	Open(sealed, context string) (string, error)
	Seal(plain, context string) string
	NeedsReseal(sealed string) bool
}

const (
	reencryptPage    = 200
	reencryptTimeout = 30 * time.Second
)

// SecretRotator re-encrypts secrets that were sealed with a previous
// ROLLCALL_SECRET, so that the previous one can be dropped. Several workers may
// do so at the same time; the result is the same.
type SecretRotator struct {
	store  *storage.Store
	sealer reencrypter
	log    *slog.Logger
}

// NewSecretRotator makes a SecretRotator.
func NewSecretRotator(store *storage.Store, sealer reencrypter, log *slog.Logger) *SecretRotator {
	return &SecretRotator{store, sealer, log}
}

// Run goes through all stored secrets once: the SMTP password and client secret, webhook secrets
// and second factors. A failure is logged and retried at the next start.
func (r *SecretRotator) Run(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, reencryptTimeout)
	defer cancel()
	err := errors.Join(r.reencryptPassword(bounded), r.reencryptWebhooks(bounded), r.reencryptFactors(bounded))
	if err != nil && ctx.Err() == nil {
		r.log.Warn("failed to re-encrypt stored secrets; will retry at the next start", "error", err)
	}
}

func (r *SecretRotator) reencryptPassword(ctx context.Context) error {
	s, err := r.store.EmailSettings(ctx)
	if err != nil || s == nil {
		return err
	}
	if fresh := r.reencrypted(s.SealedClientSecret, storage.SMTPClientSecretContext); fresh != s.SealedClientSecret {
		if err := r.store.ReencryptClientSecret(ctx, s.SealedClientSecret, fresh); err != nil {
			return err
		}
	}
	reencrypted := r.reencrypted(s.SealedPassword, storage.SMTPPasswordContext)
	if reencrypted == s.SealedPassword {
		return nil
	}
	return r.store.ReencryptEmailPassword(ctx, s.SealedPassword, reencrypted)
}

func (r *SecretRotator) reencryptWebhooks(ctx context.Context) error {
	for after := uuid.Nil; ; {
		page, err := r.store.WebhookSecrets(ctx, after, reencryptPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, old := range page {
			after = old.WebhookID
			current := old
			current.Secret = r.reencrypted(old.Secret, webhook.SecretContext(old.WebhookID))
			if old.Previous != nil {
				previous := r.reencrypted(*old.Previous, webhook.SecretContext(old.WebhookID))
				current.Previous = &previous
			}
			if err := r.store.ReencryptWebhook(ctx, old, current); err != nil {
				return err
			}
		}
	}
}

func (r *SecretRotator) reencryptFactors(ctx context.Context) error {
	for after := uuid.Nil; ; {
		page, err := r.store.SecondFactorSecrets(ctx, after, reencryptPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, old := range page {
			after = old.UserID
			current := r.reencrypted(old.Secret, auth.TOTPContext(old.UserID))
			if current == old.Secret {
				continue
			}
			if err := r.store.ReencryptSecondFactor(ctx, old, current); err != nil {
				return err
			}
		}
	}
}

// reencrypted returns the same secret, sealed with the current key. One that
// cannot be opened is left unchanged: the code that needs it reports the error.
func (r *SecretRotator) reencrypted(sealed, place string) string {
	if !r.sealer.NeedsReseal(sealed) {
		return sealed
	}
	plain, err := r.sealer.Open(sealed, place)
	if err != nil {
		return sealed
	}
	return r.sealer.Seal(plain, place)
}
