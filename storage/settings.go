package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
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

	UpdatedBy string    `json:"-"`
	UpdatedAt time.Time `json:"-"`
}

const emailSettings = "email"

// ResealEmailPassword keeps the same password under another seal. It changes
// nothing if another has been set since it was read, and is no change of the
// settings: nobody's connection is opened anew for it.
func (s *Store) ResealEmailPassword(ctx context.Context, old, fresh string) (err error) {
	defer translate(&err, "reseal the SMTP password")
	_, err = s.db.ExecContext(ctx, `
		UPDATE settings SET value = jsonb_set(value, '{sealed_password}', to_jsonb($3::text))
		 WHERE name = $1 AND value->>'sealed_password' = $2`, emailSettings, old, fresh)
	return err
}

// EmailSettings reads the settings; nil if nobody has set any.
func (s *Store) EmailSettings(ctx context.Context) (_ *EmailSettings, err error) {
	defer translate(&err, "read e-mail settings")
	var row struct {
		Value     []byte    `db:"value"`
		UpdatedBy string    `db:"updated_by"`
		UpdatedAt time.Time `db:"updated_at"`
	}
	err = s.db.GetContext(ctx, &row, `SELECT value, updated_by, updated_at FROM settings WHERE name = $1`, emailSettings)
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
// was just mended is tried at once.
func (s *Store) SetEmailSettings(ctx context.Context, e EmailSettings, by Entry) (err error) {
	defer translate(&err, "store e-mail settings")
	value, err := jsonText(e)
	if err != nil {
		return err
	}
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO settings (name, value, updated_by) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, updated_by = EXCLUDED.updated_by, updated_at = now()`,
			emailSettings, value, by.Actor.Label); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("settings.email", "settings", uuid.Nil).with(map[string]any{"host": e.Host, "port": e.Port, "security": e.Security}))
	})
	if err != nil {
		return err
	}
	return s.ResumeMail(ctx)
}

// ClearEmailSettings removes the settings, so that those of the environment
// count again, and ends a pause of mail. Where none are stored it does nothing.
func (s *Store) ClearEmailSettings(ctx context.Context, by Entry) (err error) {
	defer translate(&err, "clear e-mail settings")
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM settings WHERE name = $1`, emailSettings)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return audit(ctx, tx, by.on("settings.email.clear", "settings", uuid.Nil))
	})
	if err != nil {
		return err
	}
	return s.ResumeMail(ctx)
}
