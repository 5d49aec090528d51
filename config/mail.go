package config

import (
	"errors"
	"net/netip"
	"strings"

	smtp "rollcall/mail"
)

// MailServer returns the server of SMTP_URL, with the settings of OAuth 2; nil if
// there is none.
func (c *Config) MailServer() (*smtp.Server, error) {
	if c.SMTPURL.Reveal() == "" {
		return nil, nil
	}
	server, err := smtp.ParseURL(c.SMTPURL.Reveal())
	if err != nil {
		return nil, err
	}
	if server.AwaitsOAuth() {
		server.OAuth = smtp.OAuth{
			TokenURL: c.SMTPOAuthTokenURL, ClientID: c.SMTPOAuthClientID, ClientSecret: c.SMTPOAuthClientSecret.Reveal(), Scope: c.SMTPOAuthScope,
		}
		if server.OAuth.TokenURL == "" {
			return nil, smtp.ErrTokenURL
		}
	}
	return &server, server.Validate()
}

// unusableOAuth reports what auth=oauth2 lacks, and settings of OAuth 2 that would
// be ignored without it.
func (c *Config) unusableOAuth(found Faults) Faults {
	if found.about("SMTP_URL") {
		return nil
	}
	server, err := c.MailServer()
	if server == nil && err == nil || err == nil && server.OAuth == (smtp.OAuth{}) {
		for name, value := range map[string]string{
			"SMTP_OAUTH_TOKEN_URL": c.SMTPOAuthTokenURL, "SMTP_OAUTH_CLIENT_ID": c.SMTPOAuthClientID,
			"SMTP_OAUTH_CLIENT_SECRET": c.SMTPOAuthClientSecret.Reveal(), "SMTP_OAUTH_SCOPE": c.SMTPOAuthScope,
		} {
			if value != "" {
				return Faults{{name, "is set, and SMTP_URL does not say auth=oauth2", "add auth=oauth2 to SMTP_URL, or unset it"}}
			}
		}
		return nil
	}
	switch {
	case errors.Is(err, smtp.ErrTokenURL):
		return Faults{{"SMTP_OAUTH_TOKEN_URL", "is not an https:// URL", "set it to where tokens are requested, such as https://login.microsoftonline.com/TENANT/oauth2/v2.0/token"}}
	case errors.Is(err, smtp.ErrClientID):
		return Faults{{"SMTP_OAUTH_CLIENT_ID", "is not set", "set it to the client ID, which auth=oauth2 needs"}}
	case errors.Is(err, smtp.ErrClientSecret):
		return Faults{{"SMTP_OAUTH_CLIENT_SECRET", "is not set", "set it to the client secret, which auth=oauth2 needs"}}
	case err != nil:
		return Faults{{"SMTP_URL", "cannot be used: " + err.Error(), "set it to " + rules()["smtp_url"].want}}
	}
	return nil
}

// unusableFrom reports a From address at localhost, such as the default, where
// mail goes to the Internet: mail servers refuse it, with every mail. A host on
// this machine or without a dot, such as one in a container network, may be a
// server that accepts anything.
func (c *Config) unusableFrom(found Faults) Faults {
	if c.SMTPURL.Reveal() == "" || found.about("SMTP_URL") || found.about("ROLLCALL_MAIL_FROM") {
		return nil
	}
	server, err := smtp.ParseURL(c.SMTPURL.Reveal())
	if err != nil || !strings.ContainsAny(server.Host, ".:") || !strings.HasSuffix(strings.ToLower(c.MailFrom), "@localhost") {
		return nil
	}
	if addr, err := netip.ParseAddr(server.Host); err == nil && addr.Unmap().IsLoopback() {
		return nil
	}
	return Faults{{"ROLLCALL_MAIL_FROM", "is an address at localhost, which mail servers refuse",
		"set it to an address that SMTP_URL may send from, such as no-reply@example.com"}}
}
