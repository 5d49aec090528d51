package storage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"rollcall/roster"
)

// Token is an API token without its secret.
type Token struct {
	ID         uuid.UUID
	Name       string
	Scopes     []string
	Source     string // of the imports it starts
	CreatedBy  string
	CreatedAt  time.Time
	ExpiresAt  *time.Time // nil: never
	LastUsedAt *time.Time // to the minute
	RevokedAt  *time.Time

	TokenNotices
	Overdue bool // an import was expected and did not come

	OwnerID  *uuid.UUID // whose token it is; nil: no user's, as it was made on the command line
	Owner    string     // the owner's address; "" for no owner and for one who was erased
	Orphaned bool       // it does not work, because its owner is disabled, erased or no administrator any more
}

// TokenNotices says who is told about the imports of a token. The zero value: no one.
type TokenNotices struct {
	Notify       []string      // addresses as compared, at most [roster.MaxNotify]; an import may name others instead
	FailuresOnly bool          // not of imports that completed without a failed row
	Every        time.Duration // another import should complete within it, whole seconds; 0: none is expected
}

type tokenRow struct {
	ID         uuid.UUID      `db:"id"`
	Name       string         `db:"name"`
	Scopes     pq.StringArray `db:"scopes"`
	Source     string         `db:"source"`
	CreatedBy  string         `db:"created_by"`
	CreatedAt  time.Time      `db:"created_at"`
	ExpiresAt  *time.Time     `db:"expires_at"`
	LastUsedAt *time.Time     `db:"last_used_at"`
	RevokedAt  *time.Time     `db:"revoked_at"`
	OwnerID    *uuid.UUID     `db:"owner_id"`
	Owner      string         `db:"owner"`
	Owned      bool           `db:"owned"`

	Notify         pq.StringArray `db:"notify"`
	NotifyFailures bool           `db:"notify_failures"`
	Every          int64          `db:"every"`
	Overdue        bool           `db:"overdue"`
}

// tokenOwned says of a token t with its owner u whether the owner still answers
// for it.
const tokenOwned = `(t.owner_id IS NULL OR u.id IS NOT NULL AND u.role = 'admin' AND u.status = 'active')`

// tokenWorks says whether a token t with its owner u is good now, by the
// database's clock.
const tokenWorks = `t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now()) AND ` + tokenOwned

const selectTokens = `
	SELECT t.id, t.name, t.scopes, t.source, t.created_by, t.created_at, t.expires_at, t.last_used_at, t.revoked_at,
	       t.owner_id, COALESCE(u.email, '') AS owner, ` + tokenOwned + ` AS owned,
	       t.notify, t.notify_failures, COALESCE(t.expected_every, 0) AS every, COALESCE(` + overdueToken + `, false) AS overdue
	  FROM api_tokens t LEFT JOIN users u ON u.id = t.owner_id `

func (r tokenRow) asToken() Token {
	return Token{
		ID: r.ID, Name: r.Name, Scopes: r.Scopes, Source: r.Source, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt,
		ExpiresAt: r.ExpiresAt, LastUsedAt: r.LastUsedAt, RevokedAt: r.RevokedAt,
		OwnerID: r.OwnerID, Owner: r.Owner, Orphaned: !r.Owned,
		TokenNotices: TokenNotices{Notify: r.Notify, FailuresOnly: r.NotifyFailures, Every: time.Duration(r.Every) * time.Second}, Overdue: r.Overdue,
	}
}

// CreateToken stores the hash of a new token of the default source; life 0 means
// it never expires. A token that a user makes is that user's, and works only while
// the user is an active administrator.
func (s *Store) CreateToken(ctx context.Context, name string, hash [32]byte, scopes []string, life time.Duration, by AuditEntry) (Token, error) {
	return s.CreateSourceToken(ctx, name, hash, scopes, roster.DefaultSource, life, TokenNotices{}, by)
}

