package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// Token is an API token without its secret.
type Token struct {
	ID         uuid.UUID
	Name       string
	Scopes     []string
	CreatedBy  string
	CreatedAt  time.Time
	ExpiresAt  *time.Time // nil: never
	LastUsedAt *time.Time // to the minute
	RevokedAt  *time.Time
}

type tokenRow struct {
	ID         uuid.UUID      `db:"id"`
	Name       string         `db:"name"`
	Scopes     pq.StringArray `db:"scopes"`
	CreatedBy  string         `db:"created_by"`
	CreatedAt  time.Time      `db:"created_at"`
	ExpiresAt  *time.Time     `db:"expires_at"`
	LastUsedAt *time.Time     `db:"last_used_at"`
	RevokedAt  *time.Time     `db:"revoked_at"`
}

const tokenColumns = `id, name, scopes, created_by, created_at, expires_at, last_used_at, revoked_at`

func (r tokenRow) asToken() Token {
	return Token{r.ID, r.Name, r.Scopes, r.CreatedBy, r.CreatedAt, r.ExpiresAt, r.LastUsedAt, r.RevokedAt}
}

// CreateToken stores the hash of a new token; life 0 means it never expires.
func (s *Store) CreateToken(ctx context.Context, name string, hash [32]byte, scopes []string, life time.Duration, by Entry) (_ Token, err error) {
	defer translate(&err, "create token")
	id, err := uuid.NewV7()
	if err != nil {
		return Token{}, err
	}
	var r tokenRow
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := tx.GetContext(ctx, &r, `
			INSERT INTO api_tokens (id, name, token_hash, scopes, created_by, expires_at)
			VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 > 0 THEN now() + make_interval(secs => $6) END)
			RETURNING `+tokenColumns, id, name, hash[:], textArray(scopes), by.Actor.Label, seconds(life)); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("token.create", "token", id).with(map[string]any{"name": name, "scopes": scopes}))
	})
	return r.asToken(), err
}

// Tokens lists all tokens, newest first.
func (s *Store) Tokens(ctx context.Context) (_ []Token, err error) {
	defer translate(&err, "list tokens")
	var rows []tokenRow
	if err := s.db.SelectContext(ctx, &rows, `SELECT `+tokenColumns+` FROM api_tokens ORDER BY id DESC`); err != nil {
		return nil, err
	}
	tokens := make([]Token, len(rows))
	for i, r := range rows {
		tokens[i] = r.asToken()
	}
	return tokens, nil
}

// RevokeToken ends a token for good. ErrNotFound if there is none; revoking one
// twice is no error.
func (s *Store) RevokeToken(ctx context.Context, id uuid.UUID, by Entry) (err error) {
	defer translate(&err, "revoke token %s", id)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		r, err := tx.ExecContext(ctx, `UPDATE api_tokens SET revoked_at = COALESCE(revoked_at, now()) WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if err := affectedOne(r, ErrNotFound); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("token.revoke", "token", id))
	})
}

// TokenByHash finds the token with this hash if it is good now, by the
// database's clock. ErrNotFound if it is unknown, expired or revoked.
func (s *Store) TokenByHash(ctx context.Context, hash [32]byte) (_ Token, err error) {
	defer translate(&err, "look up token")
	var r tokenRow
	if err := s.db.GetContext(ctx, &r, `
		SELECT `+tokenColumns+` FROM api_tokens
		 WHERE token_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`, hash[:]); err != nil {
		return Token{}, err
	}
	if r.LastUsedAt == nil || time.Since(*r.LastUsedAt) > time.Minute {
		if _, err := s.db.ExecContext(ctx, `
			UPDATE api_tokens SET last_used_at = now()
			 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')`, r.ID); err != nil {
			return Token{}, err
		}
	}
	return r.asToken(), nil
}
