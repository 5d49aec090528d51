package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// InvitationSettings are the language of mails and pages for people without a
// locale, and what an organization says in its invitations. The zero value: they
// were never saved.
type InvitationSettings struct {
	DefaultLocale string                    `json:"default_locale"`  // "" is English
	Texts         map[string]InvitationText `json:"texts,omitempty"` // by language

	UpdatedBy string    `json:"-"`
	UpdatedAt time.Time `json:"-"`
}

// InvitationText is in place of the usual words of a language; "": the usual ones.
type InvitationText struct {
	Subject string `json:"subject,omitempty"`
	Opening string `json:"opening,omitempty"`
}

const invitationSettings = "invitation"

// InvitationSettings reads the settings.
func (s *Store) InvitationSettings(ctx context.Context) (_ InvitationSettings, err error) {
	defer translate(&err, "read invitation settings")
	return readInvitationSettings(ctx, s.db, `SELECT value, updated_by, updated_at FROM settings WHERE name = $1`)
}

func readInvitationSettings(ctx context.Context, from sqlx.QueryerContext, query string) (i InvitationSettings, err error) {
	var row struct {
		Value     []byte    `db:"value"`
		UpdatedBy string    `db:"updated_by"`
		UpdatedAt time.Time `db:"updated_at"`
	}
	err = sqlx.GetContext(ctx, from, &row, query, invitationSettings)
	if errors.Is(err, sql.ErrNoRows) {
		return i, nil
	}
	if err != nil {
		return i, err
	}
	if err := json.Unmarshal(row.Value, &i); err != nil {
		return i, err
	}
	i.UpdatedBy, i.UpdatedAt = row.UpdatedBy, row.UpdatedAt
	return i, nil
}

// SetInvitationSettings replaces the settings, checked by the caller. The audit log
// tells which texts were changed, and to what.
func (s *Store) SetInvitationSettings(ctx context.Context, i InvitationSettings, by AuditEntry) (err error) {
	defer translate(&err, "store invitation settings")
	value, err := jsonText(i)
	if err != nil {
		return err
	}
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		before, err := readInvitationSettings(ctx, tx, `SELECT value, updated_by, updated_at FROM settings WHERE name = $1 FOR UPDATE`)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO settings (name, value, updated_by) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, updated_by = EXCLUDED.updated_by, updated_at = clock_timestamp()`,
			invitationSettings, value, by.Actor.Label); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("settings.invitation", "settings", uuid.Nil).with(invitationDiff(before, i)))
	})
}

// invitationDiff is what was changed: the default and the texts that differ.
func invitationDiff(before, after InvitationSettings) map[string]any {
	was, is := map[string]any{"default_locale": before.DefaultLocale}, map[string]any{"default_locale": after.DefaultLocale}
	both := maps.Clone(before.Texts)
	if both == nil {
		both = map[string]InvitationText{}
	}
	maps.Copy(both, after.Texts)
	for lang := range both {
		old, now := before.Texts[lang], after.Texts[lang]
		if old.Subject != now.Subject {
			was["subject_"+lang], is["subject_"+lang] = old.Subject, now.Subject
		}
		if old.Opening != now.Opening {
			was["opening_"+lang], is["opening_"+lang] = old.Opening, now.Opening
		}
	}
	return map[string]any{"before": was, "after": is}
}

// AuditInvitationTest writes into the audit log that an administrator had an
// invitation sent to the own address, in which language, and whether the server took
// it.
func (s *Store) AuditInvitationTest(ctx context.Context, lang string, accepted bool, by AuditEntry) (err error) {
	defer translate(&err, "audit a test of the invitation")
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		return audit(ctx, tx, by.on("settings.invitation.test", "settings", uuid.Nil).with(map[string]any{"language": lang, "accepted": accepted}))
	})
}
