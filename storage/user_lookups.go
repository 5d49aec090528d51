package storage

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
)

// TakenKeys returns which of the keys already have a user. Among few users it
// may tell others that have one, too.
func (s *Store) TakenKeys(ctx context.Context, keys []string) (taken map[string]bool, err error) {
	defer translate(&err, "look up %d addresses", len(keys))
	var there []string
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		few, err := preferKeyLookups(ctx, tx)
		if err != nil {
			return err
		}
		if few && len(keys) > fewKeys {
			return tx.SelectContext(ctx, &there, `SELECT email_key FROM users`)
		}
		// Joined, not = ANY: there the planner estimates each key by itself.
		return tx.SelectContext(ctx, &there, `SELECT u.email_key FROM unnest($1::text[]) AS k JOIN users u ON u.email_key = k`, sortedTexts(keys))
	})
	if err != nil {
		return nil, err
	}
	taken = make(map[string]bool, len(there))
	for _, k := range there {
		taken[k] = true
	}
	return taken, nil
}

// sortedTexts is a text[] in the order of the index: each key is found near the
// one before. For = ANY PostgreSQL would sort it itself, which takes longer than
// the looking; one that is in order it leaves alone.
func sortedTexts(keys []string) []byte {
	return texts(slices.Sorted(slices.Values(keys)), itself)
}

func itself(s *string) string { return *s }

// forceIndexScan has the rest of the transaction find rows by their index. For some
// thousand keys PostgreSQL would rather read a table of up to millions of rows
// from end to end, for every batch: its prices are those of a disk that turns.
//
// Up to version 17 a plan that cannot do without what is forbidden costs ten billion
// more, for which PostgreSQL compiles it: that takes longer than a batch.
func forceIndexScan(ctx context.Context, tx *sqlx.Tx) error {
	_, err := tx.ExecContext(ctx, `SET LOCAL enable_seqscan = off; SET LOCAL jit = off`)
	return err
}

const setIndexOrder = `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; SET LOCAL jit = off`

// forceIndexOrder has the rest of the transaction read the first few rows as an
// index has them. Right after an import PostgreSQL takes the many that there are
// for few, and would fetch and sort all of them for each hundred.
func forceIndexOrder(ctx context.Context, tx *sqlx.Tx) error {
	_, err := tx.ExecContext(ctx, setIndexOrder)
	return err
}

// fewBytes is a table of users that is sooner read from end to end than descended
// into by an index once for each of thousands of keys: some six thousand of them,
// or none before the first import.
const fewBytes = 1 << 20

// fewKeys are sooner sent than the keys of all users are fetched, few as those be.
const fewKeys = 1000

// preferKeyLookups has the rest of the transaction look up each of many keys by
// itself, in the index, unless there are few users.
func preferKeyLookups(ctx context.Context, tx *sqlx.Tx) (few bool, err error) {
	err = tx.GetContext(ctx, &few, `
		SELECT bool_and(set_config(name, CASE WHEN pg_relation_size('users') < $1 THEN 'on' ELSE 'off' END, true) = 'on')
		  FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) AS name WHERE set_config('jit', 'off', true) = 'off'`, fewBytes)
	return few, err
}

// UserIDs finds the users with these keys, and the import that created each.
func (s *Store) UserIDs(ctx context.Context, keys []string) (_ map[string]ExistingUser, err error) {
	defer translate(&err, "look up %d users", len(keys))
	var rows []ExistingUser
	err = s.transact(ctx, func(tx *sqlx.Tx) error {
		if err := forceIndexScan(ctx, tx); err != nil {
			return err
		}
		return tx.SelectContext(ctx, &rows, `SELECT id, email_key, import_id FROM users WHERE email_key = ANY($1)`, sortedTexts(keys))
	})
	if err != nil {
		return nil, err
	}
	found := make(map[string]ExistingUser, len(rows))
	for _, r := range rows {
		found[r.Key] = r
	}
	return found, nil
}

// ExistingUser is a user met by key.
type ExistingUser struct {
	ID       uuid.UUID  `db:"id"`
	Key      string     `db:"email_key"`
	ImportID *uuid.UUID `db:"import_id"`
}
