package storage

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"rollcall/roster"
)

// userColumns are what a userRow scans, from users u left join invitations i.
const userColumns = `
	u.id, u.email, u.name, u.role, u.department, u.attributes, u.locale, u.status, u.import_id, u.created_at, u.updated_at,
	CASE WHEN i.status = 'sent' AND i.expires_at <= now() THEN 'expired' WHEN ` + bounced + ` THEN 'bounced' ELSE i.status END AS invitation,
	(SELECT k.source || ' ' || k.external_id FROM external_ids k WHERE k.user_id = u.id
	  ORDER BY k.source IS DISTINCT FROM (SELECT o.source FROM imports o WHERE o.id = u.import_id), k.source LIMIT 1) AS external_id,
	(SELECT o.source FROM imports o WHERE o.id = u.import_id) AS source,
	i.generation, i.sent_at, i.expires_at, i.last_error, i.reminders, i.reminded_at,
	EXISTS (SELECT FROM second_factors f WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL) AS second_factor`

type userRow struct {
	ID         uuid.UUID         `db:"id"`
	Email      string            `db:"email"`
	Name       string            `db:"name"`
	Role       roster.Role       `db:"role"`
	Department string            `db:"department"`
	Attributes attributesColumn  `db:"attributes"`
	Locale     *string           `db:"locale"`
	Status     roster.UserStatus `db:"status"`
	ImportID   *uuid.UUID        `db:"import_id"`
	CreatedAt  time.Time         `db:"created_at"`
	UpdatedAt  time.Time         `db:"updated_at"`
	ExternalID *string           `db:"external_id"` // behind its source and a space
	Source     *string           `db:"source"`      // of the import that created the user
	Invitation *string           `db:"invitation"`
	Generation *int32            `db:"generation"`
	SentAt     *time.Time        `db:"sent_at"`
	ExpiresAt  *time.Time        `db:"expires_at"`
	LastError  *string           `db:"last_error"`
	Reminders  *int64            `db:"reminders"`
	RemindedAt *time.Time        `db:"reminded_at"`

	SecondFactor bool `db:"second_factor"`
}

func (r *userRow) asUser() *roster.User {
	u := &roster.User{
		ID: r.ID, Email: r.Email, Name: r.Name, Role: r.Role, Department: r.Department, Attributes: r.Attributes.Attributes, Status: r.Status,
		ImportID: r.ImportID, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, SecondFactor: r.SecondFactor,
	}
	if r.Locale != nil {
		u.Locale = *r.Locale
	}
	if r.Source != nil {
		u.Source = *r.Source
	}
	if r.ExternalID != nil {
		u.Source, u.ExternalID, _ = strings.Cut(*r.ExternalID, " ")
	}
	if r.Invitation != nil {
		u.Invitation = &roster.Invitation{
			Status: roster.InvitationStatus(*r.Invitation), Generation: *r.Generation, SentAt: r.SentAt, ExpiresAt: r.ExpiresAt,
			Reminders: *r.Reminders, RemindedAt: r.RemindedAt,
		}
		if r.LastError != nil {
			u.Invitation.LastError = *r.LastError
		}
	}
	return u
}

// User reads one user. ErrNotFound if there is none.
func (s *Store) User(ctx context.Context, id uuid.UUID) (_ *roster.User, err error) {
	defer translate(&err, "read user %s", id)
	return readUser(ctx, s.db, id)
}

func readUser(ctx context.Context, q sqlx.QueryerContext, id uuid.UUID) (*roster.User, error) {
	var r userRow
	if err := sqlx.GetContext(ctx, q, &r, `
		SELECT `+userColumns+` FROM users u LEFT JOIN invitations i ON i.user_id = u.id WHERE u.id = $1`, id); err != nil {
		return nil, err
	}
	return r.asUser(), nil
}

// NewUser is someone who is not created by an import.
type NewUser struct {
	Email, EmailKey, Name string
	Role                  roster.Role
	Attributes            roster.Attributes // checked by the caller
	PasswordHash          string            // "" for a user who is to be invited
}

// CreateUser creates a user: active with a password, otherwise invited with a
// link good for ttl that the caller passes on (no mail is sent, no reminder either;
// the generation is 1). [ErrAlreadyExists] if the address is taken.
func (s *Store) CreateUser(ctx context.Context, u NewUser, ttl time.Duration, by AuditEntry) (id uuid.UUID, err error) {
	defer translate(&err, "create user")
	if id, err = uuid.NewV7(); err != nil {
		return id, err
	}
	status := roster.Invited
	var hash *string
	if u.PasswordHash != "" {
		status, hash = roster.Active, &u.PasswordHash
	}
	return id, s.transact(ctx, func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO users (id, email, email_key, name, role, status, password_hash, attributes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			id, u.Email, u.EmailKey, u.Name, u.Role, status, hash, attributesValue(u.Attributes))
		if violates(err, "users_email_key_unique") {
			return ErrAlreadyExists
		}
		if err != nil {
			return err
		}
		if status == roster.Invited {
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO invitations (user_id, status, sent_at, expires_at, reminder_age)
				VALUES ($1, 'sent', now(), now() + make_interval(secs => $2), 2147483647)`, id, seconds(ttl)); err != nil {
				return err
			}
		}
		return audit(ctx, tx, by.on("user.create", "user", id).with(map[string]any{"role": u.Role}))
	})
}

// Credentials are what signing in needs to know of a user.
type Credentials struct {
	UserID       uuid.UUID         `db:"id"`
	Status       roster.UserStatus `db:"status"`
	PasswordHash string            `db:"password_hash"` // "" while invited
}

// CredentialsOf finds a user by address key. ErrNotFound if there is none.
func (s *Store) CredentialsOf(ctx context.Context, emailKey string) (c Credentials, err error) {
	defer translate(&err, "read credentials")
	return c, s.db.GetContext(ctx, &c, `
		SELECT id, status, COALESCE(password_hash, '') AS password_hash FROM users WHERE email_key = $1`, emailKey)
}

// SetPasswordHash stores a hash made anew of the same password, with today's
// parameters; it ends no session. [ErrWrongState] if the old one is no longer
// that.
func (s *Store) SetPasswordHash(ctx context.Context, userID uuid.UUID, old, hash string) (err error) {
	defer translate(&err, "store password hash of user %s", userID)
	r, err := s.db.ExecContext(ctx, `UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2`, userID, old, hash)
	if err != nil {
		return err
	}
	return affectedOne(r, ErrWrongState)
}

// EnsureAdmin makes sure that an active administrator with this address and
// password exists: the sign-in that a private instance prints.
func (s *Store) EnsureAdmin(ctx context.Context, u NewUser) (err error) {
	defer translate(&err, "ensure administrator")
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, `
		INSERT INTO users (id, email, email_key, name, role, status, password_hash)
		VALUES ($1, $2, $3, $4, 'admin', 'active', $5)
		ON CONFLICT (email_key) DO UPDATE
		   SET role = 'admin', status = 'active', password_hash = EXCLUDED.password_hash, updated_at = now()`,
		id, u.Email, u.EmailKey, u.Name, u.PasswordHash)
	return err
}