// CreateSourceToken is CreateToken for a token whose imports have keys of a source,
// and about whose imports someone is told.
func (s *Store) CreateSourceToken(ctx context.Context, name string, hash [32]byte, scopes []string, source string, life time.Duration, tell TokenNotices, by AuditEntry) (_ Token, err error) {
	defer translate(&err, "create token")
	id, err := uuid.NewV7()
	if err != nil {
		return Token{}, err
	}
	var owner *uuid.UUID
	if by.Actor.Kind == roster.ActorUser {
		owner = &by.Actor.ID
	}
	var r tokenRow
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO api_tokens (id, name, token_hash, scopes, created_by, expires_at, owner_id, source, notify, notify_failures, expected_every, expected_from)
			VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 > 0 THEN now() + make_interval(secs => $6) END, $7, $8, $9, $10,
			        NULLIF($11::integer, 0), CASE WHEN $11::integer > 0 THEN now() END)`,
			id, name, hash[:], textArray(scopes), by.Actor.Label, seconds(life), owner, source,
			textArray(append([]string{}, tell.Notify...)), tell.FailuresOnly, int64(tell.Every.Seconds())); err != nil {
			return err
		}
		if err := tx.GetContext(ctx, &r, selectTokens+`WHERE t.id = $1`, id); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("token.create", "token", id).with(map[string]any{"name": name, "scopes": scopes, "source": source}))
	})
	return r.asToken(), err
}

// TransferToken makes the user by the owner of another user's token, which then
// works again if its owner was disabled, erased or demoted. [ErrNotFound] if there
// is no such token, or it is revoked or no user's.
func (s *Store) TransferToken(ctx context.Context, id uuid.UUID, by AuditEntry) (err error) {
	defer translate(&err, "transfer token %s", id)
	return s.transact(ctx, func(tx *sqlx.Tx) error {
		var from uuid.UUID
		if err := tx.GetContext(ctx, &from, `
			SELECT owner_id FROM api_tokens WHERE id = $1 AND revoked_at IS NULL AND owner_id IS NOT NULL FOR UPDATE`, id); err != nil {
			return err
		}
		if from == by.Actor.ID {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `UPDATE api_tokens SET owner_id = $2 WHERE id = $1`, id, by.Actor.ID); err != nil {
			return err
		}
		return audit(ctx, tx, by.on("token.transfer", "token", id).with(map[string]any{"from": from}))
	})
}

// Tokens lists all tokens, newest first.
func (s *Store) Tokens(ctx context.Context) (_ []Token, err error) {
	defer translate(&err, "list tokens")
	var rows []tokenRow
	if err := s.db.SelectContext(ctx, &rows, selectTokens+`ORDER BY t.id DESC`); err != nil {
		return nil, err
	}
	tokens := make([]Token, len(rows))
	for i, r := range rows {
		tokens[i] = r.asToken()
	}
	return tokens, nil
}

// maxSources bounds a list of sources.
const maxSources = 100

// Sources lists the sources of tokens and of the newest imports, by name.
func (s *Store) Sources(ctx context.Context) (sources []string, err error) {
	defer translate(&err, "list sources")
	return sources, s.db.SelectContext(ctx, &sources, `
		SELECT source FROM api_tokens
		 UNION SELECT source FROM (SELECT source FROM imports ORDER BY id DESC LIMIT 1000) newest
		 ORDER BY source LIMIT $1`, maxSources)
}

// RevokeToken ends a token for good. ErrNotFound if there is none; revoking one
// twice is no error.
func (s *Store) RevokeToken(ctx context.Context, id uuid.UUID, by AuditEntry) (err error) {
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
// database's clock. ErrNotFound if it is unknown, expired or revoked, or its owner
// is no active administrator.
func (s *Store) TokenByHash(ctx context.Context, hash [32]byte) (_ Token, err error) {
	defer translate(&err, "look up token")
	var r tokenRow
	if err := s.db.GetContext(ctx, &r, selectTokens+`WHERE t.token_hash = $1 AND `+tokenWorks, hash[:]); err != nil {
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
