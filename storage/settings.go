package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// EmailSettings override SMTP_URL, ROLLCALL_MAIL_FROM and ROLLCALL_MAIL_RATE.
type EmailSettings struct {
	Host           string  `json:"host"`
	Port           int     `json:"port"`
	Security       string  `json:"security"` // starttls, implicit or none
	User           string  `json:"user"`
	SealedPassword string  `json:"sealed_password"` // "" for none; see auth.Sealer
	From           string  `json:"from"`
	Rate           float64 `json:"rate"` // invitations a second; 0: no limit

	// How to get a token for OAuth 2; all "" for a password.
	TokenURL           string `json:"token_url,omitempty"`
	ClientID           string `json:"client_id,omitempty"`
	Scope              string `json:"scope,omitempty"`
	SealedClientSecret string `json:"sealed_client_secret,omitempty"` // see auth.Sealer

	UpdatedBy string    `json:"-"`
	UpdatedAt time.Time `json:"-"`
}

const emailSettings = "email"

// SMTPPasswordContext binds a sealed SMTP password to its place.
const SMTPPasswordContext = "settings.email.password"

// SMTPClientSecretContext binds a sealed client secret of OAuth 2 to its place.
const SMTPClientSecretContext = "settings.email.client_secret"

// ReencryptClientSecret does for the client secret what ReencryptEmailPassword does
// for the password.
func (s *Store) ReencryptClientSecret(ctx context.Context, old, fresh string) (err error) {
	defer translate(&err, "reseal the client secret")
	_, err = s.db.ExecContext(ctx, `
		UPDATE settings SET value = jsonb_set(value, '{sealed_client_secret}', to_jsonb($3::text))
		 WHERE name = $1 AND value->>'sealed_client_secret' = $2`, emailSettings, old, fresh)
	return err
}

// ReencryptEmailPassword keeps the same password under another seal. It changes
// nothing if another has been set since it was read, and is no change of the
// settings: nobody's connection is opened anew for it.
func (s *Store) ReencryptEmailPassword(ctx context.Context, old, fresh string) (err error) {
	defer translate(&err, "reseal the SMTP password")
	_, err = s.db.ExecContext(ctx, `
		UPDATE settings SET value = jsonb_set(value, '{sealed_password}', to_jsonb($3::text))
		 WHERE name = $1 AND value->>'sealed_password' = $2`, emailSettings, old, fresh)
	return err
}

// EmailSettings reads the settings; nil if nobody has set any.
func (s *Store) EmailSettings(ctx context.Context) (_ *EmailSettings, err error) {
	defer translate(&err, "read email settings")
	return readEmailSettings(ctx, s.db, `SELECT value, updated_by, updated_at FROM settings WHERE name = $1`)
}

func readEmailSettings(ctx context.Context, from sqlx.QueryerContext, query string) (*EmailSettings, error) {
	var row struct {
		Value     []byte    `db:"value"`
		UpdatedBy string    `db:"updated_by"`
		UpdatedAt time.Time `db:"updated_at"`
	}
	err := sqlx.GetContext(ctx, from, &row, query, emailSettings)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var e EmailSettings
	if err := json.Unmarshal(row.Value, &e); err != nil {
		return nil, err
	}
	e.UpdatedBy, e.UpdatedAt = row.UpdatedBy, row.UpdatedAt
	return &e, nil
}

// SetEmailSettings replaces the settings and ends a pause of mail, so that what
// was just fixed is tried at once. All administrators are to be told, unless only
// the rate changes.
func (s *Store) SetEmailSettings(ctx context.Context, e EmailSettings, by AuditEntry) (err error) {
	defer translate(&err, "store email settings")
	value, err := jsonText(e)
	if err != nil {
		return err
	}
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		before, err := lockEmailSettings(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO settings (name, value, updated_by) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, updated_by = EXCLUDED.updated_by, updated_at = now()`,
			emailSettings, value, by.Actor.Label); err != nil {
			return err
		}
		if err := noticeMailServer(ctx, tx, before, &e, by); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("settings.email", "settings", uuid.Nil).with(emailDiff(before, &e)))
	})
	if err != nil {
		return err
	}
	return s.ResumeMail(ctx)
}

// ClearEmailSettings removes the settings, so that those of the environment
// count again, and ends a pause of mail. All administrators are to be told. Where
// none are stored it does nothing.
func (s *Store) ClearEmailSettings(ctx context.Context, by AuditEntry) (err error) {
	defer translate(&err, "clear email settings")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		before, err := lockEmailSettings(ctx, tx)
		if err != nil || before == nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM settings WHERE name = $1`, emailSettings); err != nil {
			return err
		}
		if err := noticeMailServer(ctx, tx, before, nil, by); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("settings.email.clear", "settings", uuid.Nil).with(emailDiff(before, nil)))
	})
	if err != nil {
		return err
	}
	return s.ResumeMail(ctx)
}

// lockEmailSettings reads the settings that are about to change; nil if there are
// none.
func lockEmailSettings(ctx context.Context, tx *sqlx.Tx) (*EmailSettings, error) {
	return readEmailSettings(ctx, tx, `SELECT value, updated_by, updated_at FROM settings WHERE name = $1 FOR UPDATE`)
}

// emailDiff is a change of the mail settings as the audit log tells it: all but the
// password, of which it says whether there is one and whether it is another. nil:
// no settings.
func emailDiff(before, after *EmailSettings) map[string]any {
	was, is := emailFacts(before), emailFacts(after)
	if before != nil && after != nil && after.SealedPassword != "" && after.SealedPassword != before.SealedPassword {
		is["password"] = "replaced"
	}
	if before != nil && after != nil && after.SealedClientSecret != "" && after.SealedClientSecret != before.SealedClientSecret {
		is["client_secret"] = "replaced"
	}
	return map[string]any{"before": was, "after": is}
}

func emailFacts(e *EmailSettings) map[string]any {
	if e == nil {
		e = &EmailSettings{}
	}
	facts := map[string]any{"host": e.Host, "port": "", "security": e.Security, "user": e.User, "from": e.From, "rate": "", "password": ""}
	if e.Host != "" {
		facts["port"], facts["rate"] = e.Port, e.Rate
	}
	if e.SealedPassword != "" {
		facts["password"] = "set"
	}
	if e.TokenURL != "" {
		facts["token_url"], facts["client_id"], facts["scope"], facts["client_secret"] = e.TokenURL, e.ClientID, e.Scope, "set"
	}
	return facts
}

// AuditEmailTest writes into the audit log that a test mail was sent, by which
// server, and whether the server took it. Of the recipient it tells the domain.
func (s *Store) AuditEmailTest(ctx context.Context, host string, port int, to string, accepted bool, by AuditEntry) (err error) {
	defer translate(&err, "audit a test mail")
	domain := to[strings.LastIndexByte(to, '@')+1:]
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		return audit(ctx, tx, by.on("settings.email.test", "settings", uuid.Nil).with(
			map[string]any{"host": host, "port": port, "recipient_domain": domain, "accepted": accepted}))
	})
}
