package app

import (
	"fmt"

	"rollcall/auth"
	"rollcall/config"
	"rollcall/internal/egress"
	"rollcall/mail/bounce"
	"rollcall/mail/settings"
	"rollcall/storage"
)

// Version is returned by /healthz; the build sets it.
var Version = Unreleased

// Unreleased is the Version of a build that sets none.
const Unreleased = "dev"

// Outbound returns the addresses that webhooks may be sent to and the mail
// settings from the environment. With ROLLCALL_REQUIRE_TLS, mail must be
// encrypted.
func Outbound(cfg config.Config) (webhooks egress.Addresses, defaults settings.Defaults, err error) {
	if webhooks, err = egress.ParseAddresses(cfg.WebhookAllowPrivate); err != nil {
		return webhooks, defaults, fmt.Errorf("ROLLCALL_WEBHOOK_ALLOW_PRIVATE: %w", err)
	}
	within, err := egress.ParseAddresses(cfg.SMTPAllowPrivate)
	if err != nil {
		return webhooks, defaults, fmt.Errorf("ROLLCALL_SMTP_ALLOW_PRIVATE: %w", err)
	}
	if cfg.RequiresTLS() {
		webhooks, within = webhooks.OnlyEncrypted(), within.OnlyEncrypted()
	}
	defaults = settings.Defaults{From: cfg.MailFrom, Sender: cfg.BounceAddress, Rate: cfg.MailRate, Brand: cfg.Brand, Within: &within}
	if defaults.Server, err = cfg.MailServer(); err != nil {
		return webhooks, defaults, fmt.Errorf("SMTP_URL: %w", err)
	}
	return webhooks, defaults, nil
}

// Tracking says how invitations are marked, so that returned ones are recognized; nil
// if nothing is configured that would report them.
func Tracking(cfg config.Config, signer *auth.Signer) *bounce.Tracking {
	t := &bounce.Tracking{
		Token: signer.BounceToken, Address: cfg.BounceAddress, SendGrid: cfg.SendGridKey != "", Postmark: cfg.PostmarkPassword.Reveal() != "",
	}
	if t.Address == "" && !t.SendGrid && !t.Postmark && cfg.SESTopics == "" {
		return nil
	}
	return t
}

// NewSigner makes the signer of links from ROLLCALL_SECRET.
func NewSigner(cfg config.Config) (*auth.Signer, error) {
	return auth.NewSigner(cfg.Secret.Reveal(), cfg.SecretPrevious.Reveal()...)
}

// NewSealer makes the sealer of stored secrets from ROLLCALL_SECRET.
func NewSealer(cfg config.Config) (*auth.Sealer, error) {
	return auth.NewSealer(cfg.Secret.Reveal(), cfg.SecretPrevious.Reveal()...)
}

// AdminScopes are the scopes with which a token may import administrators.
func AdminScopes(cfg config.Config) []string {
	if cfg.ImportAdmins == string(auth.ScopeImports) {
		return []string{string(auth.ScopeImports), string(auth.ScopeAdmin)}
	}
	return storage.AdminScopes()
}
